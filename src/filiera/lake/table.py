"""Tables: the one face of the lake. Snapshots are found here; `append`, `derived` and `compact` write them.

A process that dies between writing objects and its transaction leaves objects that nothing names; they are swept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence

import pyarrow as pa

from filiera.core.batch import CheckedBatch
from filiera.core.contract import Contract
from filiera.core.snapshot import Snapshot
from filiera.errors import NotFoundError
from filiera.lake.append import Append, Ingested
from filiera.lake.compact import Compaction
from filiera.lake.derived import Derived
from filiera.lake.objects import LocalObjects
from filiera.lake.readers import Readers
from filiera.lake.rows import read_rows
from filiera.lake.semantic import Leaves, Totals, merge
from filiera.lake.store import Store, schema_of
from filiera.ledger import removals, sources
from filiera.ledger import snapshots as stored
from filiera.ledger.journal import Ledger, Tx
from filiera.ledger.named import object_ids

__all__ = ["Ingested", "Lake", "freed", "from_ipc", "schema_of"]


class Lake:
    """The tables of one project."""

    def __init__(self, ledger: Ledger, objects: LocalObjects) -> None:
        self.ledger = ledger
        self.objects = objects
        self._store = Store(ledger, objects)
        self.readers = Readers(ledger.path.parent / "readers")

    # ---- reading what is there

    def latest(self, table: str) -> Snapshot | None:
        """The newest snapshot, or None when there is none."""
        return self._store.latest(table)

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
        return merge([self._store.leaves_of(batch) for batch in batches], snapshot.columns)

    def rows(
        self,
        snapshot: Snapshot,
        columns: Sequence[str] | None = None,
        low_us: int | None = None,
        high_us: int | None = None,
        unsorted_by: Collection[str] = (),
    ) -> pa.Table:
        """Rows sorted by (time, key). Only the Reader of `lake.access` hands them on.

        Raises:
            NotFoundError: the snapshot was freed.
        """
        with self.readers.reading(snapshot.table):
            with self.ledger.reading() as connection:
                if removals.is_gone(connection, snapshot.id):
                    raise freed(f"snapshot {snapshot.table}@{snapshot.number}")
                batches = stored.visible(
                    connection, snapshot.table, snapshot.number,
                    min_us=low_us, max_us=None if high_us is None else high_us - 1,
                )  # fmt: skip
            files = [batch.files for batch in batches]
            return read_rows(self.objects, snapshot, files, columns, low_us, high_us, unsorted_by)

    # ---- writing

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
        return Append(self._store).ingest(batch, contract, actor=actor, part=part, last=last, releasing=releasing)

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
        return Derived(self._store).replace_slices(
            name, parent, slices, key=key, time=time, classes=classes, units=units, actor=actor, effects=effects
        )

    def compact(self, name: str, *, actor: str) -> Snapshot:
        """Merge the batches of each file (of a derived table: all) into one: fewer objects, the same rows and digest.

        Earlier snapshots keep their objects.

        Raises:
            NotFoundError: the table has no snapshot.
            ConflictError: somebody wrote to it meanwhile; nothing was changed.
        """
        return Compaction(self._store).compact(self.snapshot(name), actor=actor)

    def sweep(self, *, older_than_s: float = 86_400.0) -> int:
        """Remove files that a killed process left behind; gives their number."""
        with self.ledger.reading() as connection:
            known = object_ids(connection)
        return self.objects.sweep(known, older_than_s, self.ledger.clock.now_us() / 1e6)


def freed(what: str) -> NotFoundError:
    """The error of a snapshot, a version or a bundle that nothing reached."""
    return NotFoundError(
        "lake.freed",
        f"{what} was freed: no environment, hold or release reached it",
        next="`filiera gc --restore` puts back what is in the trash; else `filiera apply` computes it again",
    )


def from_ipc(raw: bytes) -> pa.Table:
    """A table from Arrow IPC bytes, such as a quarantine object."""
    return pa.ipc.open_file(pa.BufferReader(raw)).read_all()
