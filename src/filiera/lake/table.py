"""Tables: append checked batches, replace slices of derived tables, find snapshots.

To commit is: 1. write the sealed objects and sync them, 2. one transaction that inserts batch, snapshot, source file,
quarantine index and audit entry. A process that dies between the two leaves objects that nothing names; they are swept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filiera.core.batch import QUARANTINE_COLUMNS, CheckedBatch
from filiera.core.contract import OPEN, Contract
from filiera.core.snapshot import BatchFiles, ObjectRecord, Snapshot
from filiera.errors import NotFoundError
from filiera.lake.objects import LocalObjects
from filiera.lake.rows import read_rows
from filiera.lake.semantic import Leaves, RowHashes, Totals, hash_rows, merge, times_us
from filiera.lake.sidecar import Sidecar
from filiera.ledger import snapshots as stored
from filiera.ledger import sources
from filiera.ledger.journal import Ledger, Tx, as_json
from filiera.ledger.snapshots import StoredBatch

BEGIN_US, END_US = -(2**62), 2**62  #: bounds of a batch all of whose rows belong to the snapshot
CACHED_SIDECARS = 4096


class _Moved(Exception):
    """Another writer committed rows with the same keys since we looked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """Where the records of a batch went."""

    snapshot: Snapshot | None  #: None when no row was new
    counts: sources.Counts


