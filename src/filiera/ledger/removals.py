"""What was freed, put back or deleted for good: rows that only grow, of which the newest of a name counts.

A row is about an object, or about an *output*: a snapshot or model version (by id), or a source bundle (by digest),
that cannot be read while one of its objects is gone. A trace whose output is gone does not answer for its key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from filiera.ledger import tables as t
from filiera.ledger.journal import Tx

OBJECT, OUTPUT = "object", "output"
FREED, RESTORED, DELETED = "freed", "restored", "deleted"


@dataclass(frozen=True, slots=True)
class Removal:
    """One event of one name."""

    kind: str  #: "object" or "output"
    name: str
    event: str  #: "freed", "restored" or "deleted"
    asset: str
    reason: str
    size_bytes: int
    created_us: int = 0  #: set when it is recorded


def record(tx: Tx, events: Sequence[Removal]) -> None:
    """Write events, all at the time of the transaction."""
    for event in events:
        values = {name: getattr(event, name) for name in Removal.__dataclass_fields__}
        tx.connection.execute(sa.insert(t.removal).values(project=tx.project, **(values | {"created_us": tx.now_us})))


def newest(connection: sa.Connection, kind: str) -> dict[str, Removal]:
    """The event that counts, by name."""
    query = sa.select(t.removal).where(t.removal.c.kind == kind).order_by(t.removal.c.serial)
    return {row["name"]: _removal(row) for row in connection.execute(query).mappings()}


def is_gone(connection: sa.Connection, name: str) -> bool:
    """Whether an output or an object was freed and not put back."""
    query = sa.select(t.removal.c.event).where(t.removal.c.name == name).order_by(t.removal.c.serial.desc()).limit(1)
    return connection.execute(query).scalar() in (FREED, DELETED)


def gone(name: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """The same as a condition on a column of names."""
    later = t.removal.alias("later")
    undone = sa.exists().where(later.c.name == t.removal.c.name, later.c.serial > t.removal.c.serial)
    return sa.exists().where(t.removal.c.name == name, t.removal.c.event != RESTORED, ~undone)


def _removal(row: Any) -> Removal:
    return Removal(**{name: row[name] for name in Removal.__dataclass_fields__})
