"""Derived tables: slices of whole days replace rows; objects are clipped, never rewritten."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pyarrow as pa

from filiera.clock import US_PER_DAY
from filiera.core.contract import OPEN
from filiera.core.snapshot import BatchFiles, ObjectRecord, Snapshot
from filiera.lake.semantic import Leaves, hash_rows, merge, times_us
from filiera.lake.store import BEGIN_US, END_US, Store, bounds
from filiera.ledger import snapshots as stored
from filiera.ledger.journal import Tx, as_json
from filiera.ledger.snapshots import StoredBatch


class Derived:
    """Writes the snapshots of derived tables."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def replace_slices(
        self,
        name: str,
        parent: Snapshot | None,
        slices: Sequence[tuple[int | None, int | None, pa.Table]],
        *,
        key: Sequence[str],
        time: str | None,
        classes: Mapping[str, str],
        units: Mapping[str, str | None],
        actor: str,
        effects: Callable[[Tx, Snapshot], None],
    ) -> Snapshot:
        """See `Lake.replace_slices`."""
        written: list[ObjectRecord] = []
        bounded = [_bounded(low, high, rows, time) for low, high, rows in slices]
        try:
            fresh = []
            with ThreadPoolExecutor(1) as beside:  # rows are hashed while they are sealed
                for low, high, rows in bounded:
                    if rows.num_rows:
                        hashes = beside.submit(hash_rows, rows, key, time)
                        files = self._store.write_parts(rows, classes, time, written, None, low, high)
                        fresh.append((files, hashes.result().leaves))
            with self._store.ledger.commit(actor=actor, action="table.write", object=name) as tx:
                snapshot = self._replace(tx, name, parent, bounded, fresh, tuple(key), time, classes, units)
                effects(tx, snapshot)
                tx.details.update(snapshot=snapshot.number, rows=snapshot.rows)
        except BaseException:
            self._store.discard_unnamed(written)
            raise
        return snapshot

    def _replace(
        self,
        tx: Tx,
        name: str,
        parent: Snapshot | None,
        slices: Sequence[tuple[int, int, pa.Table]],
        fresh: Sequence[tuple[BatchFiles, Leaves]],
        key: tuple[str, ...],
        time: str | None,
        classes: Mapping[str, str],
        units: Mapping[str, str | None],
    ) -> Snapshot:
        now = stored.latest(tx.connection, name)
        number = now.number + 1 if now else 1
        shown = stored.visible(tx.connection, name, now.number) if now else []
        base = shown
        if parent is None or now is None or parent.number != now.number:
            base = stored.visible(tx.connection, name, parent.number) if parent else []
            stored.remove_batches(tx, [item.serial for item in shown], number)
            for item in base:
                stored.add_batch(tx, name, number, item.files, item.leaves)
            base = stored.visible(tx.connection, name, number) if base else []
        leaves = [*self._clip(tx, name, number, base, [(low, high) for low, high, _ in slices])]
        for files, sums in fresh:
            self._store.add(tx, name, number, files, sums)
            leaves.append(sums)
        columns = slices[0][2].column_names if slices else list(parent.columns if parent else ())
        schema = _table_schema(slices, parent, classes, units)
        totals = merge(leaves, columns).total()
        low, high = bounds(tx, name, number)
        snapshot = Snapshot(
            id=tx.new_id("snp"),
            table=name,
            number=number,
            parent=parent.id if parent else None,
            rows=totals.rows,
            schema=schema,
            key=key,
            time=time,
            semantic=totals.digest(schema),
            low_us=low,
            high_us=high,
            created_us=tx.now_us,
        )
        stored.insert_snapshot(tx, snapshot, as_json(totals.to_json()))
        return snapshot

    def _clip(
        self, tx: Tx, name: str, number: int, base: Sequence[StoredBatch], holes: Sequence[tuple[int, int]]
    ) -> list[Leaves]:
        """Cut the holes out of the batches' visible ranges; no object is rewritten."""
        remaining = []
        for item in base:
            ranges = [(item.files.low_us, item.files.high_us)]
            for low, high in holes:
                ranges = [part for have in ranges for part in _without(have, (low, high))]
            if ranges == [(item.files.low_us, item.files.high_us)]:
                remaining.append(self._store.leaves_of(item))
                continue
            stored.remove_batches(tx, [item.serial], number)
            for low, high in ranges:
                leaves = self._store.leaves_of(item).restrict(low, high)
                if len(leaves.days):
                    self._store.add(tx, name, number, replace(item.files, low_us=low, high_us=high), leaves)
                    remaining.append(leaves)
        return remaining


def _bounded(low_us: int | None, high_us: int | None, rows: pa.Table, time: str | None) -> tuple[int, int, pa.Table]:
    """A slice with both bounds, and only the rows within them."""
    low, high = BEGIN_US if low_us is None else low_us, END_US if high_us is None else high_us
    if any(bound is not None and bound % US_PER_DAY for bound in (low_us, high_us)):
        raise ValueError(f"a slice is of whole UTC days, not {low_us} to {high_us}")
    if time is None:
        return low, high, rows
    times = times_us(rows.column(time))
    inside = (times >= low) & (times < high)
    return low, high, rows if inside.all() else rows.filter(pa.array(inside))


def _table_schema(
    slices: Sequence[tuple[int, int, pa.Table]],
    parent: Snapshot | None,
    classes: Mapping[str, str],
    units: Mapping[str, str | None],
) -> tuple[Mapping[str, Any], ...]:
    if not slices:
        return parent.schema if parent else ()
    return tuple(
        {
            "name": field.name,
            "type": type_word(field.type),
            "unit": units.get(field.name),
            "class": classes.get(field.name, OPEN),
        }
        for field in slices[0][2].schema
    )


def type_word(kind: pa.DataType) -> str:
    """The type of a column as snapshots record it."""
    if pa.types.is_timestamp(kind):
        return "time"
    if pa.types.is_dictionary(kind):
        return "category"
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "integer"
    return "float" if pa.types.is_floating(kind) else "text"


def _without(have: tuple[int, int], hole: tuple[int, int]) -> list[tuple[int, int]]:
    (a, b), (low, high) = have, hole
    if high <= a or b <= low:
        return [have]
    return [part for part in ((a, min(b, low)), (max(a, high), b)) if part[0] < part[1]]
