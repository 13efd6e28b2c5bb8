"""Cut a stream of bytes into chunks of whole records, and a chunk into records.

Everything works on whole chunks with numpy: record borders are the line ends outside quotes, and the number of fields
of each record is counted, so ragged and over-long records are found without a loop over rows. Memory stays bounded
for any input: a record longer than the limit is skipped while it streams by, and only its first bytes are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

CHUNK_BYTES = 16 << 20
READ_BYTES = 1 << 20
RAW_BYTES = 4096  #: what is kept of a quarantined record
_NEWLINE, _QUOTE, _RETURN = 10, 34, 13


@dataclass(frozen=True, slots=True)
class LongRecord:
    """A record over the limit."""

    size_bytes: int  #: without its line end
    span_bytes: int  #: with it
    head: bytes  #: its first bytes


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole records, as they lie in the file."""

    content: bytes
    offset: int  #: of the first byte, in the decompressed file
    line: int  #: of the first byte, from 1
    long: tuple[LongRecord, ...]  #: over-long records, cut out of the content
    last: bool


def read_chunks(stream: BinaryIO, *, offset: int, line: int, max_record_bytes: int) -> Iterator[Chunk]:
    """Chunks of whole records; the last may lack its line end."""
    buffer, ended = bytearray(), False
    wanted = max(CHUNK_BYTES, 2 * max_record_bytes)
    while not ended:
        while len(buffer) < wanted:
            block = stream.read(READ_BYTES)
            if not block:
                ended = True
                break
            buffer += block
            if len(buffer) > max_record_bytes and _last_border(buffer, len(buffer) - len(block)) == 0:
                break  # one record fills all of it
        cut = len(buffer) if ended else _last_border(buffer)
        if cut == 0 and not ended:
            size, ended_by_line, head, rest = _skip_record(stream, bytes(buffer))
            long = (LongRecord(size - ended_by_line, size, head),)
            yield Chunk(b"", offset, line, long, last=False)
            offset, line, buffer = offset + size, line + 1, bytearray(rest)
            continue
        content = bytes(buffer[:cut])
        del buffer[:cut]
        yield Chunk(content, offset, line, (), last=ended)
        offset += len(content)
        line += content.count(b"\n")


def _last_border(buffer: bytearray, searched: int = 0) -> int:
    """End of the last whole record, 0 when there is none; a border has an even number of quotes before it."""
    place = buffer.rfind(b"\n")
    if place < 0:
        return 0
    if searched and buffer.rfind(b"\n", 0, searched) >= 0:
        return place + 1
    quotes = buffer.count(b'"', 0, place)
    for _ in range(1000):
        if place < 0:
            break
        if quotes % 2 == 0:
            return place + 1
        before = buffer.rfind(b"\n", 0, place)
        quotes -= buffer.count(b'"', max(before, 0), place)
        place = before
    return buffer.rfind(b"\n") + 1  # quotes do not balance: a line end is a border


def _skip_record(stream: BinaryIO, begun: bytes) -> tuple[int, bool, bytes, bytes]:
    """Read past one over-long record: its size, whether a line end closed it, its head, and what came after."""
    size, head, block = 0, begun[:RAW_BYTES], begun
    while True:
        place = block.find(b"\n")
        if place >= 0:
            return size + place + 1, True, head, block[place + 1 :]
        size += len(block)
        block = stream.read(READ_BYTES)
        if not block:
            return size, False, head, b""


@dataclass(frozen=True, slots=True)
class Records:
    """Borders of the records of one chunk; blank lines are none."""

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]  #: without the line end
    fields: npt.NDArray[np.int64]  #: number of fields of each
    plain: npt.NDArray[np.bool_]  #: an odd number of quotes: they are characters like any other


