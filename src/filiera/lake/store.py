"""What all ways of writing a table share: sealed parts, visible batches with their sums, tidying after a failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from filiera.core.contract import OPEN, Contract
from filiera.core.snapshot import BatchFiles, ObjectRecord, Snapshot
from filiera.lake.objects import LocalObjects
from filiera.lake.semantic import Leaves, times_us
from filiera.lake.sidecar import Sidecar
from filiera.ledger import snapshots as stored
from filiera.ledger.journal import Ledger, Tx
from filiera.ledger.named import named
from filiera.ledger.snapshots import StoredBatch

BEGIN_US, END_US = -(2**62), 2**62  #: bounds of a batch all of whose rows belong to the snapshot
CACHED_ROWS = 4_000_000  #: of sidecars kept in memory; 40 bytes each


class Store:
    """The ledger and the objects of one project, as writers use them."""

    def __init__(self, ledger: Ledger, objects: LocalObjects) -> None:
        self.ledger = ledger
        self.objects = objects
        self._sidecars: dict[str, Sidecar] = {}

    def latest(self, table: str) -> Snapshot | None:
        """The newest snapshot, or None when there is none."""
        with self.ledger.reading() as connection:
            return stored.latest(connection, table)

    def write_parts(
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
        least, most = span(table, time)
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

    def add(self, tx: Tx, name: str, number: int, files: BatchFiles, leaves: Leaves, path: str = "") -> None:
        """Make a batch visible; its sums are sealed, because those of few rows would confirm a guess."""
        sealed = self.objects.seal_note(leaves.to_bytes(), f"leaves/{files.batch}")
        stored.add_batch(tx, name, number, files, sealed, path)

    def leaves_of(self, item: StoredBatch) -> Leaves:
        """The sums of a batch by UTC day."""
        return Leaves.from_bytes(self.objects.open_note(item.leaves, f"leaves/{item.files.batch}"))

    def sidecar(self, item: StoredBatch) -> Sidecar:
        """The key hashes of a batch, kept in memory while there is room."""
        record = item.files.sidecar
        assert record is not None, "batches of sources have sidecars"
        if record.object_id not in self._sidecars:
            if sum(len(kept.positions) for kept in self._sidecars.values()) + item.files.rows > CACHED_ROWS:
                self._sidecars.clear()
            self._sidecars[record.object_id] = Sidecar.from_bytes(self.objects.get(record))
        return self._sidecars[record.object_id]

    def discard_unnamed(self, written: Sequence[ObjectRecord]) -> None:
        """After a failure: remove what was written, unless the commit went through and only its answer was lost."""
        with self.ledger.reading() as connection:
            kept = named(connection, [record.object_id for record in written])
        self.objects.discard(record for record in written if record.object_id not in kept)


def schema_of(contract: Contract) -> tuple[Mapping[str, Any], ...]:
    """The columns of a source table, as snapshots record them."""
    return tuple(
        {"name": c.name, "type": c.type.value, "unit": c.unit, "class": c.column_class} for c in contract.columns
    )


def bounds(tx: Tx, name: str, number: int) -> tuple[int | None, int | None]:
    """Earliest and latest time of a snapshot."""
    return stored.time_bounds(tx.connection, name, number)


def span(table: pa.Table, time: str | None) -> tuple[int, int]:
    """Earliest and latest time of rows; zeros without a time."""
    if time is None or table.num_rows == 0:
        return 0, 0
    times = times_us(table.column(time))
    return int(times.min()), int(times.max())
