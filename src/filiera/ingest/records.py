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

CHUNK_BYTES = 32 << 20
READ_BYTES = 1 << 20
RAW_BYTES = 4096  #: what is kept of a quarantined record
_NEWLINE, _QUOTE, _RETURN = 10, 34, 13


@dataclass(frozen=True, slots=True)
class LongRecord:
    """A record over the limit."""

    index: int  #: its place among the records of its chunk
    size_bytes: int
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
    while not ended:
        while len(buffer) < CHUNK_BYTES:
            block = stream.read(READ_BYTES)
            if not block:
                ended = True
                break
            buffer += block
            if len(buffer) > max_record_bytes and _last_border(buffer, len(buffer) - len(block)) == 0:
                break  # one record fills all of it
        cut = len(buffer) if ended else _last_border(buffer)
        if cut == 0 and not ended:
            size, head, rest = _skip_record(stream, bytes(buffer))
            long = (LongRecord(0, size, head),)
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


def _skip_record(stream: BinaryIO, begun: bytes) -> tuple[int, bytes, bytes]:
    """Read past one over-long record: its size with the line end, its head, and what came after it."""
    size, head, block = 0, begun[:RAW_BYTES], begun
    while True:
        place = block.find(b"\n")
        if place >= 0:
            return size + place + 1, head, block[place + 1 :]
        size += len(block)
        block = stream.read(READ_BYTES)
        if not block:
            return size, head, b""


@dataclass(frozen=True, slots=True)
class Records:
    """Borders of the records of one chunk; blank lines are none."""

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]  #: without the line end
    fields: npt.NDArray[np.int64]  #: number of fields of each


def split(content: bytes, delimiter: str | None) -> Records:
    """Find the records of a chunk; `delimiter` None = a record is a line without fields (JSON lines)."""
    raw = np.frombuffer(content, np.uint8)
    newlines = raw == _NEWLINE
    outside = None
    if delimiter is not None and _QUOTE in content:
        inside = np.bitwise_and(np.cumsum(raw == _QUOTE, dtype=np.int64), 1).astype(bool)
        if len(inside) and not inside[-1]:  # balanced; otherwise quotes mean nothing
            outside = ~inside
            newlines &= outside
    borders = np.flatnonzero(newlines)
    ends = borders if len(content) == 0 or content.endswith(b"\n") else np.append(borders, len(content))
    starts = np.concatenate([[0], borders + 1])[: len(ends)]
    fields = _count_fields(raw, starts, delimiter, outside)
    ends = ends - ((ends > starts) & (raw[np.maximum(ends - 1, 0)] == _RETURN)) if len(ends) else ends
    filled = ends > starts
    return Records(starts[filled], ends[filled], fields[filled])


def _count_fields(
    raw: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    delimiter: str | None,
    outside: npt.NDArray[np.bool_] | None,
) -> npt.NDArray[np.int64]:
    if delimiter is None or not len(starts):
        return np.ones(len(starts), np.int64)
    marks = raw == ord(delimiter)
    if outside is not None:
        marks &= outside
    counted = np.concatenate([[0], np.cumsum(marks, dtype=np.int64)])
    stops = np.append(starts[1:], len(raw))
    return counted[stops] - counted[starts] + 1
