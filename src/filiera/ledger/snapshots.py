"""Snapshots of tables and the batches that are visible in them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from filiera.core.contract import OPEN
from filiera.core.snapshot import BatchFiles, ObjectRecord, Snapshot
from filiera.ledger import tables as t
from filiera.ledger.journal import Tx, as_json


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBatch:
    """A batch as the ledger holds it."""

    serial: int
    path: str
    files: BatchFiles
    leaves: bytes  #: sums of cell hashes by UTC day and column


def insert_snapshot(tx: Tx, snapshot: Snapshot, totals: str) -> None:
    """Write the next snapshot of a table; its number must be the next one."""
    tx.connection.execute(
        sa.insert(t.snapshot).values(
            id=snapshot.id,
            project=tx.project,
            asset=snapshot.table,
            number=snapshot.number,
            parent=snapshot.parent,
            rows=snapshot.rows,
            schema=as_json(list(snapshot.schema)),
            key=as_json(list(snapshot.key)),
            time=snapshot.time,
            semantic=snapshot.semantic,
            totals=totals,
            classes=",".join(sorted({str(column["class"]) for column in snapshot.schema} - {OPEN})),
            low_us=snapshot.low_us,
            high_us=snapshot.high_us,
            created_us=snapshot.created_us,
        )
    )


def add_batch(tx: Tx, table: str, number: int, files: BatchFiles, leaves: bytes, path: str = "") -> None:
    """Make a batch visible from snapshot `number` on."""
    tx.connection.execute(
        sa.insert(t.batch_file).values(
            project=tx.project,
            asset=table,
            added=number,
            batch=files.batch,
            path=path,
            rows=files.rows,
            low_us=files.low_us,
            high_us=files.high_us,
            min_us=files.min_us,
            max_us=files.max_us,
            parts=as_json({name: part.to_json() for name, part in files.parts.items()}),
            sidecar=as_json(files.sidecar.to_json()) if files.sidecar else None,
            dropped=as_json(list(files.dropped)),
            leaves=leaves,
        )
    )


def remove_batches(tx: Tx, serials: Sequence[int], number: int) -> None:
    """Make batches invisible from snapshot `number` on; earlier snapshots keep them."""
    for start in range(0, len(serials), 500):
        chunk = serials[start : start + 500]
        tx.connection.execute(sa.update(t.batch_file).where(t.batch_file.c.serial.in_(chunk)).values(removed=number))


def latest(connection: sa.Connection, table: str) -> Snapshot | None:
    """The newest snapshot of a table."""
    query = sa.select(t.snapshot).where(t.snapshot.c.asset == table).order_by(t.snapshot.c.number.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    return _snapshot(row) if row else None


def get(connection: sa.Connection, snapshot_id: str) -> Snapshot | None:
    """A snapshot by id."""
    row = connection.execute(sa.select(t.snapshot).where(t.snapshot.c.id == snapshot_id)).mappings().first()
    return _snapshot(row) if row else None


def totals(connection: sa.Connection, snapshot_id: str) -> str:
    """The sums of cell hashes by column, as they were written with the snapshot."""
    return str(connection.execute(sa.select(t.snapshot.c.totals).where(t.snapshot.c.id == snapshot_id)).scalar_one())


def list_snapshots(connection: sa.Connection, table: str) -> list[Snapshot]:
    """All snapshots of a table, oldest first."""
    query = sa.select(t.snapshot).where(t.snapshot.c.asset == table).order_by(t.snapshot.c.number)
    return [_snapshot(row) for row in connection.execute(query).mappings()]


def visible(
    connection: sa.Connection,
    table: str,
    number: int,
    *,
    min_us: int | None = None,
    max_us: int | None = None,
    added_after: int | None = None,
) -> list[StoredBatch]:
    """The batches of a snapshot, by time range where one is given, oldest first."""
    c = t.batch_file.c
    query = sa.select(t.batch_file).where(
        c.asset == table, c.added <= number, sa.or_(c.removed.is_(None), c.removed > number)
    )
    if min_us is not None:
        query = query.where(c.max_us >= min_us, c.high_us > min_us)
    if max_us is not None:
        query = query.where(c.min_us <= max_us, c.low_us <= max_us)
    if added_after is not None:
        query = query.where(c.added > added_after)
    return [_batch(row) for row in connection.execute(query.order_by(c.serial)).mappings()]


def written_bounds(connection: sa.Connection, table: str) -> dict[str, tuple[int, int]]:
    """The range that each batch of a table was written for, before anything was cut out of it."""
    c = t.batch_file.c
    query = sa.select(c.batch, c.low_us, c.high_us).where(c.asset == table).order_by(c.serial.desc())
    return {batch: (low, high) for batch, low, high in connection.execute(query)}


def object_ids(connection: sa.Connection) -> Iterable[str]:
    """Every object that some snapshot of a table refers to."""
    for parts, sidecar in connection.execute(sa.select(t.batch_file.c.parts, t.batch_file.c.sidecar)):
        yield from (part["object_id"] for part in json.loads(parts).values())
        if sidecar:
            yield json.loads(sidecar)["object_id"]


def _snapshot(row: Mapping[Any, Any]) -> Snapshot:
    return Snapshot(
        id=row["id"],
        table=row["asset"],
        number=row["number"],
        parent=row["parent"],
        rows=row["rows"],
        schema=tuple(json.loads(row["schema"])),
        key=tuple(json.loads(row["key"])),
        time=row["time"],
        semantic=row["semantic"],
        low_us=row["low_us"],
        high_us=row["high_us"],
        created_us=row["created_us"],
    )


def _batch(row: Mapping[Any, Any]) -> StoredBatch:
    return StoredBatch(
        serial=row["serial"],
        path=row["path"],
        files=BatchFiles(
            batch=row["batch"],
            rows=row["rows"],
            low_us=row["low_us"],
            high_us=row["high_us"],
            min_us=row["min_us"],
            max_us=row["max_us"],
            parts={name: ObjectRecord(**part) for name, part in json.loads(row["parts"]).items()},
            sidecar=ObjectRecord(**json.loads(row["sidecar"])) if row["sidecar"] else None,
            dropped=tuple(json.loads(row["dropped"])),
        ),
        leaves=row["leaves"],
    )


def time_bounds(connection: sa.Connection, table: str, number: int) -> tuple[int | None, int | None]:
    """Earliest and latest time of a snapshot; both None when it has no rows."""
    c = t.batch_file.c
    query = sa.select(
        sa.func.min(sa.func.max(c.min_us, c.low_us)), sa.func.max(sa.func.min(c.max_us, c.high_us - 1))
    ).where(c.asset == table, c.added <= number, sa.or_(c.removed.is_(None), c.removed > number))
    low, high = connection.execute(query).one()
    return low, high
