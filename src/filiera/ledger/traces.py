"""Traces and the manifests that explain them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import sqlalchemy as sa

from filiera.core.trace import Mark, Run, Trace
from filiera.digest import digest_json
from filiera.ledger import tables as t
from filiera.ledger.journal import Tx, as_json
from filiera.ledger.removals import gone

#: Values in one statement; SQLite takes 32,766 parameters.
_CHUNK = 4_000
_MARKS = sa.select(
    t.trace.c.id,
    t.trace.c.asset,
    t.trace.c.kind,
    t.trace.c.key,
    t.trace.c.output,
    t.trace.c.output_semantic,
    t.trace.c.definition,
    sa.func.coalesce(t.snapshot.c.classes, ""),
    t.trace.c.dynamic,
).join_from(t.trace, t.snapshot, t.snapshot.c.id == t.trace.c.output, isouter=True)

_JSON = ("inputs", "input_snapshots", "parts", "dynamic")


def record(tx: Tx, trace: Trace, *, instead: bool = False) -> None:
    """Write a trace; it answers for its key unless an earlier one does, or `instead` of that."""
    values = {name: getattr(trace, name) for name in Trace.__dataclass_fields__}
    values |= {name: as_json(dict(values[name])) for name in _JSON}
    tx.connection.execute(sa.insert(t.trace).values(project=tx.project, **values))
    mine = (t.canon.c.asset == trace.asset) & (t.canon.c.key == trace.key)
    if tx.connection.execute(sa.select(t.canon.c.trace).where(mine)).first() is None:
        tx.connection.execute(sa.insert(t.canon).values(asset=trace.asset, key=trace.key, trace=trace.id))
    elif instead or find(tx.connection, trace.asset, trace.key) is None:  # the output of the one before was freed
        tx.connection.execute(sa.update(t.canon).where(mine).values(trace=trace.id))


def find(connection: sa.Connection, asset: str, key: str) -> Trace | None:
    """The trace that answers for a key; none when its output was freed."""
    query = (
        sa.select(t.trace)
        .join(t.canon, t.canon.c.trace == t.trace.c.id)
        .where(t.canon.c.asset == asset, t.canon.c.key == key, ~gone(t.trace.c.output))
    )
    row = connection.execute(query).mappings().first()
    return _trace(row) if row else None


def get(connection: sa.Connection, trace_id: str) -> Trace | None:
    """A trace by id."""
    row = connection.execute(sa.select(t.trace).where(t.trace.c.id == trace_id)).mappings().first()
    return _trace(row) if row else None


def marks(connection: sa.Connection, trace_ids: Iterable[str]) -> list[Mark]:
    """Traces by id, in short."""
    found: list[Mark] = []
    for chunk in _chunks(trace_ids):
        found += map(Mark._make, connection.execute(_MARKS.where(t.trace.c.id.in_(chunk))).all())
    return found


def answers(connection: sa.Connection, keys: Mapping[str, str]) -> dict[str, Mark]:
    """The traces that answer for keys, by asset; none whose output was freed.

    Args:
        connection: to the ledger.
        keys: one per asset.
    """
    query = _MARKS.join(t.canon, t.canon.c.trace == t.trace.c.id).where(~gone(t.trace.c.output))
    found: dict[str, Mark] = {}
    for chunk in _chunks(keys.items()):
        wanted = sa.tuple_(t.canon.c.asset, t.canon.c.key).in_(chunk)
        found |= {row.asset: Mark._make(row) for row in connection.execute(query.where(wanted)).all()}
    return found


def runs(connection: sa.Connection, assets: Iterable[str], limit: int = 50) -> dict[str, list[Run]]:
    """What earlier computations of assets took, newest first, at most `limit` of each."""
    c = t.trace.c
    place = sa.func.row_number().over(partition_by=c.asset, order_by=c.created_us.desc()).label("place")
    found: dict[str, list[Run]] = {}
    for chunk in _chunks(assets):
        inner = sa.select(c.asset, c.seconds, c.input_rows, c.output_semantic, place).where(c.asset.in_(chunk))
        newest = inner.subquery()
        query = sa.select(newest).where(newest.c.place <= limit).order_by(newest.c.asset, newest.c.place)
        for row in connection.execute(query):
            found.setdefault(row.asset, []).append(Run(row.seconds, row.input_rows, row.output_semantic))
    return found


def _chunks(items: Iterable[Any]) -> Iterator[list[Any]]:
    waiting = iter(items)
    while chunk := list(islice(waiting, _CHUNK)):
        yield chunk


def of_output(connection: sa.Connection, output: str) -> Trace | None:
    """The trace that made a snapshot or a model version."""
    row = connection.execute(sa.select(t.trace).where(t.trace.c.output == output)).mappings().first()
    return _trace(row) if row else None


def answering(connection: sa.Connection) -> list[Trace]:
    """Every trace that answers for its key, oldest first."""
    query = sa.select(t.trace).join(t.canon, t.canon.c.trace == t.trace.c.id).where(~gone(t.trace.c.output))
    return [_trace(row) for row in connection.execute(query.order_by(t.trace.c.created_us)).mappings()]


def of_kind(connection: sa.Connection, kind: str) -> list[Trace]:
    """Every trace of a kind, oldest first."""
    query = sa.select(t.trace).where(t.trace.c.kind == kind).order_by(t.trace.c.created_us)
    return [_trace(row) for row in connection.execute(query).mappings()]


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
