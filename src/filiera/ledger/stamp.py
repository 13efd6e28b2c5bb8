"""The number of the last audit entry, read with the standard library only: the no-op plan must answer at once."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def head_stamp(path: Path) -> int:
    """Number of the last audit entry; 0 when there is no ledger yet."""
    if not path.exists():
        return 0
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        row = connection.execute("SELECT max(number) FROM audit").fetchone()
    finally:
        connection.close()
    return int(row[0] or 0)