class Lake:
    """The tables of one project."""

    def __init__(self, ledger: Ledger, objects: LocalObjects) -> None:
        self.ledger = ledger
        self.objects = objects
        self._sidecars: dict[str, Sidecar] = {}

    # ---- reading what is there

    def latest(self, table: str) -> Snapshot | None:
        """The newest snapshot, or None when there is none."""
        with self.ledger.reading() as connection:
            return stored.latest(connection, table)

    def snapshot(self, table: str, *, number: int | None = None, at_us: int | None = None) -> Snapshot:
        """A snapshot by number, by time, or the newest.

        Raises:
            NotFoundError: there is none; says which there are.
        """
        with self.ledger.reading() as connection:
            found = stored.list_snapshots(connection, table)
        if not found:
            raise NotFoundError("table.no_snapshot", f"{table} has no snapshot yet", next="`filiera apply` makes one")
        fitting = [
            s for s in found if (number is None or s.number == number) and (at_us is None or s.created_us <= at_us)
        ]
        if not fitting:
            raise NotFoundError(
                "table.no_snapshot", f"{table} has no such snapshot",
                expected=f"a number from {found[0].number} to {found[-1].number}, or a time after the first",
            )
        return fitting[-1]

    def totals(self, snapshot: Snapshot) -> Totals:
        """Sums of cell hashes of a snapshot."""
        with self.ledger.reading() as connection:
            return Totals.from_json(json.loads(stored.totals(connection, snapshot.id)))

    def leaves(self, snapshot: Snapshot) -> Leaves:
        """Sums of cell hashes by UTC day of a snapshot."""
        with self.ledger.reading() as connection:
            batches = stored.visible(connection, snapshot.table, snapshot.number)
        return merge([_leaves_of(batch) for batch in batches], snapshot.columns)

    def rows(
        self,
        snapshot: Snapshot,
        columns: Sequence[str] | None = None,
        low_us: int | None = None,
        high_us: int | None = None,
    ) -> pa.Table:
        """Rows sorted by (time, key). Only the Reader of `lake.access` hands them on."""
        with self.ledger.reading() as connection:
            batches = stored.visible(
                connection, snapshot.table, snapshot.number,
                min_us=low_us, max_us=None if high_us is None else high_us - 1,
            )  # fmt: skip
        return read_rows(self.objects, snapshot, [b.files for b in batches], columns, low_us, high_us)

    # ---- appending checked batches of a source

    def ingest(self, batch: CheckedBatch, contract: Contract, *, actor: str, part: int = 0, last: bool = True) -> Ingested:
        """Commit a checked batch: new rows, quarantine and the file's record, all or nothing.

        Exact repeats of committed rows are counted as duplicates. A row with the key of a committed row and other
        values goes to quarantine, or replaces it where the contract says `on_conflict = "newest"`. With
        `files = "replace"` the rows of earlier versions of the same file leave.
        """
        table = batch.accepted
        hashes = hash_rows(table, contract.key, contract.time)
        while True:
            try:
                return self._try_ingest(batch, contract, table, hashes, actor, part, last)
            except _Moved:
                continue

    def _try_ingest(
        self,
        batch: CheckedBatch,
        contract: Contract,
        table: pa.Table,
        hashes: RowHashes,
        actor: str,
        part: int,
        last: bool,
    ) -> Ingested:
        name = batch.file.source
        head = self.latest(name)
        overlap = self._overlap(head, contract, table)
        leaving = self._leaving(head, contract, batch, part)
        gone = {item.serial for item in leaving}
        staying = [item for item in overlap if item.serial not in gone]
        repeated, conflicting, hits = self._compare(hashes, staying)
        newest = contract.on_conflict == "newest"
        keep = ~repeated & (True if newest else ~conflicting)
        refused = batch.quarantined if newest else _with_conflicts(batch, conflicting, staying, hits)
        accepted = table.filter(pa.array(keep)) if not keep.all() else table
        kept = RowHashes(hashes.key[keep], hashes.value[keep], hash_rows(accepted, contract.key, contract.time).leaves)
        counts = sources.Counts(
            rows_read=batch.rows_read,
            accepted=accepted.num_rows,
            quarantined=refused.num_rows,
            duplicates=batch.duplicates + int(repeated.sum()),
            nulled=batch.nulled,
            ignored=batch.ignored,
        )
        changes = [(item, positions) for item, positions in hits if newest and len(positions)]
        written: list[ObjectRecord] = []
        try:
            files = self._write_batch(accepted, contract, kept, written) if accepted.num_rows else None
            poor = self.objects.put(_to_ipc(refused)) if refused.num_rows else None
            written += [poor] if poor else []
            with self.ledger.commit(actor=actor, action="source.ingest", object=f"{name}:{batch.file.path}") as tx:
                self._check_unmoved(tx, name, head.number if head else 0, contract, table, hashes)
                snapshot = None
                if files is not None or leaving or changes:
                    snapshot = self._append(tx, head, contract, name, batch, files, kept, leaving, changes)
                batch_id = files.batch if files else None
                if poor is not None:
                    sources.record_quarantine(
                        tx, source=name, batch=batch_id or "", path=batch.file.path,
                        reasons=_count_reasons(refused), object=poor,
                    )  # fmt: skip
                sources.record_file(
                    tx, batch.file, state="accepted" if last else "part", counts=counts,
                    contract_digest=batch.contract_digest, part=part, batch=batch_id,
                )  # fmt: skip
                tx.details.update(
                    digest=batch.file.digest, rows_read=counts.rows_read, accepted=counts.accepted,
                    quarantined=counts.quarantined, duplicates=counts.duplicates,
                    snapshot=snapshot.number if snapshot else None,
                )  # fmt: skip
        except BaseException:
            self.objects.discard(written)
            raise
        return Ingested(snapshot=snapshot, counts=counts)

    def _overlap(self, head: Snapshot | None, contract: Contract, table: pa.Table) -> list[StoredBatch]:
        if head is None or table.num_rows == 0:
            return []
        low, high = _span(table, contract.time)
        with self.ledger.reading() as connection:
            return stored.visible(connection, head.table, head.number, min_us=low, max_us=high)

    def _leaving(self, head: Snapshot | None, contract: Contract, batch: CheckedBatch, part: int) -> list[StoredBatch]:
        if head is None or contract.files != "replace" or part > 0:
            return []
        with self.ledger.reading() as connection:
            return [b for b in stored.visible(connection, head.table, head.number) if b.path == batch.file.path]

    def _compare(
        self, hashes: RowHashes, batches: Sequence[StoredBatch]
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], list[tuple[StoredBatch, npt.NDArray[np.int64]]]]:
        """Rows that are repeated, rows that conflict, and per batch the positions of its rows in conflict."""
        repeated = np.zeros(len(hashes.key), bool)
        conflicting = np.zeros(len(hashes.key), bool)
        hits = []
        for item in batches:
            same, other, position = self._sidecar(item).match(hashes)
            alive = ~np.isin(position, np.array(item.files.dropped, np.int64))
            repeated |= same & alive
            conflicting |= other & alive
            hits.append((item, position[other & alive]))
        return repeated, conflicting & ~repeated, hits

    def _sidecar(self, item: StoredBatch) -> Sidecar:
        record = item.files.sidecar
        assert record is not None, "batches of sources have sidecars"
        if record.object_id not in self._sidecars:
            if len(self._sidecars) >= CACHED_SIDECARS:
                self._sidecars.clear()
            self._sidecars[record.object_id] = Sidecar.from_bytes(self.objects.get(record))
        return self._sidecars[record.object_id]

    def _check_unmoved(
        self, tx: Tx, name: str, seen: int, contract: Contract, table: pa.Table, hashes: RowHashes
    ) -> None:
        """Look again, inside the transaction, at what other writers committed since."""
        now = stored.latest(tx.connection, name)
        if now is None or now.number == seen:
            return
        if contract.files == "replace":
            raise _Moved
        low, high = _span(table, contract.time)
        newer = stored.visible(tx.connection, name, now.number, min_us=low, max_us=high, added_after=seen)
        repeated, conflicting, _ = self._compare(hashes, newer)
        if repeated.any() or conflicting.any():
            raise _Moved

    def _write_batch(
        self, table: pa.Table, contract: Contract, hashes: RowHashes, written: list[ObjectRecord]
    ) -> BatchFiles:
        classes = {column.name: column.column_class for column in contract.columns}
        sidecar = self.objects.put(Sidecar.of(hashes).to_bytes())
        written.append(sidecar)
        return self._write_parts(table, classes, contract.time, written, sidecar)

    def _write_parts(
        self,
        table: pa.Table,
        classes: Mapping[str, str],
        time: str | None,
        written: list[ObjectRecord],
        sidecar: ObjectRecord | None,
        low_us: int = BEGIN_US,
        high_us: int = END_US,
    ) -> BatchFiles:
        """One object per column class, rows in the same order."""
        parts = {}
        for name in sorted({classes.get(column, OPEN) for column in table.column_names}):
            columns = [column for column in table.column_names if classes.get(column, OPEN) == name]
            parts[name] = self.objects.put_table(table.select(columns))
            written.append(parts[name])
        least, most = _span(table, time)
        return BatchFiles(
            batch=parts[next(iter(parts))].object_id,
            rows=table.num_rows,
            low_us=low_us,
            high_us=high_us,
            min_us=least,
            max_us=most,
            parts=parts,
            sidecar=sidecar,
        )

    def _append(
        self,
        tx: Tx,
        head: Snapshot | None,
        contract: Contract,
        name: str,
        batch: CheckedBatch,
        files: BatchFiles | None,
        hashes: RowHashes,
        leaving: Sequence[StoredBatch],
        changes: Sequence[tuple[StoredBatch, npt.NDArray[np.int64]]],
    ) -> Snapshot:
        now = stored.latest(tx.connection, name)
        number = now.number + 1 if now else 1
        totals = _totals(tx, now)
        for item in leaving:
            totals = totals.plus(_leaves_of(item).total(), -1)
        stored.remove_batches(tx, [item.serial for item in leaving], number)
        for item, positions in changes:
            totals = totals.plus(self._drop(tx, name, number, item, positions, contract), -1)
        if files is not None:
            totals = totals.plus(hashes.leaves.total())
            stored.add_batch(tx, name, number, files, hashes.leaves.to_bytes(), batch.file.path)
        schema = schema_of(contract)
        low, high = _bounds(tx, name, number)
        snapshot = Snapshot(
            id=tx.new_id("snp"),
            table=name,
            number=number,
            parent=now.id if now else None,
            rows=totals.rows,
            schema=schema,
            key=contract.key,
            time=contract.time,
            semantic=totals.digest(schema),
            low_us=low,
            high_us=high,
            created_us=tx.now_us,
        )
        stored.insert_snapshot(tx, snapshot, as_json(totals.to_json()))
        return snapshot

    def _drop(
        self, tx: Tx, name: str, number: int, item: StoredBatch, positions: npt.NDArray[np.int64], contract: Contract
    ) -> Totals:
        """Let newer rows take the place of some rows of a committed batch; gives the sums that leave."""
        tables = [self.objects.get_table(part) for part in item.files.parts.values()]
        whole = pa.table({c: t.column(c) for t in tables for c in t.column_names}).select(contract.names)
        gone = hash_rows(whole.take(pa.array(np.unique(positions))), contract.key, contract.time).leaves
        dropped = tuple(sorted({*item.files.dropped, *(int(p) for p in positions)}))
        leaves = _subtract(_leaves_of(item), gone)
        stored.remove_batches(tx, [item.serial], number)
        stored.add_batch(tx, name, number, replace(item.files, dropped=dropped), leaves.to_bytes(), item.path)
        return gone.total()

    # ---- derived tables

    def replace_slices(
        self,
        name: str,
        parent: Snapshot | None,
        slices: Sequence[tuple[int, int, pa.Table]],
        *,
        key: Sequence[str],
        time: str | None,
        classes: Mapping[str, str],
        units: Mapping[str, str | None],
        actor: str,
        effects: Callable[[Tx, Snapshot], None],
    ) -> Snapshot:
        """The next snapshot of a derived table: the parent's rows, with those of each slice replaced.

        Args:
            name: the table.
            parent: the snapshot whose rows stay outside the slices; None = nothing stays.
            slices: (low_us, high_us, rows); whole UTC days; rows outside are an error of the caller.
            key: columns that identify a row.
            time: the time column, or None for a table that is replaced whole.
            classes: column class by column, where it is not open.
            units: unit by column, where it has one.
            actor: who, for the audit entry.
            effects: further effects of the same transaction, such as the trace.
        """
        written: list[ObjectRecord] = []
        try:
            fresh = []
            for low, high, rows in slices:
                if rows.num_rows:
                    hashes = hash_rows(rows, key, time)
                    files = self._write_parts(rows, classes, time, written, None, low, high)
                    fresh.append((files, hashes.leaves))
            with self.ledger.commit(actor=actor, action="table.write", object=name) as tx:
                snapshot = self._replace(tx, name, parent, slices, fresh, tuple(key), time, classes, units)
                effects(tx, snapshot)
                tx.details.update(snapshot=snapshot.number, rows=snapshot.rows)
        except BaseException:
            self.objects.discard(written)
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
            stored.add_batch(tx, name, number, files, sums.to_bytes())
            leaves.append(sums)
        columns = slices[0][2].column_names if slices else list(parent.columns if parent else ())
        schema = _table_schema(slices, parent, classes, units)
        totals = merge(leaves, columns).total()
        low, high = _bounds(tx, name, number)
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
                remaining.append(_leaves_of(item))
                continue
            stored.remove_batches(tx, [item.serial], number)
            for low, high in ranges:
                leaves = Leaves.from_bytes(item.leaves).restrict(low, high)
                if len(leaves.days):
                    stored.add_batch(
                        tx, name, number, replace(item.files, low_us=low, high_us=high), leaves.to_bytes()
                    )
                    remaining.append(leaves)
        return remaining


