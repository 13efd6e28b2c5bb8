"""A plan remembered with the state of everything it read, so that a plan with nothing new answers at once.

Only the standard library is imported: reading a stamp must cost milliseconds. A stamp holds the size, times and inode
of the settings, the code, the declared files and the source files, the set of files that the patterns match, the
folders of the libraries, salted digests of the declared variables, and the last audit entry. Nothing changes in the
ledger without an audit entry, so an equal last one means an equal ledger; nothing is installed without touching its
folder; and no file is written without another time of change, whatever time of writing a copy gives it (`cp -p`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filiera.code.bundle import code_files
from filiera.collect.pattern import matches
from filiera.ledger.stamp import head_stamp
from filiera.places import SETTINGS_FILE, STATE_FOLDER

#: A file changed this shortly before it was looked at may change again within one tick of its clock (git's racy rule).
RACY_NS = 2_000_000_000
VERSION = 6
ENVIRONMENT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The state of everything that a plan reads, taken before it is made: what changes later is seen as a change."""

    root: Path
    patterns: tuple[str, ...]
    libraries: tuple[str, ...]
    state: Mapping[str, Any]
    salt: str
    variables: Mapping[str, str]  #: a salted digest for each value
    at_us: int

    @property
    def is_settled(self) -> bool:
        """Whether no file is so fresh that it may have changed again without a sign."""
        newest = max((entry[1] for entry in self.state["files"].values()), default=0)
        return bool(newest <= self.at_us * 1_000 - RACY_NS)


def look(
    root: Path,
    patterns: Iterable[str],
    libraries: Iterable[str],
    *,
    now_us: int,
    variables: Iterable[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> Look:
    """Look at the settings, the code, the source files, the libraries, the variables and the ledger.

    Args:
        root: the project.
        patterns: of the sources' files and of the declared ones.
        libraries: folders of `library_folders`.
        now_us: the time.
        variables: that the code declares.
        environ: their values.
    """
    names, folders, salt = tuple(sorted(patterns)), tuple(sorted(libraries)), os.urandom(16).hex()
    return Look(
        root=root, patterns=names, libraries=folders, state=_state(root, names, folders), salt=salt,
        variables=_variables(variables, salt, environ), at_us=now_us,
    )  # fmt: skip


def recall(root: Path, environment: str, now_us: int, environ: Mapping[str, str] = os.environ) -> dict[str, Any] | None:
    """What was remembered for `environment`, if everything is as it was then; else None."""
    if not ENVIRONMENT.fullmatch(environment):  # it becomes a part of a file's name
        return None
    try:
        stored = json.loads(_path(root, environment).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if stored.get("version") != VERSION or now_us >= stored["valid_until_us"]:
        return None
    if stored["state"] != _state(root, stored["patterns"], stored["libraries"]):
        return None
    if stored["variables"] != _variables(stored["variables"], stored["salt"], environ):
        return None
    answer: dict[str, Any] = stored["answer"]
    return answer


def remember(seen: Look, environment: str, answer: Mapping[str, Any], *, valid_until_us: int) -> bool:
    """Keep an answer for the state in which it was found; False when a file was too fresh to be sure.

    Args:
        seen: the look that was taken before the answer was made.
        environment: that the plan is for.
        answer: what to keep.
        valid_until_us: when to look again although nothing changed.
    """
    if not seen.is_settled:
        return False
    path = _path(seen.root, environment)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    content = {
        "version": VERSION,
        "valid_until_us": valid_until_us,
        "patterns": seen.patterns,
        "libraries": seen.libraries,
        "salt": seen.salt,
        "variables": dict(seen.variables),
        "state": dict(seen.state),
        "answer": dict(answer),
    }
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(content), encoding="utf-8")
    fresh.chmod(0o600)
    fresh.rename(path)
    return True


def _variables(names: Iterable[str], salt: str, environ: Mapping[str, str]) -> dict[str, str]:
    """A digest for each value: the file holds none."""
    return {n: hashlib.sha256(f"{salt}:{n}={environ[n]}".encode()).hexdigest() if n in environ else "" for n in names}


def _path(root: Path, environment: str) -> Path:
    return root / STATE_FOLDER / "cache" / f"plan-{environment}.json"


def library_folders(python: Path) -> list[str]:
    """Where an interpreter's libraries lie; a folder's time changes when something is installed or removed there.

    Of packages that are installed from a folder, also their code and the folders it lies in.
    """
    from filiera.code.libraries import path_dependencies, site_folders

    folders = site_folders(python)
    places = [place for folder in folders for place in path_dependencies(folder)]
    sources = [(path, place) for place in places for path in code_files(place)]
    above = {above for path, place in sources for above in path.parents if above.is_relative_to(place)}
    return sorted(str(path) for path in {*folders, *places, *above, *(path for path, _ in sources)})


def _state(root: Path, patterns: Iterable[str], libraries: Iterable[str]) -> dict[str, Any]:
    files = [root / SETTINGS_FILE, *code_files(root), *map(Path, libraries)]
    for pattern in patterns:
        files += sorted(matches(root, pattern))
    listing = {}
    for path in files:
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue
        listing[str(path)] = [stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_ctime_ns]
    ledger = head_stamp(root / STATE_FOLDER / "ledger.db")
    return {"files": listing, "ledger": ledger, "interpreter": [sys.executable, sys.version]}
