"""The sample that a contract is drafted from: its first records as texts, whatever its header looks like."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl

from filiera.core.batch import CheckedBatch, SourceFile
from filiera.core.contract import Column, ColumnType, Contract, FileFormat, Reading
from filiera.errors import ContractError
from filiera.ingest import guess
from filiera.ingest.batch import check_file
from filiera.ingest.form import Form, Opener, empty
from filiera.ingest.header import BOM, read_header

SAMPLE_ROWS = 250_000  #: looked at for types, ranges and keys
READ_BYTES = 1 << 20
_SAMPLE_OBJECTS = 1000  #: of JSON lines, looked at for names


@dataclass(frozen=True, slots=True)
class Raw:
    """The file as the checker reads it: a CSV file under a header of plain names, whatever its own looks like."""

    path: Path
    reading: Reading
    names: Mapping[str, str]  #: raw name -> name that the checker sees
    known: Mapping[str, ColumnType]  #: types that the file itself states (Parquet)
    opened: Opener

    def batches(self, contract: Contract) -> Iterator[tuple[CheckedBatch, bool]]:
        """The first `SAMPLE_ROWS` records, checked; and whether the file ended with them."""
        columns = [replace(c, origin=tuple(self.names[raw] for raw in c.origin)) for c in contract.columns]
        file = SourceFile(source="", path=self.path.name, digest="", size_bytes=0, mtime_ns=0, inode=0)
        rows = 0
        for piece in check_file(self.path, file, replace(contract, columns=tuple(columns)), self.opened):
            yield piece.batch, piece.last
            rows += piece.batch.rows_read
            if rows >= SAMPLE_ROWS:
                break


@dataclass(frozen=True, slots=True)
class Sample:
    """Cells as texts, stripped, with null words as null; columns by raw name."""

    cells: pl.DataFrame
    raw: Raw
    odd: int  #: records that are no records of this format
    whole: bool

    @property
    def reading(self) -> Reading:
        """How the file is written."""
        return self.raw.reading


def names_of(path: Path, reading: Reading, opened: Opener) -> tuple[str, ...]:
    """The raw names in a file that is written like another one.

    Raises:
        ContractError: it is not.
    """
    if reading.format is FileFormat.PARQUET:
        return tuple(_parquet_columns(path))
    with opened(path) as stream:
        if reading.format is FileFormat.JSONL:
            return tuple(_json_names(stream, reading))
        return read_header(stream, reading, path.name).names


def raw_of(path: Path, form: Form, opened: Opener) -> Raw:
    """The file as the checker reads it."""
    reading = form.reading
    if form.header is not None:
        plain = [f"c{number}" for number in range(len(form.header.names))]
        names = {name: plain[form.header.names.index(name)] for name in form.header.names if name}
        first = reading.delimiter.join(plain).encode() + b"\n"
        size = len(form.header.raw)
        return Raw(path, reading, names, {}, lambda path: _under(first, opened(path), size))
    if reading.format is FileFormat.PARQUET:
        known = _parquet_columns(path)
        return Raw(path, reading, {name: name for name in known}, known, opened)
    with opened(path) as stream:
        names = {name: name for name in _json_names(stream, reading)}
    return Raw(path, reading, names, {}, opened)


class _Joined(io.RawIOBase):
    """Some bytes, and what follows in a stream."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        self._first, self._rest = first, rest

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As io.RawIOBase says."""
        block = self._first[: len(buffer)] or self._rest.read(len(buffer))
        self._first = self._first[len(buffer) :]
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        """Close the stream too."""
        self._rest.close()
        super().close()


def _under(first: bytes, stream: BinaryIO, skipped: int) -> BinaryIO:
    """A stream with another first line."""
    stream.read(skipped)
    return io.BufferedReader(_Joined(first, stream), READ_BYTES)


def read_sample(raw: Raw) -> Sample:
    """The first records as texts; null words and the decimal mark are found among them.

    Raises:
        ContractError: there is no record, or none that fits the form of the file.
    """
    texts = tuple(
        Column(name=f"c{i}", origin=(name,), type=ColumnType.TEXT, optional=True) for i, name in enumerate(raw.names)
    )
    frames, odd, whole = [], 0, False
    for batch, last in raw.batches(Contract(columns=texts, key=(), time=None, reading=raw.reading)):
        frames.append(pl.DataFrame(pl.from_arrow(batch.accepted)))
        odd, whole = odd + batch.quarantined.num_rows, last
    cells = pl.concat(frames).rename(dict(zip((text.name for text in texts), raw.names, strict=True)))
    if cells.is_empty():
        raise _no_records(raw, odd)
    cells = cells.select(pl.all().cast(pl.String))
    reading = raw.reading
    if reading.format is not FileFormat.PARQUET:
        decimal = "," if guess.has_decimal_comma(cells, reading.delimiter) else "."
        reading = replace(reading, null=guess.null_words(cells), decimal=decimal)
    clean = pl.when(pl.all().is_in(list(reading.null))).then(None).otherwise(pl.all()).name.keep()
    return Sample(cells.select(clean), replace(raw, reading=reading), odd, whole)


def _no_records(raw: Raw, odd: int) -> ContractError:
    if not odd:
        return empty(raw.path)
    return ContractError(
        "contract.no_record", f"none of {odd} records fits the form of the file", where=raw.path.name,
        expected=f"records of {len(raw.names)} fields in {raw.reading.encoding}", next="look at the first lines of it",
    )  # fmt: skip


def _json_names(stream: BinaryIO, reading: Reading) -> list[str]:
    names: dict[str, None] = {}
    for _ in range(_SAMPLE_OBJECTS):
        try:
            item = json.loads(stream.readline(reading.max_record_bytes).removeprefix(BOM))
        except ValueError:
            continue  # such records are counted, and noted, when the sample is read
        names.update(dict.fromkeys(item if isinstance(item, dict) else ()))
    return list(names)


def _parquet_columns(path: Path) -> dict[str, ColumnType]:
    """Name and type of the columns that a contract can hold."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise ContractError(
            "contract.not_parquet", "the file is no Parquet file, or it is damaged", expected="a whole Parquet file",
            found=str(error).splitlines()[0][:200], where=path.name, next="copy it again",
        ) from error  # fmt: skip
    known = {field.name: _arrow_kind(field.type) for field in schema}
    return {name: kind for name, kind in known.items() if kind is not None}


def _arrow_kind(kind: object) -> ColumnType | None:
    import pyarrow.types as at

    table = (
        (at.is_temporal, ColumnType.TIME),
        (at.is_boolean, ColumnType.BOOLEAN),
        (at.is_integer, ColumnType.INTEGER),
        (at.is_floating, ColumnType.FLOAT),
        (at.is_decimal, ColumnType.FLOAT),
        (at.is_dictionary, ColumnType.CATEGORY),
        (at.is_string, ColumnType.TEXT),
        (at.is_large_string, ColumnType.TEXT),
        (at.is_string_view, ColumnType.TEXT),
    )
    return next((name for test, name in table if test(kind)), None)