def schema_of(contract: Contract) -> tuple[Mapping[str, Any], ...]:
    """The columns of a source table, as snapshots record them."""
    return tuple(
        {"name": c.name, "type": c.type.value, "unit": c.unit, "class": c.column_class} for c in contract.columns
    )


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
            "type": _type_word(field.type),
            "unit": units.get(field.name),
            "class": classes.get(field.name, OPEN),
        }
        for field in slices[0][2].schema
    )


def _type_word(kind: pa.DataType) -> str:
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


def _leaves_of(item: StoredBatch) -> Leaves:
    return Leaves.from_bytes(item.leaves)


def _subtract(whole: Leaves, gone: Leaves) -> Leaves:
    minus = Leaves(gone.columns, gone.days, -gone.rows, np.zeros_like(gone.sums) - gone.sums)
    return merge([whole, minus], whole.columns)


def _totals(tx: Tx, snapshot: Snapshot | None) -> Totals:
    if snapshot is None:
        return Totals(0, {})
    return Totals.from_json(json.loads(stored.totals(tx.connection, snapshot.id)))


def _bounds(tx: Tx, name: str, number: int) -> tuple[int | None, int | None]:
    return stored.time_bounds(tx.connection, name, number)


def _span(table: pa.Table, time: str | None) -> tuple[int, int]:
    if time is None or table.num_rows == 0:
        return 0, 0
    times = times_us(table.column(time))
    return int(times.min()), int(times.max())


