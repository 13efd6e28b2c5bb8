"""Rows for people: query, read, export, quarantine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.core.generation import DEV
from filiera.errors import NotFoundError, UsageError, nearest
from filiera.ledger import sources
from filiera.workspace.base import Base

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from filiera.dimensions.quarantine import Released


class Rows(Base):
    """Rows for people: query, read, export, quarantine."""

    def query(
        self,
        table: str,
        *,
        purpose: str | None = None,
        columns: Sequence[str] | None = None,
        where: Sequence[str] = (),
        at: int | str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int | None = None,
        environment: str = DEV,
    ) -> pa.Table:
        """Rows of a source or table, sorted by (time, key); leaves an exposure record.

        Args:
            table: name of a source or derived table.
            purpose: one of the declared; needed when there are several.
            columns: names, or None for all.
            where: conditions such as `power_kw > 100`.
            at: number of a snapshot, or a time; default what stands in the environment.
            since: first time, included.
            until: last time, excluded.
            limit: at most so many rows.
            environment: whose version of a derived table.
        """
        from filiera.query import Question, query

        stated = self._policy.purpose(purpose)
        snapshot = self.snapshot(table, at=at, environment=environment)
        question = Question(columns=columns, where=where, since=since, until=until, limit=limit)
        return query(self._context, snapshot, question, stated)

    def read(self, table: str, **options: Any) -> pd.DataFrame:
        """`query` as a pandas frame."""
        frame: pd.DataFrame = self.query(table, **options).to_pandas()
        return frame

    def masked(
        self, table: str, columns: Sequence[str], *, at: int | str | None = None, environment: str = DEV
    ) -> list[str]:
        """Those of the columns that a reader of the table gets as nulls."""
        return self._context.reader.hidden(self.snapshot(table, at=at, environment=environment), columns)

    def export(self, table: str, path: Path, *, format: str | None = None, **options: Any) -> int:
        """Write rows to a file as CSV, Parquet or Arrow; gives their number. Governed and logged like any read."""
        from filiera.lake.export import export

        kind = format or {".csv": "csv", ".parquet": "parquet", ".arrow": "arrow"}.get(path.suffix, "")
        if kind not in ("csv", "parquet", "arrow"):
            raise UsageError(
                "export.format",
                "the format of the export is not known",
                expected="csv, parquet or arrow",
                found=repr(format or path.suffix),
                next="name one with --format",
            )
        rows = self.query(table, **options)
        export(rows, path, kind)
        count: int = rows.num_rows
        return count

    def quarantine(
        self, source: str | None = None, *, purpose: str | None = None, examples: int = 3
    ) -> list[dict[str, Any]]:
        """Quarantined records by file: reasons with counts, and some examples with their original text."""
        stated = self._policy.purpose(purpose)
        if source is not None and source not in self.settings.sources:
            raise NotFoundError("source.unknown", f"no source {source}", next=nearest(source, self.settings.sources))
        with self.ledger.reading() as connection:
            records = sources.list_quarantine(connection, source)
        found = []
        for record in records:
            rows = self._context.reader.show_quarantine(record, principal=self.principal, purpose=stated)
            found.append(
                {
                    "source": record.source,
                    "path": record.path,
                    "rows": record.rows,
                    "reasons": dict(record.reasons),
                    "examples": _examples(rows, examples),
                }
            )
        return found

    def quarantine_release(self, source: str) -> Released:
        """Check the quarantined records of a source again, after its contract was mended."""
        from filiera.dimensions.quarantine import release_quarantine

        if source not in self.settings.sources:
            raise NotFoundError("source.unknown", f"no source {source}", next=nearest(source, self.settings.sources))
        with self._lock():
            return release_quarantine(self._context, self.settings.sources[source])


def _examples(rows: Any, count: int) -> list[dict[str, Any]]:
    """Some records of every reason."""
    found: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for row in rows.to_pylist():
        reason = str(row["reason"])
        if seen.get(reason, 0) < count:
            seen[reason] = seen.get(reason, 0) + 1
            found.append(row)
    return found
