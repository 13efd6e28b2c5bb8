"""Holds: snapshots and model versions that somebody wants kept, whatever environments do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from filiera.ledger import tables as t
from filiera.ledger.journal import Tx


@dataclass(frozen=True, slots=True)
class Hold:
    """A snapshot or model version that is kept until the hold is released."""

    output: str  #: id of the snapshot or the model version
    label: str  #: `features@3`
    reason: str
    actor: str
    created_us: int


def place(tx: Tx, output: str, label: str, reason: str, actor: str) -> None:
    """Begin a hold."""
    values = {"output": output, "label": label, "reason": reason, "actor": actor, "created_us": tx.now_us}
    tx.connection.execute(sa.insert(t.hold).values(project=tx.project, **values))


def release(tx: Tx, output: str) -> int:
    """End every hold of an output; gives their number."""
    open_ones = (t.hold.c.output == output) & t.hold.c.released_us.is_(None)
    return int(tx.connection.execute(sa.update(t.hold).where(open_ones).values(released_us=tx.now_us)).rowcount)


def standing(connection: sa.Connection) -> list[Hold]:
    """Holds that were not released, oldest first."""
    query = sa.select(t.hold).where(t.hold.c.released_us.is_(None)).order_by(t.hold.c.serial)
    return [_hold(row) for row in connection.execute(query).mappings()]


def _hold(row: Any) -> Hold:
    return Hold(**{name: row[name] for name in Hold.__dataclass_fields__})
