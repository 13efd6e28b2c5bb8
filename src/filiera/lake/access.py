"""The one door to rows: every read has a principal and a purpose, masks apply, and an exposure record stays.

The record is committed before the first row leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from filiera.core.contract import OPEN
from filiera.core.snapshot import Snapshot
from filiera.errors import NotFoundError, nearest
from filiera.lake.rows import arrow_schema
from filiera.lake.table import Lake, from_ipc
from filiera.ledger import environments
from filiera.ledger.sources import QuarantineRecord

#: Columns of a quarantine table that may repeat values of the record.
TEXTS = ("detail", "raw")
WITHHELD = "(withheld: the source has masked columns)"


class LakeReader:
    """Reads rows for people and for jobs."""

    def __init__(
        self,
        lake: Lake,
        *,
        masked: Callable[[str], bool],
        declared: Callable[[str], Mapping[str, str]] = lambda _: {},
    ) -> None:
        """`masked` says of a column class whether it is hidden; `declared` gives a table's column classes as of now."""
        self._lake = lake
        self._masked = masked
        self._declared = declared

    def read(
        self,
        snapshot: Snapshot,
        *,
        principal: str,
        purpose: str,
        columns: Sequence[str] | None = None,
        low_us: int | None = None,
        high_us: int | None = None,
    ) -> pa.Table:
        """Rows sorted by (time, key), times as `timestamp[us, UTC]`, low_us <= time < high_us.

        Masked columns come as nulls; they are not sorted by either.

        Raises:
            NotFoundError: a column does not exist; names the nearest.
        """
        wanted = list(columns) if columns is not None else list(snapshot.columns)
        for name in wanted:
            if name not in snapshot.columns:
                raise NotFoundError(
                    "table.no_column", f"{snapshot.table} has no column {name}", next=nearest(name, snapshot.columns)
                )
        hidden = self.hidden(snapshot, wanted)
        closed = self.hidden(snapshot, snapshot.columns)
        shown = [name for name in wanted if name not in closed]
        rows = self._lake.rows(snapshot, shown, low_us, high_us, unsorted_by=closed)
        self._expose(principal, purpose, snapshot.table, snapshot.number, wanted, hidden, rows.num_rows)
        types = arrow_schema(snapshot, hidden)
        for name in hidden:
            rows = rows.append_column(name, pa.nulls(rows.num_rows, types.field(name).type))
        return rows.select(wanted)

    def hidden(self, snapshot: Snapshot, columns: Sequence[str]) -> list[str]:
        """The columns among these that a reader sees as nulls: masked when they were written, or declared so since."""
        then = {str(column["name"]): str(column["class"]) for column in snapshot.schema}
        now = self._declared(snapshot.table)
        return [n for n in columns if self._masked(then.get(n, OPEN)) or self._masked(now.get(n, OPEN))]

    def show_quarantine(self, record: QuarantineRecord, *, principal: str, purpose: str) -> pa.Table:
        """The quarantined records of one batch for people; without their text where the source has masked columns."""
        rows = from_ipc(self._lake.objects.get(record.object))
        hidden = [name for name in TEXTS if any(map(self._masked, self._declared(record.source).values()))]
        self._expose(principal, purpose, f"{record.source}.quarantine", 0, rows.column_names, hidden, rows.num_rows)
        for name in hidden:
            place = rows.column_names.index(name)
            rows = rows.set_column(place, name, pa.array([WITHHELD] * rows.num_rows, pa.string()))
        return rows

    def read_quarantine(self, record: QuarantineRecord, *, principal: str, purpose: str) -> pa.Table:
        """The quarantined records of one batch as they came, to check them again; never for showing."""
        rows = from_ipc(self._lake.objects.get(record.object))
        self._expose(principal, purpose, f"{record.source}.quarantine", 0, rows.column_names, [], rows.num_rows)
        return rows

    def _expose(
        self,
        principal: str,
        purpose: str,
        table: str,
        number: int,
        columns: Sequence[str],
        hidden: Sequence[str],
        rows: int,
    ) -> None:
        seen = {
            "principal": principal,
            "purpose": purpose,
            "asset": table,
            "snapshot": number,
            "columns": ",".join(columns),
            "masked": ",".join(hidden),
            "rows": rows,
        }
        ledger = self._lake.ledger
        with ledger.commit(actor=principal, action="rows.read", object=f"{table}@{number}", details=seen) as tx:
            environments.record_exposures(tx, [seen])
