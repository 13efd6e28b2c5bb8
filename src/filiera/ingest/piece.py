"""What every format shares: raw rows become a checked batch in which each record has exactly one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from filiera.core.batch import QUARANTINE_COLUMNS, CheckedBatch, SourceFile
from filiera.core.contract import ColumnType, Contract
from filiera.errors import ContractError, nearest
from filiera.ingest.contract import RECORD, check

QUARANTINE_SCHEMA = pa.schema(
    [(name, pa.int64() if name in ("record", "line", "offset") else pa.string()) for name in QUARANTINE_COLUMNS]
)
#: record numbers -> QUARANTINE_COLUMNS with empty reason
Originals = Callable[[Sequence[int]], pa.Table]
#: places in a file (offset of a text record, number of a Parquet row) -> record numbers, 0 where it has none there
Find = Callable[[Sequence[int]], npt.NDArray[np.int64]]
#: record number, reason, column, detail
Refusal = tuple[int, str, str, str]


@dataclass(frozen=True, slots=True)
class Piece:
    """A checked batch, and how far into the file it reaches."""

    batch: CheckedBatch
    end: int  #: bytes up to the end of its last complete record, in the decompressed file
    last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRows:
    """Some records of a file before the contract was applied."""

    frame: pl.DataFrame  #: raw columns and RECORD, of the records that could be parsed
    refused: list[Refusal]  #: the records that could not
    rows_read: int  #: both
    originals: Originals
    find: Find
    ignored: tuple[str, ...]  #: raw columns that the contract does not name

    def only(self, places: Sequence[int]) -> RawRows:
        """The records at these places and no others."""
        numbers = self.find(places)
        numbers = numbers[numbers > 0]
        chosen = set(numbers.tolist())
        return replace(
            self,
            frame=self.frame.filter(pl.col(RECORD).is_in(numbers)),
            refused=[refusal for refusal in self.refused if refusal[0] in chosen],
            rows_read=len(chosen),
        )


def finish(raw: RawRows, file: SourceFile, contract: Contract) -> CheckedBatch:
    """Apply the contract and resolve keys."""
    verdict = check(raw.frame, contract)
    rows, duplicates, clashes = _resolve_keys(verdict.rows, contract)
    judged = [(number, reason, column, "") for number, reason, column in verdict.refused.iter_rows()]
    order = list(dict.fromkeys(name for name in (contract.time, *contract.key) if name))
    rows = rows.sort(order, maintain_order=True) if order else rows
    return CheckedBatch(
        file=file,
        contract_digest=contract.digest,
        rows_read=raw.rows_read,
        accepted=_to_arrow(rows, contract),
        records=rows.get_column(RECORD).to_numpy(),
        quarantined=_quarantine([*raw.refused, *judged, *clashes], raw.originals),
        duplicates=duplicates,
        originals=raw.originals,
        nulled=verdict.nulled,
        ignored=raw.ignored,
    )


def raw_names(contract: Contract) -> list[str]:
    """The raw columns that a contract reads, in its order."""
    return list(dict.fromkeys(name for column in contract.columns for name in column.origin))


def ignored_names(names: Sequence[str], contract: Contract) -> tuple[str, ...]:
    """The raw columns that it does not."""
    wanted = set(raw_names(contract))
    return tuple(name for name in names if name not in wanted)


def require_columns(names: Sequence[str], contract: Contract, where: str, hint: Callable[[str], str | None]) -> None:
    """Check that a file has what its contract needs.

    Raises:
        ContractError: a column is missing that is not optional; `hint` may know why.
    """
    known = set(names)
    for column in contract.columns:
        for name in column.origin:
            if name in known or (column.optional and column.name not in contract.key):
                continue
            raise ContractError(
                "contract.column_missing",
                f"column {name} is missing",
                expected=", ".join(raw_names(contract)),
                found=", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
                or "no column",
                next=hint(name) or f"{nearest(name, names)} Mend `from` of column {column.name}, or the file",
                where=where,
            )


def _resolve_keys(rows: pl.DataFrame, contract: Contract) -> tuple[pl.DataFrame, int, list[Refusal]]:
    """Exact repeats are counted; of rows with one key and different values all are refused, or the last one wins."""
    if not contract.key or rows.is_empty():
        return rows, 0, []
    if not rows.select(pl.struct(contract.key).is_duplicated().any()).item():
        return rows, 0, []
    newest = contract.on_conflict == "newest"
    # Of A, B, A the newest is A: the later of two equal rows stays.
    once = rows.unique(subset=list(contract.names), keep="last" if newest else "first", maintain_order=True)
    duplicates = rows.height - once.height
    clash = once.select(pl.struct(contract.key).is_duplicated()).to_series()
    if newest:
        clash &= ~once.select(pl.struct(contract.key).is_last_distinct()).to_series()
    reason = "superseded" if newest else "conflict"
    return once.filter(~clash), duplicates, [(n, reason, "", "") for n in once.filter(clash).get_column(RECORD)]


def _quarantine(refused: list[Refusal], originals: Originals) -> pa.Table:
    if not refused:
        return QUARANTINE_SCHEMA.empty_table()
    refused = sorted(refused)
    found = originals([refusal[0] for refusal in refused])
    for index, name in ((1, "reason"), (2, "column"), (3, "detail")):
        values = pa.array([refusal[index] or "" for refusal in refused], pa.string())
        found = found.set_column(found.column_names.index(name), name, values)
    return found.cast(QUARANTINE_SCHEMA)


def _to_arrow(rows: pl.DataFrame, contract: Contract) -> pa.Table:
    columns = {}
    for column in contract.columns:
        array = rows.get_column(column.name).to_arrow()
        if column.type is ColumnType.CATEGORY:
            array = array.cast(pa.string()).dictionary_encode()
        elif column.type is ColumnType.TEXT:
            array = array.cast(pa.string())
        elif column.type is ColumnType.TIME:
            array = array.cast(pa.timestamp("us", "UTC"))
        columns[column.name] = array
    return pa.table(columns)