def _with_conflicts(
    batch: CheckedBatch,
    conflicting: npt.NDArray[np.bool_],
    batches: Sequence[StoredBatch],
    hits: Sequence[tuple[StoredBatch, npt.NDArray[np.int64]]],
) -> pa.Table:
    """The quarantine of a batch, with the rows whose key is committed with other values."""
    if not conflicting.any():
        return batch.quarantined
    found = batch.originals([int(record) for record in batch.records[conflicting]])
    earlier = sorted({item.path for item, positions in hits if len(positions)})
    rows = found.num_rows
    texts = {"reason": "conflict", "column": "", "detail": f"another row of this key came with {', '.join(earlier)}"}
    for name, text in texts.items():
        index = found.column_names.index(name)
        found = found.set_column(index, name, pa.array([text] * rows, pa.string()))
    return pa.concat_tables([batch.quarantined, found.select(QUARANTINE_COLUMNS)], promote_options="permissive")


def _count_reasons(quarantined: pa.Table) -> dict[str, int]:
    counted = pc.value_counts(quarantined.column("reason")).to_pylist()
    return {str(item["values"]): int(item["counts"]) for item in counted}


def _to_ipc(table: pa.Table) -> bytes:
    out = pa.BufferOutputStream()
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    return bytes(out.getvalue())


def from_ipc(raw: bytes) -> pa.Table:
    """A table from Arrow IPC bytes, such as a quarantine object."""
    return pa.ipc.open_file(pa.BufferReader(raw)).read_all()
