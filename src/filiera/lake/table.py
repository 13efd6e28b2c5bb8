"""Tables: append checked batches, replace slices of derived tables, find snapshots.

To commit is: 1. write the sealed objects and sync them, 2. one transaction that inserts batch, snapshot, source file,
quarantine index and audit entry. A process that dies between the two leaves objects that nothing names; they are swept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filiera.clock import US_PER_DAY
from filiera.core.batch import QUARANTINE_COLUMNS, CheckedBatch
from filiera.core.contract import OPEN, Contract
from filiera.core.snapshot import BatchFiles, ObjectRecord, Snapshot
from filiera.errors import ConflictError, ContractError, NotFoundError
from filiera.lake.objects import LocalObjects
from filiera.lake.rows import read_batch, read_rows
from filiera.lake.semantic import Lanes, Leaves, RowHashes, Totals, hash_rows, merge, times_us
from filiera.lake.sidecar import Sidecar
from filiera.ledger import snapshots as stored
from filiera.ledger import sources
from filiera.ledger.journal import Ledger, Tx, as_json
from filiera.ledger.named import named, object_ids
from filiera.ledger.snapshots import StoredBatch

BEGIN_US, END_US = -(2**62), 2**62  #: bounds of a batch all of whose rows belong to the snapshot
CACHED_ROWS = 4_000_000  #: of sidecars kept in memory; 40 bytes each


class _MovedError(Exception):
    """Another writer committed rows with the same keys since we looked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """Where the records of a batch went."""

    snapshot: Snapshot | None  #: None when no row was new
    counts: sources.Counts


@dataclass(frozen=True, slots=True)
class _Met:
    """What rows met among the committed ones."""

    repeated: npt.NDArray[np.bool_]  #: an equal row is there
    conflicting: npt.NDArray[np.bool_]  #: a row of the same key with other values is there
    paths: npt.NDArray[np.object_]  #: the file that brought the conflicting row
    hits: list[tuple[StoredBatch, npt.NDArray[np.int64]]]  #: batches in conflict, and which of their rows


