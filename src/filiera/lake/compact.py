"""Compaction: fewer objects, the same rows, the same digest; earlier snapshots keep theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from filiera.core.snapshot import BatchFiles, ObjectRecord, Snapshot
from filiera.errors import ConflictError
from filiera.lake.rows import read_batch
from filiera.lake.semantic import hash_rows, merge
from filiera.lake.sidecar import Sidecar
from filiera.lake.store import Store, bounds
from filiera.ledger import snapshots as stored
from filiera.ledger.journal import Tx
from filiera.ledger.snapshots import StoredBatch


class Compaction:
    """Merges the batches of a table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def compact(self, head: Snapshot, *, actor: str) -> Snapshot:
        """See `Lake.compact`."""
        with self._store.ledger.reading() as connection:
            shown = stored.visible(connection, head.table, head.number)
        paths = {item.path for item in shown}
        groups = [group for path in sorted(paths) if len(group := [i for i in shown if i.path == path]) > 1]
        if not groups:
            return head
        written: list[ObjectRecord] = []
        try:
            merged = [self._merge_group(head, group, written) for group in groups]
            with self._store.ledger.commit(actor=actor, action="table.compact", object=head.table) as tx:
                return self._put_merged(tx, head, groups, merged)
        except BaseException:
            self._store.discard_unnamed(written)
            raise

    def _merge_group(self, head: Snapshot, group: Sequence[StoredBatch], written: list[ObjectRecord]) -> BatchFiles:
        tables = [read_batch(self._store.objects, head, item.files) for item in group]
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
            sidecar = self._store.objects.put(Sidecar.of(hashes.key[once], hashes.value[once]).to_bytes())
            written.append(sidecar)
        classes = {str(column["name"]): str(column["class"]) for column in head.schema}
        return replace(self._store.write_parts(rows, classes, head.time, written, sidecar), dropped=dropped)

    def _put_merged(
        self, tx: Tx, head: Snapshot, groups: Sequence[Sequence[StoredBatch]], merged: Sequence[BatchFiles]
    ) -> Snapshot:
        now = stored.latest(tx.connection, head.table)
        if now is None or now.number != head.number:
            raise ConflictError("table.moved", f"{head.table} was written meanwhile", next="compact it again")
        number = head.number + 1
        for group, files in zip(groups, merged, strict=True):
            stored.remove_batches(tx, [item.serial for item in group], number)
            leaves = merge([self._store.leaves_of(item) for item in group], head.columns)
            self._store.add(tx, head.table, number, files, leaves, group[0].path)
        low, high = bounds(tx, head.table, number)
        snapshot = replace(
            head, id=tx.new_id("snp"), number=number, parent=head.id, low_us=low, high_us=high, created_us=tx.now_us
        )
        stored.insert_snapshot(tx, snapshot, stored.totals(tx.connection, head.id))
        tx.details.update(
            snapshot=number, objects_before=sum(len(group) for group in groups), objects_after=len(groups)
        )
        return snapshot
