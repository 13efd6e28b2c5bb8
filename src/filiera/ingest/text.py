"""CSV and JSON lines, chunk by chunk: all columns as text by the fast reader, odd records found by their borders."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from filiera.core.batch import SourceFile
from filiera.core.contract import Contract, FileFormat
from filiera.errors import ContractError
from filiera.ingest.contract import RECORD
from filiera.ingest.piece import (
    QUARANTINE_SCHEMA,
    Find,
    Originals,
    Piece,
    RawRows,
    Refusal,
    finish,
    ignored_names,
    raw_names,
    require_columns,
)
from filiera.ingest.records import RAW_BYTES, Chunk, Records, read_chunks, split

Opener = Callable[[Path], BinaryIO]
MAX_COLUMNS = 10_000  #: a header with more is no header
_DELIMITERS = ",;\t|"
_BOM = b"\xef\xbb\xbf"
_Indices = npt.NDArray[np.int64]


def check_text(
    path: Path, file: SourceFile, contract: Contract, opened: Opener, start: int, places: Sequence[int] | None
) -> Iterator[Piece]:
    """Pieces of a CSV or JSON lines file; see `filiera.ingest.batch.check_file`."""
    reading = contract.reading
    lines = reading.format is FileFormat.JSONL
    with opened(path) as stream:
        header = b"" if lines else _read_header(stream, file, contract)
        names = [] if lines else _header_names(header, contract, file)
        offset, line = len(header), header.count(b"\n") + 1
        if start > offset:
            line += _skip(stream, start - offset)
            offset = start
        number = 0
        for chunk in read_chunks(stream, offset=offset, line=line, max_record_bytes=reading.max_record_bytes):
            raw = _read_json(chunk, contract, number, file) if lines else _read_csv(chunk, names, contract, number)
            number += raw.rows_read
            wanted = raw if places is None else raw.only(places)
            yield Piece(finish(wanted, file, contract), _end(chunk), chunk.last)


def _end(chunk: Chunk) -> int:
    whole = chunk.content.rfind(b"\n") + 1
    return chunk.offset + whole + sum(record.span_bytes for record in chunk.long)


def _read_header(stream: BinaryIO, file: SourceFile, contract: Contract) -> bytes:
    limit = contract.reading.max_record_bytes
    header = stream.readline(limit + 1)
    if len(header) > limit:
        raise ContractError(
            "contract.header",
            "the first line is too long to be a header",
            expected=f"names of columns, at most {limit} bytes",
            next="check the file; `max_record_bytes` in the source sets the limit",
            where=f"{file.path}:1",
        )
    if not header.removeprefix(_BOM).strip():
        raise ContractError(
            "collect.file_empty",
            "the file has no header",
            expected="a line with the names of the columns",
            next="it is left alone until it changes",
            where=file.path,
        )
    return header


def _skip(stream: BinaryIO, size: int) -> int:
    lines = 0
    while size > 0 and (block := stream.read(min(size, 1 << 20))):
        lines += block.count(b"\n")
        size -= len(block)
    return lines


def _header_names(header: bytes, contract: Contract, file: SourceFile) -> list[str]:
    reading = contract.reading
    try:
        text = header.removeprefix(_BOM).decode(reading.encoding)
    except UnicodeDecodeError as error:
        raise ContractError(
            "contract.encoding",
            f"the header is not {reading.encoding}",
            expected=reading.encoding,
            found=repr(header[:40]),
            next="set `encoding` in the source to what the file is, or convert the file to UTF-8",
            where=f"{file.path}:1",
        ) from error
    text = text.rstrip("\r\n")
    names = _fields(text, reading.delimiter)

    def other_delimiter(name: str) -> str | None:
        marks = [mark for mark in _DELIMITERS if mark != reading.delimiter and name in _fields(text, mark)]
        if not marks:
            return None
        return f"the header fits the delimiter {marks[0]!r}: set `delimiter` in the source, or run `filiera adopt`"

    require_columns(names, contract, f"{file.path}:1", other_delimiter)
    if len(names) > MAX_COLUMNS:
        raise ContractError(
            "contract.header", f"the header has {len(names)} columns", expected=f"at most {MAX_COLUMNS}",
            next="check the file and its delimiter", where=f"{file.path}:1",
        )  # fmt: skip
    # A second column of the same name cannot be meant by the contract: the first one is.
    return [f"__{i}" if name in (*names[:i], RECORD) else name for i, name in enumerate(names)]


def _fields(text: str, delimiter: str) -> list[str]:
    return next(csv.reader([text], delimiter=delimiter), [])


# ---- CSV


def _read_csv(chunk: Chunk, names: list[str], contract: Contract, number: int) -> RawRows:
    reading = contract.reading
    records = split(chunk.content, reading.delimiter, len(names), reading.max_record_bytes)
    bad = _structural(chunk, records, contract, len(names))
    good = np.flatnonzero(bad == "")
    quoted, plain = good[~records.plain[good]], good[records.plain[good]]
    frames = [_parse_chosen(chunk, records, quoted, names, contract, bad, '"')]
    frames.append(_parse_chosen(chunk, records, plain, names, contract, bad, None))
    order = np.concatenate([quoted[bad[quoted] == ""], plain[bad[plain] == ""]])
    frame = pl.concat(frames).with_columns(pl.Series(RECORD, number + 1 + order, dtype=pl.Int64))
    return _raw_rows(frame.sort(RECORD), chunk, records, bad, contract, number, ignored_names(names, contract))


def _structural(chunk: Chunk, records: Records, contract: Contract, fields: int) -> npt.NDArray[np.object_]:
    """Why a record cannot be parsed at all; "" where it can."""
    bad = np.full(len(records.starts), "", dtype=object)
    bad[records.fields != fields] = "ragged"
    bad[records.ends - records.starts > contract.reading.max_record_bytes] = "too_long"
    bad[_undecodable(chunk.content, records, contract.reading.encoding)] = "encoding"
    return bad


def _undecodable(content: bytes, records: Records, encoding: str) -> _Indices:
    """The records whose bytes are no text in `encoding`."""
    none = np.zeros(0, np.int64)
    if content.isascii():
        return none
    try:
        content.decode(encoding)
        return none
    except UnicodeDecodeError:
        foreign = np.flatnonzero(np.frombuffer(content, np.uint8) >= 128)
    suspects = np.unique(np.searchsorted(records.starts, foreign, side="right") - 1)
    return np.array([i for i in suspects if i >= 0 and not _is_text(_bytes(content, records, i), encoding)], np.int64)


def _bytes(content: bytes, records: Records, index: int) -> bytes:
    return content[records.starts[index] : records.ends[index]]


def _is_text(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _cut(chunk: Chunk, records: Records, chosen: _Indices, encoding: str) -> bytes:
    """The chosen records as UTF-8, one after the other."""
    if len(chosen) == len(records.starts):
        content = chunk.content
    else:
        content = b"".join(_bytes(chunk.content, records, i) + b"\n" for i in chosen)
    return content if encoding == "utf-8" else content.decode(encoding).encode()


def _parse_chosen(
    chunk: Chunk,
    records: Records,
    chosen: _Indices,
    names: list[str],
    contract: Contract,
    bad: npt.NDArray[np.object_],
    quote: str | None,
) -> pl.DataFrame:
    reading = contract.reading
    if not len(chosen):
        return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    try:
        frame = _parse(_cut(chunk, records, chosen, reading.encoding), names, reading.delimiter, quote)
        if frame.height == len(chosen):
            return frame
    except pl.exceptions.PolarsError:
        pass  # the fast reader sees other fields than the borders do: ask the slow one, record by record
    rows = []
    for index in chosen:
        text = _bytes(chunk.content, records, index).decode(reading.encoding)
        fields = _strict_fields(text, reading.delimiter)
        if fields is None or len(fields) != len(names):
            bad[index] = "ragged"
        else:
            rows.append(fields)
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")


def _strict_fields(text: str, delimiter: str) -> list[str] | None:
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None


def _parse(content: bytes, names: list[str], delimiter: str, quote: str | None) -> pl.DataFrame:
    return pl.read_csv(
        io.BytesIO(content),
        has_header=False,
        schema=dict.fromkeys(names, pl.String),
        separator=delimiter,
        quote_char=quote,
        infer_schema=False,
    )


# ---- JSON lines


def _read_json(chunk: Chunk, contract: Contract, number: int, file: SourceFile) -> RawRows:
    if chunk.offset == 0 and chunk.content.startswith(_BOM):
        chunk = Chunk(chunk.content[len(_BOM) :], len(_BOM), chunk.line, chunk.long, chunk.last)
    records = split(chunk.content, None)
    bad = _structural(chunk, records, contract, 1)
    good = np.flatnonzero(bad == "")
    wanted = raw_names(contract)
    names = _first_names(chunk, records, good)
    if number == 0 and len(good):
        require_columns(names, contract, f"{file.path}:1", lambda _: None)
    frame = _parse_json(chunk, records, good, wanted, contract.reading.encoding, bad)
    kept = good[bad[good] == ""]
    frame = frame.with_columns(pl.Series(RECORD, number + 1 + kept, dtype=pl.Int64))
    return _raw_rows(frame, chunk, records, bad, contract, number, ignored_names(names, contract))


def _first_names(chunk: Chunk, records: Records, good: _Indices) -> list[str]:
    """Names in the first records; a record may leave out what it has no value for."""
    found = [_json_object(_bytes(chunk.content, records, i).decode("utf-8", "replace")) for i in good[:1000]]
    return list(dict.fromkeys(name for item in found if item for name in item))


def _parse_json(
    chunk: Chunk, records: Records, good: _Indices, names: list[str], encoding: str, bad: npt.NDArray[np.object_]
) -> pl.DataFrame:
    schema = dict.fromkeys(names, pl.String)
    if not len(good):
        return pl.DataFrame(schema=schema)
    try:
        frame = pl.read_ndjson(io.BytesIO(_cut(chunk, records, good, encoding)), schema=schema)
        if frame.height == len(good):
            return frame
    except pl.exceptions.PolarsError:
        pass  # some line is no JSON object: find which
    items = [_json_object(_bytes(chunk.content, records, i).decode(encoding)) for i in good]
    bad[good[[item is None for item in items]]] = "syntax"
    data = {name: [_json_text(item.get(name)) for item in items if item is not None] for name in names}
    return pl.DataFrame(data, schema=schema)


def _json_object(text: str) -> dict[str, object] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _json_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


# ---- both


def _raw_rows(
    frame: pl.DataFrame,
    chunk: Chunk,
    records: Records,
    bad: npt.NDArray[np.object_],
    contract: Contract,
    number: int,
    ignored: tuple[str, ...],
) -> RawRows:
    refused: list[Refusal] = []
    for i in np.flatnonzero(bad != ""):
        size = f"{records.ends[i] - records.starts[i]} bytes" if bad[i] == "too_long" else ""
        refused.append((number + 1 + int(i), str(bad[i]), "", size))
    first_long = number + 1 + len(bad)
    refused += [(first_long + i, "too_long", "", f"{long.size_bytes} bytes") for i, long in enumerate(chunk.long)]
    return RawRows(
        frame=frame,
        refused=refused,
        rows_read=len(bad) + len(chunk.long),
        originals=_originals(chunk, records, contract.reading.encoding, number),
        find=_find(chunk, records, number),
        ignored=ignored,
    )


def _find(chunk: Chunk, records: Records, number: int) -> Find:
    starts = records.starts + chunk.offset

    def find(offsets: Sequence[int]) -> npt.NDArray[np.int64]:
        wanted = np.asarray(offsets, np.int64)
        if not len(starts):
            return np.zeros(len(wanted), np.int64)
        index = np.minimum(np.searchsorted(starts, wanted), len(starts) - 1)
        return np.where(starts[index] == wanted, number + 1 + index, 0)

    return find


def _originals(chunk: Chunk, records: Records, encoding: str, number: int) -> Originals:
    """Where a record stood and what it said; bytes that are no text are written as escapes."""

    def originals(wanted: Sequence[int]) -> pa.Table:
        indices = np.asarray(wanted, np.int64) - number - 1
        newlines = np.flatnonzero(np.frombuffer(chunk.content, np.uint8) == 10)
        starts = np.append(records.starts, [len(chunk.content)] * len(chunk.long))[indices]
        known = len(records.starts)
        raws = [
            chunk.long[i - known].head if i >= known else _bytes(chunk.content, records, i)[:RAW_BYTES] for i in indices
        ]
        empty = pa.array([""] * len(indices), pa.string())
        columns = [
            pa.array(indices + number + 1, pa.int64()),
            pa.array(chunk.line + np.searchsorted(newlines, starts), pa.int64()),
            pa.array(chunk.offset + starts, pa.int64()),
            empty,
            empty,
            empty,
            pa.array([raw.decode(encoding, "backslashreplace") for raw in raws], pa.string()),
        ]
        return pa.Table.from_arrays(columns, schema=QUARANTINE_SCHEMA)

    return originals
