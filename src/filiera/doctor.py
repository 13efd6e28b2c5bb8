"""Findings about this machine and project, and what to do about each.

Every look stands for itself: what one of them shows, however bad, never hides the next.
"""

from __future__ import annotations

import os
import platform
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filiera.clock import SystemClock
from filiera.collect.pattern import matches
from filiera.engine import landlock
from filiera.errors import FilieraError
from filiera.govern import keys
from filiera.lake.objects import LocalObjects
from filiera.ledger.journal import Ledger
from filiera.ledger.named import any_object
from filiera.places import SETTINGS_FILE, STATE_FOLDER
from filiera.project import refuse_network
from filiera.settings import Settings, load

LEAST_FREE_BYTES = 1 << 30
LIBRARIES = ("filiera", "numpy", "polars", "pyarrow", "scikit-learn", "sqlalchemy", "cryptography", "skops", "optuna")
OK, WARNING, ERROR = "ok", "warning", "error"
_ADVICE = {"ledger": f"restore {STATE_FOLDER}/ledger.db from a backup"}  #: where an error itself knows none


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    status: str  #: "ok", "warning" or "error"
    found: str
    next: str = ""  #: what to do about it

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return {"name": self.name, "status": self.status, "found": self.found, "next": self.next}


def diagnose(root: Path | None, key_of: Callable[[str], Path]) -> Iterator[Finding]:
    """Look at the machine, then at the project: settings, space, modes, ledger, audit log, key and sources.

    Args:
        root: the project; None where there is none.
        key_of: where the key file of a ledger lies, by the ledger's id.
    """
    looks: list[tuple[str, Callable[[], Finding]]] = [
        ("python", _python), ("libraries", _libraries), ("sandbox", _sandbox), ("swap", _swap),
    ]  # fmt: skip
    yield from (_look(name, look) for name, look in looks)
    if root is None:
        yield Finding(
            "project", WARNING, f"no {SETTINGS_FILE} here or above",
            "`filiera init DIR` makes a project; `--project DIR` names one",
        )  # fmt: skip
        return
    settings: list[Settings] = []
    yield _look("settings", partial(_settings, root, settings))
    yield from _folders(root)
    for read in settings:
        yield _look("pipeline python", partial(_interpreter, read))
        yield from (_look(f"source {name}", partial(_source, read, name)) for name in read.sources)
    yield from _ledger(root, settings, key_of)


def examine(settings: Settings, _ledger: Ledger, key_path: Path) -> Iterator[Finding]:
    """`diagnose` for a project that could be opened."""
    return diagnose(settings.root, lambda _: key_path)


def _look(name: str, look: Callable[[], Finding]) -> Finding:
    """A finding, also where looking fails."""
    try:
        return look()
    except FilieraError as error:
        text = f"{error.where}: {error.message}" if error.where else error.message
        parts = [("expected", error.expected), ("found", error.found)]
        advice = error.next or _ADVICE.get(name, "mend it and look again")
        return Finding(name, ERROR, "; ".join([text, *(f"{k} {v}" for k, v in parts if v)]), advice)
    except Exception as error:  # a look of doctor ends here, whatever is broken
        return Finding(name, ERROR, f"cannot be looked at: {type(error).__name__}: {error}", "mend this first")


# ---- the machine


