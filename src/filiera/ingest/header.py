"""The names of a CSV file's columns: Excel may say `sep=;` before them, and a name in quotes may hold line breaks."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from filiera.core.contract import Reading
from filiera.errors import ContractError

BOM = b"\xef\xbb\xbf"
MAX_LINES = 100  #: of a header; with more, a quote was not closed
_SEP = re.compile(rb'"?sep=(.)"?\r?\n', re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the first record."""

    raw: bytes  #: all of it, as it lies in the file
    names: tuple[str, ...]  #: as they stand there: some may be empty, or repeated


def separator(head: bytes) -> str | None:
    r"""The delimiter that Excel's first line `sep=;` states; None where there is no such line.

    >>> separator(b"sep=;\r\na;b\r\n")
    ';'
    """
    match = _SEP.match(head.removeprefix(BOM))
    return match[1].decode("latin-1") if match else None


def read_header(stream: BinaryIO, reading: Reading, where: str) -> Header:
    """Read up to the first record.

    Args:
        stream: at the beginning of the file, decompressed.
        reading: how the file is written.
        where: the file's name, for errors.

    Raises:
        ContractError: the header is too long, has a quote that is not closed, or is no text in the encoding.
    """
    raw = bytearray()

    def lines() -> Iterator[str]:
        for number in range(MAX_LINES):
            line = stream.readline(reading.max_record_bytes + 1)
            raw.extend(line)
            if len(raw) > reading.max_record_bytes:
                raise _unlike(where, "the header is too long", f"at most {reading.max_record_bytes} bytes")
            if number or separator(line) is None:
                yield _decoded(line.removeprefix(b"" if number else BOM), reading, where)
        raise _unlike(where, "a quote in the header is not closed", f"a header of at most {MAX_LINES} lines")

    try:
        fields = next(csv.reader(lines(), delimiter=reading.delimiter), [])
    except csv.Error as error:
        raise _unlike(where, f"the first line is no header: {error}", "names of columns") from error
    return Header(bytes(raw), tuple(fields))


def _unlike(where: str, message: str, expected: str) -> ContractError:
    return ContractError(
        "contract.header", message, expected=expected, where=f"{where}:1",
        next="check the file and its delimiter; `max_record_bytes` in its source limits a header too",
    )  # fmt: skip


def _decoded(line: bytes, reading: Reading, where: str) -> str:
    try:
        return line.decode(reading.encoding)
    except UnicodeDecodeError as error:
        raise ContractError(
            "contract.encoding",
            f"the header is not {reading.encoding}",
            expected="UTF-8 or cp1252",
            found=f"byte 0x{line[error.start]:02x} in {line[:40]!r}",
            next="save it as CSV UTF-8, or set `encoding` in its source; of an old DOS program: "
            "`iconv -f CP850 -t UTF-8 FILE > NEW`",
            where=f"{where}:1",
        ) from error