@dataclass(frozen=True, slots=True)
class _Edit:
    """Rows of a committed batch that the next snapshot hides or shows again, by position."""

    item: StoredBatch
    hide: npt.NDArray[np.int64]
    show: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What a batch does to a table."""

    rows: pa.Table  #: rows to store
    hidden: tuple[int, ...]  #: those of them that no reader sees, because another file has the same
    key: Lanes
    value: Lanes
    leaves: Leaves  #: sums of the rows that are seen
    refused: pa.Table
    repeated: int
    leaving: tuple[StoredBatch, ...]
    edits: tuple[_Edit, ...]


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
                "table.no_snapshot",
                f"{table} has no such snapshot",
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
        return merge([self._leaves_of(batch) for batch in batches], snapshot.columns)

    def rows(
        self,
        snapshot: Snapshot,
        columns: Sequence[str] | None = None,
        low_us: int | None = None,
        high_us: int | None = None,
        unsorted_by: Collection[str] = (),
    ) -> pa.Table:
        """Rows sorted by (time, key). Only the Reader of `lake.access` hands them on."""
        with self.ledger.reading() as connection:
            batches = stored.visible(
                connection, snapshot.table, snapshot.number,
                min_us=low_us, max_us=None if high_us is None else high_us - 1,
            )  # fmt: skip
        files = [batch.files for batch in batches]
        return read_rows(self.objects, snapshot, files, columns, low_us, high_us, unsorted_by)

    # ---- appending checked batches of a source

    def ingest(
        self,
        batch: CheckedBatch,
        contract: Contract,
        *,
        actor: str,
        part: int = 0,
        last: bool = True,
        releasing: Sequence[sources.QuarantineRecord] = (),
    ) -> Ingested:
        """Commit a checked batch: new rows, quarantine and the file's record, all or nothing.

        Exact repeats of committed rows are counted as duplicates. A row with the key of a committed row and other
        values goes to quarantine, or replaces it where the contract says `on_conflict = "newest"`. With
        `files = "replace"` the rows of earlier versions of the same file leave.

        `releasing` are the quarantine records that the batch was made of: they are closed in the same transaction,
        and the batch's counts say where their rows went, so that the sums of the source still add up.
        """
        hashes = hash_rows(batch.accepted, contract.key, contract.time)
        while True:
            try:
                return self._try_ingest(batch, contract, hashes, actor, part, last, releasing)
            except _MovedError:
                continue

    def _try_ingest(
        self,
        batch: CheckedBatch,
        contract: Contract,
        hashes: RowHashes,
        actor: str,
        part: int,
        last: bool,
        releasing: Sequence[sources.QuarantineRecord],
    ) -> Ingested:
        name = batch.file.source
        head = self.latest(name)
        _refuse_other_types(head, contract)
        change = self._plan_change(head, contract, batch, hashes, part)
        released = sum(record.rows for record in releasing)
        counts = sources.Counts(
            rows_read=batch.rows_read - released,
            accepted=change.leaves.total().rows,
            quarantined=change.refused.num_rows - released,
            duplicates=batch.duplicates + change.repeated,
            nulled=batch.nulled,
            ignored=batch.ignored,
        )
        written: list[ObjectRecord] = []
        try:
            files = self._write_batch(change, contract, written)
            poor = self.objects.put(_to_ipc(change.refused)) if change.refused.num_rows else None
            written += [poor] if poor else []
            with self.ledger.commit(actor=actor, action="source.ingest", object=f"{name}:{batch.file.path}") as tx:
                self._check_unmoved(tx, name, head.number if head else 0, contract, batch.accepted, hashes)
                snapshot = None
                if files is not None or change.leaving or change.edits:
                    snapshot = self._append(tx, contract, batch, files, change)
                if releasing:
                    sources.release_quarantine(tx, [record.serial for record in releasing])
                state = sources.RELEASED if releasing else "accepted" if last else "part"
                self._record(tx, batch, counts, files, poor, _count_reasons(change.refused), part, state)
                tx.details.update(snapshot=snapshot.number if snapshot else None)
        except BaseException:
            self._discard_unnamed(written)
            raise
        return Ingested(snapshot=snapshot, counts=counts)

    def _plan_change(
        self, head: Snapshot | None, contract: Contract, batch: CheckedBatch, hashes: RowHashes, part: int
    ) -> _Change:
        """What the batch does to the newest snapshot, decided without a lock."""
        table, newest = batch.accepted, contract.on_conflict == "newest"
        leaving = self._leaving(head, contract, batch, part)
        revived = {item.serial: (item, rows) for item, rows in self._revived(head, leaving)}
        gone = {item.serial for item in leaving}
        staying = [
            revived[item.serial][0] if item.serial in revived else item
            for item in self._overlap(head, contract, table)
            if item.serial not in gone
        ]
        met = self._compare(hashes, staying)
        keep = ~met.repeated if newest else ~met.repeated & ~met.conflicting
        # a replaced file may take rows with it that this file repeats, so its repeats are stored, but not shown
        store = keep | met.repeated if contract.files == "replace" else keep
        none = np.zeros(0, np.int64)
        edits = {serial: _Edit(item, none, rows) for serial, (item, rows) in revived.items()}
        for item, rows in met.hits if newest else ():
            edits[item.serial] = _Edit(item, rows, revived[item.serial][1] if item.serial in revived else none)
        return _Change(
            rows=table if store.all() else table.filter(pa.array(store)),
            hidden=tuple(int(position) for position in np.flatnonzero(met.repeated[store])),
            key=hashes.key[store],
            value=hashes.value[store],
            leaves=hashes.leaves
            if keep.all()
            else hash_rows(table.filter(pa.array(keep)), contract.key, contract.time).leaves,
            refused=batch.quarantined if newest else _with_conflicts(batch, met),
            repeated=int(met.repeated.sum()),
            leaving=tuple(leaving),
            edits=tuple(edits.values()),
        )

    def _record(
        self,
        tx: Tx,
        batch: CheckedBatch,
        counts: sources.Counts,
        files: BatchFiles | None,
        poor: ObjectRecord | None,
        reasons: Mapping[str, int],
        part: int,
        state: str,
    ) -> None:
        """Where the records of the batch went, and the audit entry's details."""
        source, path, batch_id = batch.file.source, batch.file.path, files.batch if files else None
        if poor is not None:
            sources.record_quarantine(
                tx, source=source, batch=batch_id or "", path=path, reasons=reasons, object=poor
            )  # fmt: skip
        sources.record_file(
            tx, batch.file, state=state, counts=counts,
            contract_digest=batch.contract_digest, part=part, batch=batch_id,
        )  # fmt: skip
        tx.details.update(
            digest=batch.file.digest, rows_read=counts.rows_read, accepted=counts.accepted,
            quarantined=counts.quarantined, duplicates=counts.duplicates,
        )  # fmt: skip

    def _overlap(self, head: Snapshot | None, contract: Contract, table: pa.Table) -> list[StoredBatch]:
        if head is None or table.num_rows == 0:
            return []
        low, high = _key_span(table, contract)
        with self.ledger.reading() as connection:
            return stored.visible(connection, head.table, head.number, min_us=low, max_us=high)

    def _leaving(self, head: Snapshot | None, contract: Contract, batch: CheckedBatch, part: int) -> list[StoredBatch]:
        if head is None or contract.files != "replace" or part > 0:
            return []
        with self.ledger.reading() as connection:
            return [b for b in stored.visible(connection, head.table, head.number) if b.path == batch.file.path]

    def _revived(
        self, head: Snapshot | None, leaving: Sequence[StoredBatch]
    ) -> list[tuple[StoredBatch, npt.NDArray[np.int64]]]:
        """Hidden rows of other files that come back, because the row that hid them leaves."""
        if head is None or not leaving:
            return []
        sides = [(self._sidecar(item), item.files.dropped) for item in leaving]
        wanted = np.concatenate([_pairs(side, ~np.isin(side.positions, np.array(d, np.int64))) for side, d in sides])
        gone = {item.serial for item in leaving}
        with self.ledger.reading() as connection:
            others = stored.visible(connection, head.table, head.number)
        found = []
        for item in reversed([other for other in others if other.files.dropped and other.serial not in gone]):
            side = self._sidecar(item)
            hidden = np.isin(side.positions, np.array(item.files.dropped, np.int64))
            pairs = _pairs(side, hidden)
            back = np.isin(pairs, wanted)
            if back.any():
                wanted = wanted[~np.isin(wanted, pairs[back])]
                rows = side.positions[hidden][back]
                dropped = tuple(sorted({*item.files.dropped} - {int(row) for row in rows}))
                found.append((replace(item, files=replace(item.files, dropped=dropped)), rows))
        return found

    def _compare(self, hashes: RowHashes, batches: Sequence[StoredBatch]) -> _Met:
        """Find rows that are there already, and rows whose key is there with other values."""
        rows = len(hashes.key)
        met = _Met(np.zeros(rows, bool), np.zeros(rows, bool), np.full(rows, "", object), [])
        for item in batches:
            same, other, position = self._sidecar(item).match(hashes)
            alive = ~np.isin(position, np.array(item.files.dropped, np.int64))
            met.repeated[same & alive] = True
            met.conflicting[other & alive] = True
            met.paths[other & alive] = item.path
            if (other & alive).any():
                met.hits.append((item, position[other & alive]))
        return met

    def _sidecar(self, item: StoredBatch) -> Sidecar:
        record = item.files.sidecar
        assert record is not None, "batches of sources have sidecars"
        if record.object_id not in self._sidecars:
            if sum(len(kept.positions) for kept in self._sidecars.values()) + item.files.rows > CACHED_ROWS:
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
            raise _MovedError
        low, high = _key_span(table, contract)
        newer = stored.visible(tx.connection, name, now.number, min_us=low, max_us=high, added_after=seen)
        met = self._compare(hashes, newer)
        if met.repeated.any() or met.conflicting.any():
            raise _MovedError

    def _write_batch(self, change: _Change, contract: Contract, written: list[ObjectRecord]) -> BatchFiles | None:
        if not change.rows.num_rows:
            return None
        classes = {column.name: column.column_class for column in contract.columns}
        sidecar = self.objects.put(Sidecar.of(change.key, change.value).to_bytes())
        written.append(sidecar)
        files = self._write_parts(change.rows, classes, contract.time, written, sidecar)
        return replace(files, dropped=change.hidden)

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
        self, tx: Tx, contract: Contract, batch: CheckedBatch, files: BatchFiles | None, change: _Change
    ) -> Snapshot:
        name = batch.file.source
        now = stored.latest(tx.connection, name)
        number = now.number + 1 if now else 1
        totals = _totals(tx, now)
        for item in change.leaving:
            totals = totals.plus(self._leaves_of(item).total(), -1)
        stored.remove_batches(tx, [item.serial for item in change.leaving], number)
        for edit in change.edits:
            totals = self._apply_edit(tx, name, number, edit, contract, totals)
        if files is not None:
            totals = totals.plus(change.leaves.total())
            self._add(tx, name, number, files, change.leaves, batch.file.path)
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

    def _apply_edit(self, tx: Tx, name: str, number: int, edit: _Edit, contract: Contract, totals: Totals) -> Totals:
        """Hide rows of a committed batch, or show hidden ones again; no object is rewritten."""
        item, leaves = edit.item, self._leaves_of(edit.item)
        parts = [self.objects.get_table(part) for part in item.files.parts.values()]
        whole = pa.table({c: t.column(c) for t in parts for c in t.column_names}).select(leaves.columns)
        for rows, sign in ((edit.show, 1), (edit.hide, -1)):
            moved = hash_rows(whole.take(pa.array(np.unique(rows))), contract.key, contract.time).leaves
            totals = totals.plus(moved.total(), sign)
            leaves = merge([leaves, moved if sign > 0 else moved.negative()], leaves.columns)
        dropped = tuple(sorted({*item.files.dropped, *(int(row) for row in edit.hide)}))
        stored.remove_batches(tx, [item.serial], number)
        self._add(tx, name, number, replace(item.files, dropped=dropped), leaves, item.path)
        return totals

    def _add(self, tx: Tx, name: str, number: int, files: BatchFiles, leaves: Leaves, path: str = "") -> None:
        """Make a batch visible; its sums are sealed, because those of few rows would confirm a guess."""
        sealed = self.objects.seal_note(leaves.to_bytes(), f"leaves/{files.batch}")
        stored.add_batch(tx, name, number, files, sealed, path)

    def _leaves_of(self, item: StoredBatch) -> Leaves:
        return Leaves.from_bytes(self.objects.open_note(item.leaves, f"leaves/{item.files.batch}"))

    def _discard_unnamed(self, written: Sequence[ObjectRecord]) -> None:
        """After a failure: remove what was written, unless the commit went through and only its answer was lost."""
        with self.ledger.reading() as connection:
            kept = named(connection, [record.object_id for record in written])
        self.objects.discard(record for record in written if record.object_id not in kept)

    def sweep(self, *, older_than_s: float = 86_400.0) -> int:
        """Remove files that a killed process left behind; gives their number."""
        with self.ledger.reading() as connection:
            known = object_ids(connection)
        return self.objects.sweep(known, older_than_s, self.ledger.clock.now_us() / 1e6)

    def compact(self, name: str, *, actor: str) -> Snapshot:
        """Merge the batches of each file (of a derived table: all) into one: fewer objects, the same rows and digest.

        Earlier snapshots keep their objects.

        Raises:
            NotFoundError: the table has no snapshot.
            ConflictError: somebody wrote to it meanwhile; nothing was changed.
        """
        head = self.snapshot(name)
        with self.ledger.reading() as connection:
            shown = stored.visible(connection, name, head.number)
        paths = {item.path for item in shown}
        groups = [group for path in sorted(paths) if len(group := [i for i in shown if i.path == path]) > 1]
        if not groups:
            return head
        written: list[ObjectRecord] = []
        try:
            merged = [self._merge_group(head, group, written) for group in groups]
            with self.ledger.commit(actor=actor, action="table.compact", object=name) as tx:
                return self._put_merged(tx, head, groups, merged)
        except BaseException:
            self._discard_unnamed(written)
            raise

    def _merge_group(self, head: Snapshot, group: Sequence[StoredBatch], written: list[ObjectRecord]) -> BatchFiles:
        tables = [read_batch(self.objects, head, item.files) for item in group]
        starts = np.cumsum([0, *(rows.num_rows for rows in tables)])
        dropped = tuple(int(s) + row for s, item in zip(starts, group, strict=False) for row in item.files.dropped)
        rows = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
        sidecar = None
        if group[0].files.sidecar is not None:
            hashes = hash_rows(rows, head.key, head.time)
            # a sidecar holds each key once: a row that is seen goes before hidden repeats of it
            hidden = np.isin(np.arange(rows.num_rows), np.array(dropped, np.int64))
            order = np.argsort(hidden, kind="stable")
            once = np.sort(order[np.unique(hashes.key[order, 0], return_index=True)[1]])
            rows, dropped = rows.take(pa.array(once)), tuple(int(row) for row in np.flatnonzero(hidden[once]))
            sidecar = self.objects.put(Sidecar.of(hashes.key[once], hashes.value[once]).to_bytes())
            written.append(sidecar)
        classes = {str(column["name"]): str(column["class"]) for column in head.schema}
        return replace(self._write_parts(rows, classes, head.time, written, sidecar), dropped=dropped)

    def _put_merged(
        self, tx: Tx, head: Snapshot, groups: Sequence[Sequence[StoredBatch]], merged: Sequence[BatchFiles]
    ) -> Snapshot:
        now = stored.latest(tx.connection, head.table)
        if now is None or now.number != head.number:
            raise ConflictError("table.moved", f"{head.table} was written meanwhile", next="compact it again")
        number = head.number + 1
        for group, files in zip(groups, merged, strict=True):
            stored.remove_batches(tx, [item.serial for item in group], number)
            leaves = merge([self._leaves_of(item) for item in group], head.columns)
            self._add(tx, head.table, number, files, leaves, group[0].path)
        low, high = _bounds(tx, head.table, number)
        snapshot = replace(
            head, id=tx.new_id("snp"), number=number, parent=head.id, low_us=low, high_us=high, created_us=tx.now_us
        )
        stored.insert_snapshot(tx, snapshot, stored.totals(tx.connection, head.id))
        tx.details.update(
            snapshot=number, objects_before=sum(len(group) for group in groups), objects_after=len(groups)
        )
        return snapshot

    # ---- derived tables

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
        """The next snapshot of a derived table: the parent's rows, with those of each slice replaced.

        Args:
            name: the table.
            parent: the snapshot whose rows stay outside the slices; None = nothing stays.
            slices: (low_us, high_us, rows); whole UTC days, None = no bound; rows outside are left out.
            key: columns that identify a row.
            time: the time column, or None for a table that is replaced whole.
            classes: column class by column, where it is not open.
            units: unit by column, where it has one.
            actor: who, for the audit entry.
            effects: further effects of the same transaction, such as the trace.
        """
        written: list[ObjectRecord] = []
        bounded = [_bounded(low, high, rows, time) for low, high, rows in slices]
        try:
            fresh = []
            for low, high, rows in bounded:
                if rows.num_rows:
                    hashes = hash_rows(rows, key, time)
                    files = self._write_parts(rows, classes, time, written, None, low, high)
                    fresh.append((files, hashes.leaves))
            with self.ledger.commit(actor=actor, action="table.write", object=name) as tx:
                snapshot = self._replace(tx, name, parent, bounded, fresh, tuple(key), time, classes, units)
                effects(tx, snapshot)
                tx.details.update(snapshot=snapshot.number, rows=snapshot.rows)
        except BaseException:
            self._discard_unnamed(written)
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
            self._add(tx, name, number, files, sums)
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
                remaining.append(self._leaves_of(item))
                continue
            stored.remove_batches(tx, [item.serial], number)
            for low, high in ranges:
                leaves = self._leaves_of(item).restrict(low, high)
                if len(leaves.days):
                    self._add(tx, name, number, replace(item.files, low_us=low, high_us=high), leaves)
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


def _refuse_other_types(head: Snapshot | None, contract: Contract) -> None:
    before = {str(column["name"]): str(column["type"]) for column in head.schema} if head else {}
    for column in contract.columns:
        kind = before.get(column.name, column.type.value)
        if kind != column.type.value:
            raise ContractError(
                "contract.type_changed",
                f"column {column.name} was {kind} when rows were read, and is declared as {column.type.value} now",
                next="give the new column another name, or start another source",
                where="filiera.toml",
            )


def _key_span(table: pa.Table, contract: Contract) -> tuple[int | None, int | None]:
    """The times outside which no row can have the same key; no bounds where the time is not part of the key."""
    return _span(table, contract.time) if contract.time in contract.key else (None, None)


def _pairs(side: Sidecar, rows: npt.NDArray[np.bool_]) -> npt.NDArray[np.void]:
    """Key hashes of some rows as one value each, to look them up."""
    return np.ascontiguousarray(side.lanes[rows, :2]).view([("a", "<u8"), ("b", "<u8")]).reshape(-1)


def _with_conflicts(batch: CheckedBatch, met: _Met) -> pa.Table:
    """The quarantine of a batch, with the rows whose key is committed with other values."""
    if not met.conflicting.any():
        return batch.quarantined
    found = batch.originals([int(record) for record in batch.records[met.conflicting]])
    details = [f"another row of this key came with {path}" for path in met.paths[met.conflicting]]
    texts = {"reason": ["conflict"] * found.num_rows, "column": [""] * found.num_rows, "detail": details}
    for name, values in texts.items():
        found = found.set_column(found.column_names.index(name), name, pa.array(values, pa.string()))
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