def _python() -> Finding:
    return Finding("python", OK, f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _libraries() -> Finding:
    found, missing = [], []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding("libraries", ERROR, f"missing: {', '.join(missing)}", "`make setup` installs them")
    return Finding("libraries", OK, ", ".join(found))


def _sandbox() -> Finding:
    offered = landlock.version()
    if offered:
        return Finding(
            "sandbox", OK, f"Landlock version {offered}: pipeline code reads its libraries and its bundle only"
        )
    return Finding("sandbox", WARNING, "this kernel offers no Landlock", "pipeline code can read what you can read")


def _swap() -> Finding:
    swaps = Path("/proc/swaps")
    used = swaps.exists() and len(swaps.read_text(encoding="utf-8").splitlines()) > 1
    if used:
        return Finding(
            "swap", WARNING, "swap is on: memory with plain rows may reach the disk", "encrypt swap or turn it off"
        )
    return Finding("swap", OK, "off")


# ---- settings and folders


def _settings(root: Path, into: list[Settings]) -> Finding:
    into.append(load(root))
    sources = ", ".join(into[0].sources) or "no source yet"
    return Finding("settings", OK, f"{root / SETTINGS_FILE}: {sources}")


def _folders(root: Path) -> Iterator[Finding]:
    state = root / STATE_FOLDER
    yield _look("state folder", partial(_state, state))
    yield _look("disk", partial(_disk, state if state.exists() else root))


def _state(path: Path) -> Finding:
    if not path.exists():
        return Finding(
            "state folder", ERROR, f"{path} is missing",
            f"restore it from a backup; if there never was one, `filiera init {path.parent}` makes it",
        )  # fmt: skip
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return Finding("state folder", ERROR, f"{path} has mode {mode:04o}", f"chmod 700 {path}")
    return Finding("state folder", OK, f"{path} has mode {mode:04o}")


def _disk(folder: Path) -> Finding:
    refuse_network(folder)
    free = shutil.disk_usage(folder).free
    text = f"{free / 1e9:.1f} GB free"
    if free < LEAST_FREE_BYTES:
        return Finding("disk", WARNING, text, "free some space: an ingest that meets a full disk commits nothing")
    return Finding("disk", OK, text)


def _interpreter(settings: Settings) -> Finding:
    name = settings.project.python
    if name is None:
        return Finding("pipeline python", OK, "the one that runs filiera")
    path = settings.root / name
    if not (path.is_file() and os.access(path, os.X_OK)):
        where = settings.where("project", "python")
        return Finding("pipeline python", ERROR, f"{path} is no program", f"mend `python` in {where}, or install it")
    return Finding("pipeline python", OK, str(path))


def _source(settings: Settings, name: str) -> Finding:
    source, title = settings.sources[name], f"source {name}"
    files = [path for path in matches(settings.root, source.pattern) if path.is_file()]
    if not files:
        where = settings.where("source", name, "from")
        return Finding(
            title, WARNING, f"no file matches {source.pattern}", f"copy files there, or mend `from` in {where}"
        )
    others = [
        other
        for other in settings.sources.values()
        if other.name != name and set(files) & set(matches(settings.root, other.pattern))
    ]
    if others:
        return Finding(
            title, WARNING, f"{source.pattern} matches files that {others[0].name} ({others[0].pattern}) reads too",
            f"narrow `from` in {settings.where('source', name, 'from')} or in "
            f"{settings.where('source', others[0].name, 'from')}",
        )  # fmt: skip
    return Finding(title, OK, f"{len(files)} file{' matches' if len(files) == 1 else 's match'} {source.pattern}")


# ---- ledger and key


def _ledger(root: Path, settings: Sequence[Settings], key_of: Callable[[str], Path]) -> Iterator[Finding]:
    opened: list[Ledger] = []
    yield _look("ledger", partial(_engine, root, opened))
    for ledger in opened:
        yield _look("audit log", partial(_audit, ledger))
        yield from (_look("currency", partial(_currency, read, ledger)) for read in settings)
        yield _look("key file", partial(_key, root, ledger, key_of(ledger.project)))
        ledger.close()


def _engine(root: Path, into: list[Ledger]) -> Finding:
    into.append(Ledger.open(root / STATE_FOLDER / "ledger.db", clock=SystemClock()))
    report = into[0].engine_report()
    text = f"SQLite {report['sqlite']}, journal mode {report['journal_mode']}, check {report['check']}"
    if report["check"] != "ok":
        return Finding("ledger", ERROR, text, _ADVICE["ledger"])
    if not report["wal_safe"]:
        text += " (this SQLite has the WAL-reset bug, so the slower safe mode is used)"
        return Finding("ledger", OK, text, "SQLite 3.51.3 or newer allows faster commits")
    return Finding("ledger", OK, text)


def _audit(ledger: Ledger) -> Finding:
    report = ledger.verify()
    return Finding("audit log", OK if report.ok else ERROR, report.message, "" if report.ok else "see `filiera audit`")


def _currency(settings: Settings, ledger: Ledger) -> Finding:
    written, where = settings.project.currency, settings.where("project", "currency")
    if written != ledger.currency:
        return Finding(
            "currency", ERROR, f"{where} says {written}, the ledger is in {ledger.currency} for good",
            f'write currency = "{ledger.currency}"',
        )  # fmt: skip
    return Finding("currency", OK, written)


def _key(root: Path, ledger: Ledger, path: Path) -> Finding:
    """Whether the key file is there, is read by its owner only, and opens what is stored."""
    key = keys.load(path)
    with ledger.reading() as connection:
        record = any_object(connection)
    if record is None:
        return Finding("key file", OK, f"{path}; nothing is sealed with it yet")
    LocalObjects(root / STATE_FOLDER / "lake", key).get(record)
    return Finding("key file", OK, f"{path} opens what is stored")