def split(content: bytes, delimiter: str | None, fields: int = 1, max_record_bytes: int = 1 << 20) -> Records:
    """Find the records of a chunk, and how many fields each has.

    A line end inside quotes belongs to its record. Where that reading gives a record that cannot be (the wrong number
    of fields, too long, a quote in the middle of a field), its lines are records of their own: one stray quote must
    not swallow its neighbours.

    Args:
        content: whole records.
        delimiter: None = a record is a line without fields (JSON lines).
        fields: how many a good record has.
        max_record_bytes: the longest good record.
    """
    raw = np.frombuffer(content, np.uint8)
    newlines = np.flatnonzero(raw == _NEWLINE)
    if delimiter is None or b'"' not in content:
        starts, ends = _borders(newlines, len(content))
        plain = np.zeros(len(starts), bool)
        count = (
            np.ones(len(starts), np.int64) if delimiter is None else _count(raw, starts, ends, delimiter, None, plain)
        )
    else:
        # Parity of the quotes up to and with each byte; a byte's sum may wrap around, its lowest bit does not mind.
        inside = np.bitwise_and(np.cumsum(raw == _QUOTE, dtype=np.uint8), np.uint8(1))
        starts, ends = _borders(newlines[inside[newlines] == 0], len(content))
        count = _count(raw, starts, ends, delimiter, inside, _is_odd(inside, starts, ends))
        wrong = (count != fields) | (ends - starts > max_record_bytes) | _is_odd(inside, starts, ends)
        wrong[_record_at(starts, _stray_quotes(raw, inside, delimiter))] = True
        plain = np.zeros(len(starts), bool)
        if wrong.any():
            outer = inside[newlines] == 0
            starts, ends = _borders(newlines[outer | wrong[_record_at(starts, newlines)]], len(content))
            plain = _is_odd(inside, starts, ends)
            count = _count(raw, starts, ends, delimiter, inside, plain)
    returns = (ends > starts) & (raw[np.maximum(ends - 1, 0)] == _RETURN) if len(ends) else np.zeros(0, bool)
    ends = ends - returns
    filled = ends > starts
    return Records(starts[filled], ends[filled], count[filled], plain[filled])


_Places = npt.NDArray[np.int64]


def _borders(newlines: _Places, size: int) -> tuple[_Places, _Places]:
    ends = newlines if len(newlines) and newlines[-1] == size - 1 else np.append(newlines, size)
    ends = ends[: len(ends) if size else 0]
    return np.concatenate([[0], ends + 1])[: len(ends)].astype(np.int64), ends.astype(np.int64)


def _record_at(starts: _Places, places: _Places) -> _Places:
    return np.asarray(np.searchsorted(starts, places, side="right") - 1, dtype=np.int64)


def _before(inside: npt.NDArray[np.uint8], places: _Places) -> npt.NDArray[np.uint8]:
    """Parity of the quotes before each place."""
    return np.where(places > 0, inside[np.maximum(places - 1, 0)], 0).astype(np.uint8)


def _is_odd(inside: npt.NDArray[np.uint8], starts: _Places, ends: _Places) -> npt.NDArray[np.bool_]:
    return np.asarray(_before(inside, starts) != _before(inside, ends), dtype=np.bool_)


def _stray_quotes(raw: npt.NDArray[np.uint8], inside: npt.NDArray[np.uint8], delimiter: str) -> _Places:
    """Quotes that open or close where no field begins or ends."""
    quotes = np.flatnonzero(raw == _QUOTE)
    marks = np.array([ord(delimiter), _NEWLINE, _RETURN, _QUOTE], np.uint8)
    begins = (quotes == 0) | np.isin(raw[np.maximum(quotes - 1, 0)], marks)
    ends = (quotes == len(raw) - 1) | np.isin(raw[np.minimum(quotes + 1, len(raw) - 1)], marks)
    return np.asarray(quotes[~np.where(inside[quotes] == 1, begins, ends)], dtype=np.int64)


def _count(
    raw: npt.NDArray[np.uint8],
    starts: _Places,
    ends: _Places,
    delimiter: str,
    inside: npt.NDArray[np.uint8] | None,
    plain: npt.NDArray[np.bool_],
) -> npt.NDArray[np.int64]:
    """Fields of each record: its delimiters outside quotes, and one."""
    marks = np.flatnonzero(raw == ord(delimiter))
    if inside is not None and not plain.any() and not _before(inside, starts).any():
        marks = marks[inside[marks] == 0]
    elif inside is not None and len(starts):
        owner = _record_at(starts, marks)
        marks = marks[plain[owner] | (inside[marks] == _before(inside, starts)[owner])]
    return np.searchsorted(marks, ends) - np.searchsorted(marks, starts) + 1
