"""What the last audit entry is, read with the standard library only: the no-op plan must answer at once."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def head_stamp(path: Path) -> str:
    """Number and hash of the last audit entry; "" when there is no ledger yet.

    The number alone is not enough: a ledger that was put back from a copy counts on from there.
    """
    if not path.exists():
        return ""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        row = connection.execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1").fetchone()
    finally:
        connection.close()
    return f"{row[0]} {row[1]}" if row else ""
