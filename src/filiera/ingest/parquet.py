"""Parquet files, some rows at a time: types are the file's own, cells are judged like any others."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from filiera.core.batch import SourceFile
from filiera.core.contract import Contract
from filiera.errors import ContractError
from filiera.ingest.contract import RECORD
from filiera.ingest.piece import (
    QUARANTINE_SCHEMA,
    Find,
    Originals,
    Piece,
    RawRows,
    finish,
    ignored_names,
    require_columns,
)
from filiera.ingest.records import RAW_BYTES

PIECE_ROWS = 250_000
MAX_COLUMNS = 10_000
MAX_GROUP_BYTES = 2 << 30  #: a row group is decoded column by column; a larger one is a mistake or an attack


def check_parquet(path: Path, file: SourceFile, contract: Contract, places: Sequence[int] | None) -> Iterator[Piece]:
    """Pieces of a Parquet file; see `filiera.ingest.batch.check_file`.

    The whole file is decoded once before the first piece, so that of a damaged file nothing is taken.
    """
    try:
        yield from _pieces(path, file, contract, places)
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise ContractError(
            "contract.not_parquet",
            "the file is no Parquet file, or it is damaged",
            expected="a whole Parquet file",
            found=str(error).splitlines()[0][:200] if str(error) else type(error).__name__,
            next="copy it again; it is read when it changes",
            where=file.path,
        ) from error


def _pieces(path: Path, file: SourceFile, contract: Contract, places: Sequence[int] | None) -> Iterator[Piece]:
    with pq.ParquetFile(path) as source:
        _refuse_excess(source.metadata, file)
        schema = source.schema_arrow
        require_columns(schema.names, contract, file.path, lambda _: None)
        ignored = ignored_names(schema.names, contract)
        wanted = [name for name in schema.names if name not in ignored]
        _refuse_nested(schema, wanted, file)
        total = source.metadata.num_rows
        if total == 0:
            yield Piece(finish(_raw_rows(schema.empty_table().select(wanted), 0, ignored), file, contract), 0, True)
        number = 0
        for part in _batches(source, wanted, total):
            rows = _raw_rows(pa.Table.from_batches([part]), number, ignored)
            number += part.num_rows
            yield Piece(finish(rows if places is None else rows.only(places), file, contract), 0, number == total)


def _batches(source: pq.ParquetFile, wanted: list[str], total: int) -> Iterable[pa.RecordBatch]:
    """The batches of a file that is known to be whole: one of a single piece is decoded once, others twice."""
    if total <= PIECE_ROWS:
        found = list(source.iter_batches(PIECE_ROWS, columns=wanted))
        _require_whole(found, total)
        return found
    _require_whole(source.iter_batches(PIECE_ROWS, columns=wanted), total)
    batches: Iterable[pa.RecordBatch] = source.iter_batches(PIECE_ROWS, columns=wanted)
    return batches


def _require_whole(batches: Iterable[pa.RecordBatch], total: int) -> None:
    number = 0
    for part in batches:
        _checked(pa.Table.from_batches([part]))
        number += part.num_rows
    if number != total:
        raise pa.ArrowInvalid(f"it says that it holds {total} rows, and holds others")


def _refuse_excess(metadata: pq.FileMetaData, file: SourceFile) -> None:
    groups = [metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)]
    if metadata.num_columns > MAX_COLUMNS or any(not 0 <= size <= MAX_GROUP_BYTES for size in groups):
        raise ContractError(
            "contract.too_large",
            "the file is too large to be opened safely",
            expected=f"at most {MAX_COLUMNS} columns and row groups of at most {MAX_GROUP_BYTES >> 20} MiB",
            found=f"{metadata.num_columns} columns, largest row group {max(groups, default=0) >> 20} MiB",
            next="write it again with smaller row groups",
            where=file.path,
        )


def _refuse_nested(schema: pa.Schema, wanted: Sequence[str], file: SourceFile) -> None:
    for name in wanted:
        kind = schema.field(name).type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            raise ContractError(
                "contract.column_type",
                f"column {name} holds {kind}, which is no single value",
                expected="numbers, texts, times, true or false",
                next="write its parts as columns of their own, or leave the column out of the contract",
                where=file.path,
            )


def _raw_rows(table: pa.Table, number: int, ignored: tuple[str, ...]) -> RawRows:
    table = _checked(table)
    frame = pl.DataFrame(pl.from_arrow(table))
    frame = frame.with_columns(
        pl.col(name).cast(pl.String)
        for name, kind in frame.schema.items()
        if isinstance(kind, pl.Categorical | pl.Enum)
    )
    numbers = pl.Series(RECORD, number + 1 + np.arange(table.num_rows), dtype=pl.Int64)
    return RawRows(
        frame=frame.with_columns(numbers),
        refused=[],
        rows_read=table.num_rows,
        originals=_originals(table, number),
        find=_find(number, table.num_rows),
        ignored=ignored,
    )


def _find(number: int, rows: int) -> Find:
    def find(numbers: Sequence[int]) -> npt.NDArray[np.int64]:
        wanted = np.asarray(numbers, np.int64)
        return np.where((wanted > number) & (wanted <= number + rows), wanted, 0)

    return find


def _checked(table: pa.Table) -> pa.Table:
    """The table without metadata, once all its texts are known to be texts: the next library takes them on trust."""
    schema = pa.schema([(field.name, field.type) for field in table.schema])
    str(schema)  # a damaged name or zone is no UTF-8, and says so here
    table.validate(full=True)
    return table.cast(schema)


def _originals(table: pa.Table, number: int) -> Originals:
    def originals(wanted: Sequence[int]) -> pa.Table:
        rows = table.take(pa.array(np.asarray(wanted, np.int64) - number - 1)).to_pylist()
        empty = {"line": None, "offset": None, "reason": "", "column": "", "detail": ""}
        values = [
            {"record": int(record), "raw": json.dumps(row, default=str)[:RAW_BYTES], **empty}
            for record, row in zip(wanted, rows, strict=True)
        ]
        return pa.Table.from_pylist(values, schema=QUARANTINE_SCHEMA)

    return originals
