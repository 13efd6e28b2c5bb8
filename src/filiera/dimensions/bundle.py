"""Source bundles: the project's code and the files that it declares, content-addressed.

Every task runs from a bundle that is unpacked read-only, never from the working folder: an editor may save at any
moment, and a released model keeps its released code while the folder moves on.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from filiera.digest import digest_json
from filiera.dimensions.notebooks import with_notebooks
from filiera.errors import IntegrityError, UsageError

#: Files that may belong to the code: modules, compiled extensions, notebooks; and the lock of the libraries.
SUFFIXES = frozenset({".py", ".so", ".pyd", ".ipynb"})
LOCKS = frozenset({"uv.lock", "pylock.toml", "requirements.txt", "poetry.lock", "pdm.lock"})
MAX_BYTES = 64 << 20
MAX_DECLARED_BYTES = 256 << 20


@dataclass(frozen=True)
class Bundle:
    """The code of a project at one moment, and the files that it declares."""

    digest: str
    files: tuple[tuple[str, bytes], ...]  #: relative path and content, sorted by path

    @cached_property
    def contents(self) -> dict[str, str]:
        """Digest of each file's bytes, by path."""
        return {name: hashlib.sha256(content).hexdigest() for name, content in self.files}

    def pack(self) -> bytes:
        """A tar archive; equal code gives equal bytes."""
        import tarfile

        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, content in self.files:
                info = tarfile.TarInfo(name)
                info.size, info.mode = len(content), 0o444
                tar.addfile(info, io.BytesIO(content))
        return out.getvalue()

    def unpack(self, folder: Path) -> Path:
        """Write the files read-only below `folder`, once; gives their root."""
        root = folder / self.digest.removeprefix("sha256:")[:32]
        if root.is_dir():
            return root
        fresh = folder / f".{root.name}.{os.getpid()}"
        shutil.rmtree(fresh, ignore_errors=True)
        for name, content in self.files:
            path = fresh / name
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.write_bytes(content)
            path.chmod(0o400)
        fresh.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            fresh.rename(root)
        except OSError:
            if not root.is_dir():
                raise
            shutil.rmtree(fresh)  # another process was first with the same content
        return root


def collect_bundle(root: Path, declared: Iterable[Path] = ()) -> Bundle:
    """Read the code below `root`, and the files that it declares; a notebook that is code becomes a module.

    Raises:
        UsageError: more than 64 MiB of code, which is nearly always data or a virtual environment by mistake; or more
            than 256 MiB of declared files.
        CodeError: there are both a pipeline.py and a pipeline.ipynb, or a notebook cannot be a module.
    """
    code = list(code_files(root))
    beside = sorted(set(declared) - set(code))
    if (size := sum(path.stat().st_size for path in beside)) > MAX_DECLARED_BYTES:
        raise UsageError(
            "code.files_too_large",
            f"the declared files are {size >> 20} MiB",
            expected=f"at most {MAX_DECLARED_BYTES >> 20} MiB, since every version of the code is kept with its files",
            next="make the large one a source",
        )
    contents = with_notebooks({path.relative_to(root).as_posix(): path.read_bytes() for path in code})
    total = sum(len(content) for content in contents.values())
    if total > MAX_BYTES:
        raise UsageError(
            "code.too_large",
            f"the project's code is {total >> 20} MiB",
            expected=f"at most {MAX_BYTES >> 20} MiB",
            next="move data and environments out of the project folder or into a folder whose name starts with a dot",
        )
    contents |= {path.relative_to(root).as_posix(): path.read_bytes() for path in beside}
    return _bundle(tuple(sorted(contents.items())))


def open_bundle(payload: bytes, digest: str) -> Bundle:
    """The bundle in a packed archive.

    Raises:
        IntegrityError: the content does not have the recorded digest.
    """
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(payload)) as tar:
        files = []
        for member in tar.getmembers():
            content = tar.extractfile(member)
            if content is not None:
                files.append((member.name, content.read()))
    bundle = _bundle(tuple(sorted(files)))
    if bundle.digest != digest:
        raise IntegrityError(
            "bundle.changed", "a source bundle is not what was recorded", expected=digest, found=bundle.digest
        )
    return bundle


def make_bundle(files: Iterable[tuple[str, bytes]]) -> Bundle:
    """The bundle of files that were read elsewhere: relative path and content."""
    return _bundle(tuple(sorted(files)))


def code_files(root: Path) -> Iterator[Path]:
    """Files below `root` that may be code, in path order, without hidden folders, caches and environments."""
    found: list[Path] = []
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if not _skipped(Path(folder) / name)]
        found += [Path(folder) / name for name in files if is_code(name)]
    yield from sorted(found, key=lambda path: path.relative_to(root).as_posix())


def is_code(name: str) -> bool:
    """Whether a file of a bundle is code by its name, and not a file that the code declares."""
    return Path(name).suffix in SUFFIXES or Path(name).name in LOCKS


def _skipped(folder: Path) -> bool:
    if folder.name.startswith(".") or folder.name in ("__pycache__", "node_modules"):
        return True
    return (folder / "pyvenv.cfg").exists()


def _bundle(files: tuple[tuple[str, bytes], ...]) -> Bundle:
    listing = [[name, hashlib.sha256(content).hexdigest()] for name, content in files]
    return Bundle(digest_json("bundle", 1, listing), files)
