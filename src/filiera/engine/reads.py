"""What user code reads beside its inputs: files of the bundle, and of watched folders where nothing holds it back.

An audit hook sees every file that Python opens, modules included. It does not see what a native library opens by
itself (polars, pyarrow). Standard library only: this runs in a child.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from types import FrameType
from typing import Any

ABSENT, CHANGING = "absent", "changing"
_LOADS = {"import": 1, "sqlite3.connect": 0, "ctypes.dlopen": 0}  #: event -> place of the path among its values
_WRITE_ONLY = os.O_WRONLY


class Reads:
    """The files that were opened for reading since `watch`, in this process.

    Args:
        bundle: folder of the unpacked code; its files are named relative to it.
        watched: other folders; their files are named by their full path.
        libraries: folders of libraries; what lies in one of them is told by its version.
    """

    def __init__(self, bundle: str, watched: Sequence[str], libraries: Sequence[str]) -> None:
        self._bundle = os.path.realpath(bundle)
        self._watched = [os.path.realpath(folder) for folder in watched]
        inside = (os.path.realpath(folder) for folder in libraries)
        self._libraries = [folder for folder in inside if self._is_watched(folder)]
        self._opened: dict[str, tuple[int, int] | None] = {}  # path -> size and time when it was opened first
        self._found: dict[str, str] = {}

    def watch(self) -> None:
        """Look on from now; there is no way to stop."""
        sys.addaudithook(self._hook)

    def found(self) -> dict[str, str]:
        """Digest by name of everything that was read; "absent" for a file of the bundle that is not there."""
        for path in [path for path in list(self._opened) if self.name(path) not in self._found]:
            content = self._content(path)
            if content is not None:
                self._found[self.name(path)] = content
        return dict(self._found)

    def name(self, path: str) -> str:
        """How a file is called: relative to the bundle, or in full."""
        if not _below(path, self._bundle):
            return path
        folder = "/" if path.endswith(os.sep) else ""
        return os.path.relpath(path, self._bundle).replace(os.sep, "/") + folder

    def is_inside(self, path: str) -> bool:
        """Whether a path is of the bundle."""
        return _below(os.path.realpath(path), self._bundle)

    def relative(self, path: str) -> str | None:
        """The name that a file of the project would have in the bundle; None when it is none of the project's."""
        path = os.path.realpath(path)
        if _below(path, self._bundle):
            return self.name(path)
        home = next((folder for folder in self._watched if _below(path, folder)), None)
        return os.path.relpath(path, home).replace(os.sep, "/") if home else None

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            if not _writes(args[1], args[2]):
                self._note(args[0])
        elif event in _LOADS:  # by a native library, with a path
            if isinstance(path := args[_LOADS[event]], str) and os.sep in path:
                self._note(path)
        elif event in ("os.listdir", "os.scandir") and not _is_import(sys._getframe(1)):
            self._note(args[0] if args[0] is not None else ".", os.sep)

    def _note(self, path: Any, mark: str = "") -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # a descriptor: what it stands for was opened by name
        full = os.path.realpath(os.fsdecode(path)) + mark
        if full in self._opened or "__pycache__" in full:
            return
        if _below(full, self._bundle) or (self._is_watched(full) and not self._is_library(full)):
            self._opened[full] = _stamp(full)

    def _is_watched(self, path: str) -> bool:
        return any(_below(path, folder) for folder in self._watched)

    def _is_library(self, path: str) -> bool:
        return any(_below(path, folder) for folder in self._libraries)

    def _content(self, path: str) -> str | None:
        before = self._opened[path]
        try:
            if path.endswith(os.sep):
                content = listing(os.listdir(path))
            else:
                with open(path, "rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return ABSENT if _below(path, self._bundle) else None
        except OSError:
            return None  # it could not be read then either
        return content if before == _stamp(path) else CHANGING


def united(parts: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The reads of several tasks; what differed among them counts as changing."""
    found: dict[str, str] = {}
    for part in parts:
        for name, content in part.items():
            found[name] = content if found.get(name, content) == content else CHANGING
    return found


def _writes(mode: Any, flags: Any) -> bool:
    """Whether a file is opened for writing only."""
    if isinstance(mode, str):
        return "r" not in mode and "+" not in mode
    return isinstance(flags, int) and flags & os.O_ACCMODE == _WRITE_ONLY


def listing(names: Iterable[str]) -> str:
    """What stands for the names in a folder; a folder's own name ends with a slash."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def _is_import(frame: FrameType) -> bool:
    """Whether a folder is listed to find modules: what is found is told when it is imported."""
    module: str = frame.f_globals.get("__name__", "")
    return module.startswith(("importlib", "_frozen_importlib", "pkg_resources"))


def _below(path: str, folder: str) -> bool:
    return path.startswith(folder + os.sep)


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns
