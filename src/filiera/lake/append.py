"""Append checked batches of a source: repeats and conflicts are looked for among all committed rows.

To commit is: 1. write the sealed objects and sync them, 2. one transaction that inserts batch, snapshot, source file,
quarantine index and audit entry. Another writer may commit in between: the transaction looks again at what came since.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filiera.core.batch import QUARANTINE_COLUMNS, CheckedBatch
from filiera.core.contract import Contract
from filiera.core.snapshot import BatchFiles, ObjectRecord, Snapshot
from filiera.errors import ContractError
from filiera.lake.semantic import Lanes, Leaves, RowHashes, Totals, hash_rows, merge
from filiera.lake.sidecar import Sidecar
from filiera.lake.store import Store, bounds, schema_of, span
from filiera.ledger import snapshots as stored
from filiera.ledger import sources
from filiera.ledger.journal import Tx, as_json
from filiera.ledger.snapshots import StoredBatch


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


class Append:
    """The way of a checked batch into a table."""

    def __init__(self, store: Store) -> None:
        self._store = store

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
        """See `Lake.ingest`."""
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
        head = self._store.latest(name)
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
            poor = self._store.objects.put(_to_ipc(change.refused)) if change.refused.num_rows else None
            written += [poor] if poor else []
            with self._store.ledger.commit(
                actor=actor, action="source.ingest", object=f"{name}:{batch.file.path}"
            ) as tx:
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
            self._store.discard_unnamed(written)
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
        with self._store.ledger.reading() as connection:
            return stored.visible(connection, head.table, head.number, min_us=low, max_us=high)

    def _leaving(self, head: Snapshot | None, contract: Contract, batch: CheckedBatch, part: int) -> list[StoredBatch]:
        if head is None or contract.files != "replace" or part > 0:
            return []
        with self._store.ledger.reading() as connection:
            return [b for b in stored.visible(connection, head.table, head.number) if b.path == batch.file.path]

    def _revived(
        self, head: Snapshot | None, leaving: Sequence[StoredBatch]
    ) -> list[tuple[StoredBatch, npt.NDArray[np.int64]]]:
        """Hidden rows of other files that come back, because the row that hid them leaves."""
        if head is None or not leaving:
            return []
        sides = [(self._store.sidecar(item), item.files.dropped) for item in leaving]
        wanted = np.concatenate([_pairs(side, ~np.isin(side.positions, np.array(d, np.int64))) for side, d in sides])
        gone = {item.serial for item in leaving}
        with self._store.ledger.reading() as connection:
            others = stored.visible(connection, head.table, head.number)
        found = []
        for item in reversed([other for other in others if other.files.dropped and other.serial not in gone]):
            side = self._store.sidecar(item)
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
            same, other, position = self._store.sidecar(item).match(hashes)
            alive = ~np.isin(position, np.array(item.files.dropped, np.int64))
            met.repeated[same & alive] = True
            met.conflicting[other & alive] = True
            met.paths[other & alive] = item.path
            if (other & alive).any():
                met.hits.append((item, position[other & alive]))
        return met

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
        sidecar = self._store.objects.put(Sidecar.of(change.key, change.value).to_bytes())
        written.append(sidecar)
        files = self._store.write_parts(change.rows, classes, contract.time, written, sidecar)
        return replace(files, dropped=change.hidden)

    def _append(
        self, tx: Tx, contract: Contract, batch: CheckedBatch, files: BatchFiles | None, change: _Change
    ) -> Snapshot:
        name = batch.file.source
        now = stored.latest(tx.connection, name)
        number = now.number + 1 if now else 1
        totals = _totals(tx, now)
        for item in change.leaving:
            totals = totals.plus(self._store.leaves_of(item).total(), -1)
        stored.remove_batches(tx, [item.serial for item in change.leaving], number)
        for edit in change.edits:
            totals = self._apply_edit(tx, name, number, edit, contract, totals)
        if files is not None:
            totals = totals.plus(change.leaves.total())
            self._store.add(tx, name, number, files, change.leaves, batch.file.path)
        schema = schema_of(contract)
        low, high = bounds(tx, name, number)
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
        item, leaves = edit.item, self._store.leaves_of(edit.item)
        parts = [self._store.objects.get_table(part) for part in item.files.parts.values()]
        whole = pa.table({c: t.column(c) for t in parts for c in t.column_names}).select(leaves.columns)
        for rows, sign in ((edit.show, 1), (edit.hide, -1)):
            moved = hash_rows(whole.take(pa.array(np.unique(rows))), contract.key, contract.time).leaves
            totals = totals.plus(moved.total(), sign)
            leaves = merge([leaves, moved if sign > 0 else moved.negative()], leaves.columns)
        dropped = tuple(sorted({*item.files.dropped, *(int(row) for row in edit.hide)}))
        stored.remove_batches(tx, [item.serial], number)
        self._store.add(tx, name, number, replace(item.files, dropped=dropped), leaves, item.path)
        return totals


def _totals(tx: Tx, snapshot: Snapshot | None) -> Totals:
    if snapshot is None:
        return Totals(0, {})
    return Totals.from_json(json.loads(stored.totals(tx.connection, snapshot.id)))


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
    return span(table, contract.time) if contract.time in contract.key else (None, None)


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
