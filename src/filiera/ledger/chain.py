"""The audit chain: each entry carries the hash of the one before it.

Whoever edits, inserts, removes or reorders an entry breaks the chain at that number. Cutting off the end leaves a
valid shorter chain, so truncation is seen against a checkpoint kept elsewhere: `verify(..., checkpoint=...)`.
Without such an anchor, somebody who owns the database can rewrite all of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from filiera.clock import rfc3339
from filiera.digest import digest_json
from filiera.ledger import tables as t

GENESIS = "sha256:" + "0" * 64


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a verification found."""

    ok: bool
    entries: int
    head: str  #: hash of the last entry
    first_bad: int | None  #: number of the first entry that does not fit
    message: str

    def to_json(self) -> dict[str, Any]:
        """`filiera.audit/1`."""
        return {
            "schema": "filiera.audit/1",
            "ok": self.ok,
            "entries": self.entries,
            "head": self.head,
            "first_bad": self.first_bad,
            "message": self.message,
        }


def entry_hash(row: Mapping[Any, Any]) -> str:
    """Hash of one entry, over everything in it and the hash before it."""
    body = {
        "number": row["number"],
        "project": row["project"],
        "created": rfc3339(row["created_us"]),
        "actor": row["actor"],
        "method": row["method"],
        "action": row["action"],
        "object": row["object"],
        "details": row["details"],
        "previous": row["previous"],
    }
    return digest_json("audit", 1, body)


def append(
    connection: sa.Connection,
    *,
    project: str,
    actor: str,
    action: str,
    object: str,
    details: Mapping[str, Any],
    now_us: int,
) -> int:
    """Write the next entry; the caller holds the write lock. Gives its number."""
    tail = connection.execute(
        sa.select(t.audit.c.number, t.audit.c.hash).order_by(t.audit.c.number.desc()).limit(1)
    ).first()
    row: dict[str, Any] = {
        "number": tail.number + 1 if tail else 1,
        "project": project,
        "created_us": now_us,
        "actor": _one_line(actor),
        "method": "local",
        "action": action,
        "object": _one_line(object),
        "details": json.dumps(details, sort_keys=True, ensure_ascii=True),
        "previous": tail.hash if tail else GENESIS,
    }
    row["hash"] = entry_hash(row)
    connection.execute(sa.insert(t.audit).values(row))
    return int(row["number"])


def _one_line(text: str) -> str:
    """No control characters, no line breaks, at most 400 characters: an entry is one line in every viewer."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)[:400]


def verify(connection: sa.Connection, checkpoint: tuple[int, str] | None = None) -> ChainReport:
    """Check every entry, and that the chain still holds the checkpoint (number, hash)."""
    previous, number = GENESIS, 0
    for row in connection.execute(sa.select(t.audit).order_by(t.audit.c.number)).mappings():
        number += 1
        if row["number"] != number or row["previous"] != previous or row["hash"] != entry_hash(row):
            return ChainReport(False, number - 1, previous, number, f"entry {number} is not what was written")
        previous = row["hash"]
        if checkpoint and number == checkpoint[0] and previous != checkpoint[1]:
            return ChainReport(False, number - 1, previous, number, f"entry {number} differs from the checkpoint")
    if checkpoint and number < checkpoint[0]:
        text = f"the log ends at {number}, the checkpoint saw {checkpoint[0]}: entries were cut off"
        return ChainReport(False, number, previous, number + 1, text)
    return ChainReport(True, number, previous, None, f"{number} entries, unbroken")


def list_entries(connection: sa.Connection, limit: int) -> list[dict[str, Any]]:
    """The newest entries, newest first."""
    query = sa.select(t.audit).order_by(t.audit.c.number.desc()).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]
