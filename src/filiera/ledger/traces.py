"""Traces and the manifests that explain them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from filiera.core.trace import Trace
from filiera.digest import digest_json
from filiera.ledger import tables as t
from filiera.ledger.journal import Tx, as_json

_JSON = ("inputs", "input_snapshots", "parts", "dynamic")


def record(tx: Tx, trace: Trace, *, instead: bool = False) -> None:
    """Write a trace; it answers for its key unless an earlier one does, or `instead` of that."""
    values = {name: getattr(trace, name) for name in Trace.__dataclass_fields__}
    values |= {name: as_json(dict(values[name])) for name in _JSON}
    tx.connection.execute(sa.insert(t.trace).values(project=tx.project, **values))
    if find(tx.connection, trace.asset, trace.key) is None:
        tx.connection.execute(sa.insert(t.canon).values(asset=trace.asset, key=trace.key, trace=trace.id))
    elif instead:
        mine = (t.canon.c.asset == trace.asset) & (t.canon.c.key == trace.key)
        tx.connection.execute(sa.update(t.canon).where(mine).values(trace=trace.id))


def find(connection: sa.Connection, asset: str, key: str) -> Trace | None:
    """The trace that answers for a key."""
    query = (
        sa.select(t.trace)
        .join(t.canon, t.canon.c.trace == t.trace.c.id)
        .where(t.canon.c.asset == asset, t.canon.c.key == key)
    )
    row = connection.execute(query).mappings().first()
    return _trace(row) if row else None


def get(connection: sa.Connection, trace_id: str) -> Trace | None:
    """A trace by id."""
    row = connection.execute(sa.select(t.trace).where(t.trace.c.id == trace_id)).mappings().first()
    return _trace(row) if row else None


def of_output(connection: sa.Connection, output: str) -> Trace | None:
    """The trace that made a snapshot or a model version."""
    row = connection.execute(sa.select(t.trace).where(t.trace.c.output == output)).mappings().first()
    return _trace(row) if row else None


def history(connection: sa.Connection, asset: str, limit: int = 50) -> list[Trace]:
    """The asset's traces, newest first."""
    query = sa.select(t.trace).where(t.trace.c.asset == asset).order_by(t.trace.c.created_us.desc()).limit(limit)
    return [_trace(row) for row in connection.execute(query).mappings()]


def put_manifest(tx: Tx, body: Mapping[str, Any]) -> str:
    """Store a manifest by content; gives its digest."""
    digest = digest_json("manifest", 1, body)
    exists = sa.select(t.manifest.c.digest).where(t.manifest.c.digest == digest)
    if tx.connection.execute(exists).first() is None:
        tx.connection.execute(sa.insert(t.manifest).values(digest=digest, body=as_json(body)))
    return digest


def get_manifest(connection: sa.Connection, digest: str) -> dict[str, Any]:
    """A manifest by digest; empty when it is not known."""
    body = connection.execute(sa.select(t.manifest.c.body).where(t.manifest.c.digest == digest)).scalar()
    found: dict[str, Any] = json.loads(body) if body else {}
    return found


def _trace(row: Mapping[Any, Any]) -> Trace:
    values = {name: row[name] for name in Trace.__dataclass_fields__}
    return Trace(**(values | {name: json.loads(values[name]) for name in _JSON}))
