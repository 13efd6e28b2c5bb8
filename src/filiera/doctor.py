"""Findings about this machine and project, and what to do about each."""

from __future__ import annotations

import platform
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filiera.engine import landlock
from filiera.ledger.journal import Ledger
from filiera.settings import Settings

LEAST_FREE_BYTES = 1 << 30
LIBRARIES = ("filiera", "numpy", "polars", "pyarrow", "scikit-learn", "sqlalchemy", "cryptography", "skops", "optuna")


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


def examine(settings: Settings, ledger: Ledger, key_path: Path) -> Iterator[Finding]:
    """Look at versions, the ledger's engine, space, modes and protection, in this order."""
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Finding("libraries", "ok", ", ".join(f"{name} {version(name)}" for name in LIBRARIES))
    yield _sqlite(ledger)
    yield _audit(ledger)
    yield _space(settings.state)
    yield _mode("state folder", settings.state, 0o700)
    yield _mode("key file", key_path, 0o600)
    yield _sandbox()
    yield _swap()


def _sqlite(ledger: Ledger) -> Finding:
    report = ledger.engine_report()
    text = f"SQLite {report['sqlite']}, journal mode {report['journal_mode']}, check {report['check']}"
    if report["check"] != "ok":
        return Finding("ledger", "error", text, "restore .filiera/ledger.db from a backup")
    if not report["wal_safe"]:
        text += " (this SQLite has the WAL-reset bug, so the slower safe mode is used)"
        return Finding("ledger", "ok", text, "SQLite 3.51.3 or newer allows faster commits")
    return Finding("ledger", "ok", text)


def _audit(ledger: Ledger) -> Finding:
    report = ledger.verify()
    return Finding(
        "audit log", "ok" if report.ok else "error", report.message, "" if report.ok else "see `filiera audit`"
    )


def _space(state: Path) -> Finding:
    free = shutil.disk_usage(state).free
    text = f"{free / 1e9:.1f} GB free"
    if free < LEAST_FREE_BYTES:
        return Finding("disk", "warning", text, "free some space: an ingest that meets a full disk commits nothing")
    return Finding("disk", "ok", text)


def _mode(name: str, path: Path, wanted: int) -> Finding:
    if not path.exists():
        return Finding(name, "error", f"{path} is missing", "restore it from a backup or from recovery shares")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & ~wanted:
        return Finding(name, "error", f"{path} has mode {mode:04o}", f"chmod {wanted:o} {path}")
    return Finding(name, "ok", f"{path} has mode {mode:04o}")


def _sandbox() -> Finding:
    offered = landlock.version()
    if offered:
        return Finding(
            "sandbox", "ok", f"Landlock version {offered}: pipeline code reads its libraries and its bundle only"
        )
    return Finding("sandbox", "warning", "this kernel offers no Landlock", "pipeline code can read what you can read")


def _swap() -> Finding:
    swaps = Path("/proc/swaps")
    used = swaps.exists() and len(swaps.read_text(encoding="utf-8").splitlines()) > 1
    if used:
        return Finding(
            "swap", "warning", "swap is on: memory with plain rows may reach the disk", "encrypt swap or turn it off"
        )
    return Finding("swap", "ok", "off")
