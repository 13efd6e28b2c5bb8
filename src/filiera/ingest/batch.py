"""Files to checked batches."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from filiera.core.batch import QUARANTINE_COLUMNS, CheckedBatch, SourceFile
from filiera.core.contract import ColumnType, Contract, FileFormat
from filiera.errors import ContractError, nearest
from filiera.ingest.contract import RECORD, check
from filiera.ingest.records import RAW_BYTES, Chunk, Records, read_chunks, split

QUARANTINE_SCHEMA = pa.schema(
    [
        (name, pa.int64() if name in ("record", "line", "offset") else pa.string())
        for name in QUARANTINE_COLUMNS
    ]
)
PARQUET_ROWS = 500_000
_DELIMITERS = ",;\t|"
Opener = Callable[[Path], BinaryIO]


@dataclass(frozen=True, slots=True)
class Piece:
    """A checked batch, and how far into the file it reaches."""

    batch: CheckedBatch
    end: int  #: bytes up to the end of its last complete record, in the decompressed file
    last: bool


def check_file(path: Path, file: SourceFile, contract: Contract, opened: Opener, start: int = 0) -> Iterator[Piece]:
    """Read a file and apply its contract, piece by piece in bounded memory.

    Args:
        path: the file.
        file: its identity.
        contract: of its source.
        opened: opens it, decompressed.
        start: bytes to skip, for a file that grew since it was read; the header is read again.

    Raises:
        ContractError: the file as a whole does not fit: no header, a needed column missing, not the format.
    """
    if contract.reading.format is FileFormat.PARQUET:
        return _check_parquet(path, file, contract)
    return _check_text(path, file, contract, opened, start)


# ---- text files


def _check_text(path: Path, file: SourceFile, contract: Contract, opened: Opener, start: int) -> Iterator[Piece]:
    reading = contract.reading
    lines = reading.format is FileFormat.JSONL
    with opened(path) as stream:
        header = b"" if lines else _read_header(stream, file, contract)
        names = [] if lines else _header_names(header, contract, file)
        offset, line = len(header), 0 if lines else 1
        if start > offset:
            skipped = _skip(stream, start - offset)
            offset, line = start, line + skipped
        number = 0
        chunks = read_chunks(stream, offset=offset, line=line + 1, max_record_bytes=reading.max_record_bytes)
        for chunk in chunks:
            piece = _check_chunk(chunk, names, file, contract, number)
            number += piece.batch.rows_read
            yield piece


def _read_header(stream: BinaryIO, file: SourceFile, contract: Contract) -> bytes:
    header = stream.readline(contract.reading.max_record_bytes + 1)
    if len(header) > contract.reading.max_record_bytes:
        raise ContractError(
            "contract.header", "the first line is no header: it is too long", where=file.path,
            expected=f"at most {contract.reading.max_record_bytes} bytes", next="check the file and its delimiter",
        )
    if not header.strip():
        raise ContractError("collect.file_empty", "the file has no header", expected="a line of column names", where=file.path)
    return header


def _skip(stream: BinaryIO, size: int) -> int:
    lines = 0
    while size > 0 and (block := stream.read(min(size, 1 << 20))):
        lines += block.count(b"\n")
        size -= len(block)
    return lines


def _header_names(header: bytes, contract: Contract, file: SourceFile) -> list[str]:
    try:
        text = header.decode("utf-8-sig" if contract.reading.encoding == "utf-8" else contract.reading.encoding)
    except UnicodeDecodeError as error:
        raise ContractError(
            "contract.encoding", f"the header is not {contract.reading.encoding}", where=f"{file.path}:1",
            next='set `encoding = "cp1252"` in the source, or convert the file',
        ) from error
    names = next(csv.reader([text], delimiter=contract.reading.delimiter), [])
    _require_columns(names, text, contract, file)
    return [f"__{i}" if name in names[:i] else name for i, name in enumerate(names)]


def _require_columns(names: Sequence[str], header: str, contract: Contract, file: SourceFile) -> None:
    for column in contract.columns:
        for name in column.origin:
            if name in names or (column.optional and column.name not in contract.key):
                continue
            hint = nearest(name, names)
            for mark in _DELIMITERS:
                if mark != contract.reading.delimiter and name in next(csv.reader([header.strip()], delimiter=mark), []):
                    hint = f"the header fits the delimiter {mark!r}: set `delimiter` in the source, or run `filiera adopt`"
            raise ContractError(
                "contract.column_missing", f"column {name} is missing", where=f"{file.path}:1",
                expected=", ".join(dict.fromkeys(n for c in contract.columns for n in c.origin)),
                found=", ".join(names[:20]) or "nothing", next=hint,
            )


def _check_chunk(chunk: Chunk, names: list[str], file: SourceFile, contract: Contract, number: int) -> Piece:
    lines = contract.reading.format is FileFormat.JSONL
    records = split(chunk.content, None if lines else contract.reading.delimiter)
    limit = contract.reading.max_record_bytes
    bad = np.full(len(records.starts), "", dtype=object)
    bad[records.ends - records.starts > limit] = "too_long"
    if not lines:
        bad[(bad == "") & (records.fields != len(names))] = "ragged"
    _mark_undecodable(chunk.content, records, contract.reading.encoding, bad)
    good = np.flatnonzero(bad == "")
    numbers = number + 1 + np.arange(len(bad))
    raw = _parse_json(chunk, records, good, contract) if lines else _parse_csv(chunk, records, good, names, contract)
    if lines:
        broken = raw.select("__broken").to_series().to_numpy()
        bad[good[broken]] = "syntax"
        raw, good = raw.filter(~pl.col("__broken")).drop("__broken"), good[~broken]
    raw = raw.with_columns(pl.Series(RECORD, numbers[good], dtype=pl.Int64))

    def originals(wanted: Sequence[int]) -> pa.Table:
        return _originals(chunk, records, contract, np.asarray(wanted, np.int64) - number - 1, number)

    structural = [(int(numbers[i]), str(bad[i]), "") for i in np.flatnonzero(bad != "")]
    rows = len(bad) + len(chunk.long)
    ignored = tuple(name for name in names if not any(name in column.origin for column in contract.columns))
    batch = _finish(raw, file, contract, rows, structural, originals, ignored)
    if chunk.long:
        batch = _with_long(batch, chunk, number + len(bad))
    complete = chunk.content.endswith(b"\n") or not chunk.content
    end = chunk.offset + (len(chunk.content) if complete else chunk.content.rfind(b"\n") + 1)
    return Piece(batch, end, chunk.last)


def _mark_undecodable(
    content: bytes, records: Records, encoding: str, bad: npt.NDArray[np.object_]
) -> None:
    """Find the records whose bytes are no text; the search goes on behind each."""
    place = 0
    while True:
        try:
            content[place:].decode(encoding)
            return
        except UnicodeDecodeError as error:
            at = int(np.searchsorted(records.starts, place + error.start, side="right")) - 1
            if 0 <= at < len(bad) and bad[at] == "":
                bad[at] = "encoding"
            following = int(records.starts[at + 1]) if at + 1 < len(records.starts) else len(content)
            place = max(following, place + error.end)


def _good_bytes(chunk: Chunk, records: Records, good: npt.NDArray[np.int64], encoding: str) -> bytes:
    if len(good) == len(records.starts):
        content = chunk.content
    else:
        content = b"\n".join(chunk.content[records.starts[i] : records.ends[i]] for i in good) + b"\n"
    return content if encoding == "utf-8" else content.decode(encoding).encode()


def _parse_csv(
    chunk: Chunk, records: Records, good: npt.NDArray[np.int64], names: list[str], contract: Contract
) -> pl.DataFrame:
    if not len(good):
        return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    content = _good_bytes(chunk, records, good, contract.reading.encoding)
    try:
        frame = _read_csv(content, names, contract.reading.delimiter, '"')
    except pl.exceptions.PolarsError:
        frame = None
    if frame is None or frame.height != len(good):
        # quotes that do not pair: every line end is a border, so quotes are plain characters
        frame = _read_csv(content, names, contract.reading.delimiter, None)
    return frame


def _read_csv(content: bytes, names: list[str], delimiter: str, quote: str | None) -> pl.DataFrame:
    return pl.read_csv(
        io.BytesIO(content),
        has_header=False,
        new_columns=names,
        schema=dict.fromkeys(names, pl.String),
        separator=delimiter,
        quote_char=quote,
        infer_schema=False,
        truncate_ragged_lines=False,
    )


def _parse_json(chunk: Chunk, records: Records, good: npt.NDArray[np.int64], contract: Contract) -> pl.DataFrame:
    texts = [chunk.content[records.starts[i] : records.ends[i]].decode("utf-8", "replace") for i in good]
    parsed = [_json_object(text) for text in texts]
    names = list(dict.fromkeys(name for column in contract.columns for name in column.origin))
    data = {name: [_json_text((item or {}).get(name)) for item in parsed] for name in names}
    frame = pl.DataFrame(data, schema=dict.fromkeys(names, pl.String))
    return frame.with_columns(pl.Series("__broken", [item is None for item in parsed], dtype=pl.Boolean))


def _json_object(text: str) -> dict[str, object] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _json_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def _originals(
    chunk: Chunk, records: Records, contract: Contract, indices: npt.NDArray[np.int64], number: int
) -> pa.Table:
    starts, ends = records.starts[indices], records.ends[indices]
    borders = np.flatnonzero(np.frombuffer(chunk.content, np.uint8) == 10)
    raws = [chunk.content[a : min(b, a + RAW_BYTES)].decode(contract.reading.encoding, "replace")
            for a, b in zip(starts, ends, strict=True)]  # fmt: skip
    rows = len(indices)
    return pa.table(
        {
            "record": pa.array(indices + number + 1, pa.int64()),
            "line": pa.array(chunk.line + np.searchsorted(borders, starts), pa.int64()),
            "offset": pa.array(chunk.offset + starts, pa.int64()),
            "reason": pa.array([""] * rows, pa.string()),
            "column": pa.array([""] * rows, pa.string()),
            "detail": pa.array([""] * rows, pa.string()),
            "raw": pa.array(raws, pa.string()),
        },
        schema=QUARANTINE_SCHEMA,
    )


def _with_long(batch: CheckedBatch, chunk: Chunk, number: int) -> CheckedBatch:
    from dataclasses import replace

    rows = [
        {
            "record": number + 1 + index,
            "line": chunk.line,
            "offset": chunk.offset,
            "reason": "too_long",
            "column": "",
            "detail": f"{record.size_bytes} bytes",
            "raw": record.head.decode("utf-8", "replace"),
        }
        for index, record in enumerate(chunk.long)
    ]
    more = pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA)
    return replace(batch, quarantined=pa.concat_tables([batch.quarantined, more]))


# ---- Parquet


def _check_parquet(path: Path, file: SourceFile, contract: Contract) -> Iterator[Piece]:
    import pyarrow.parquet as pq

    try:
        source = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise ContractError(
            "contract.not_parquet", "the file is no Parquet file, or it is damaged", found=str(error)[:200],
            where=file.path, next="nothing of it was taken; it is read when it changes",
        ) from error
    names = source.schema_arrow.names
    _require_columns(names, "", contract, file)
    ignored = tuple(name for name in names if not any(name in column.origin for column in contract.columns))
    wanted = [name for name in names if name not in ignored]
    number, left = 0, source.metadata.num_rows
    if left == 0:
        yield Piece(_parquet_batch(source.schema_arrow.empty_table(), file, contract, 0, ignored), 0, True)
    for part in source.iter_batches(PARQUET_ROWS, columns=wanted):
        left -= part.num_rows
        yield Piece(_parquet_batch(pa.Table.from_batches([part]), file, contract, number, ignored), 0, left == 0)
        number += part.num_rows


def _parquet_batch(
    table: pa.Table, file: SourceFile, contract: Contract, number: int, ignored: tuple[str, ...]
) -> CheckedBatch:
    numbers = number + 1 + np.arange(table.num_rows)
    raw = pl.DataFrame(pl.from_arrow(table)).with_columns(pl.Series(RECORD, numbers, dtype=pl.Int64))
    raw = raw.with_columns(pl.col(n).cast(pl.String) for n, kind in raw.schema.items() if kind == pl.Categorical)

    def originals(wanted: Sequence[int]) -> pa.Table:
        rows = table.take(pa.array(np.asarray(wanted, np.int64) - number - 1)).to_pylist()
        values = [
            {"record": int(record), "line": None, "offset": None, "reason": "", "column": "", "detail": "",
             "raw": json.dumps(row, default=str)[:RAW_BYTES]}
            for record, row in zip(wanted, rows, strict=True)
        ]  # fmt: skip
        return pa.Table.from_pylist(values, schema=QUARANTINE_SCHEMA)

    return _finish(raw, file, contract, table.num_rows, [], originals, ignored)


# ---- both


def _finish(
    raw: pl.DataFrame,
    file: SourceFile,
    contract: Contract,
    rows_read: int,
    structural: list[tuple[int, str, str]],
    originals: Callable[[Sequence[int]], pa.Table],
    ignored: tuple[str, ...],
) -> CheckedBatch:
    verdict = check(raw, contract)
    rows, duplicates, conflicts = _resolve_keys(verdict.rows, contract)
    refused = [*structural, *verdict.refused.iter_rows(), *conflicts]
    order = [name for name in (contract.time, *contract.key) if name]
    rows = rows.sort(order, maintain_order=True) if order else rows
    return CheckedBatch(
        file=file,
        contract_digest=contract.digest,
        rows_read=rows_read,
        accepted=_to_arrow(rows, contract),
        records=rows.get_column(RECORD).to_numpy(),
        quarantined=_quarantine(refused, originals),
        duplicates=duplicates,
        originals=originals,
        nulled=verdict.nulled,
        ignored=ignored,
    )


def _resolve_keys(rows: pl.DataFrame, contract: Contract) -> tuple[pl.DataFrame, int, list[tuple[int, str, str]]]:
    """Exact repeats are counted; of rows with one key and different values all are refused, or the last one wins."""
    if not contract.key or rows.is_empty():
        return rows, 0, []
    once = rows.unique(subset=list(contract.names), keep="first", maintain_order=True)
    duplicates = rows.height - once.height
    clash = once.select(pl.struct(contract.key).is_duplicated()).to_series()
    if not clash.any():
        return once, duplicates, []
    if contract.on_conflict == "newest":
        kept = once.unique(subset=list(contract.key), keep="last", maintain_order=True)
        lost = once.join(kept.select(RECORD), on=RECORD, how="anti")
        return kept, duplicates, [(int(n), "superseded", "") for n in lost.get_column(RECORD)]
    return once.filter(~clash), duplicates, [(int(n), "conflict", "") for n in once.filter(clash).get_column(RECORD)]


def _quarantine(refused: list[tuple[int, str, str]], originals: Callable[[Sequence[int]], pa.Table]) -> pa.Table:
    if not refused:
        return QUARANTINE_SCHEMA.empty_table()
    refused = sorted(refused)
    found = originals([number for number, _, _ in refused])
    for index, name in ((1, "reason"), (2, "column")):
        values = pa.array([item[index] or "" for item in refused], pa.string())
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
