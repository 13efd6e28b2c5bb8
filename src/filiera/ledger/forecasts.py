"""Forecasts beside what the steps took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from filiera.ledger import tables as t
from filiera.ledger.journal import Tx

FIELDS = ("asset", "operation", "p10_s", "expected_s", "p90_s", "actual_s", "guess")


def record(tx: Tx, run: str, forecasts: Sequence[Mapping[str, Any]]) -> None:
    """Keep the forecasts of one run; each has the names of `FIELDS`."""
    for item in forecasts:
        values = {"run": run, "project": tx.project, "created_us": tx.now_us, **item, "guess": int(item["guess"])}
        tx.connection.execute(sa.insert(t.forecast).values(values))


def newest(connection: sa.Connection, limit: int) -> list[dict[str, Any]]:
    """The newest forecasts first."""
    query = sa.select(t.forecast).order_by(t.forecast.c.serial.desc()).limit(limit)
    rows = connection.execute(query).mappings()
    return [{name: row[name] for name in FIELDS} | {"guess": bool(row["guess"])} for row in rows]
