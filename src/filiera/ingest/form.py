"""How a sample file is written: format, encoding, delimiter, header; told once, by `filiera adopt`."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from filiera.core.contract import FileFormat, Reading
from filiera.errors import ContractError
from filiera.ingest.header import BOM, Header, read_header, separator

Opener = Callable[[Path], BinaryIO]
SAMPLE_BYTES = 1 << 20
_SAMPLE_LINES = 200
_DELIMITERS = ",;\t|"
_AS_CSV = "open it in its program and save the sheet as CSV UTF-8"
#: First bytes -> what the file is, and what to do.
_FOREIGN: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "an Excel workbook (xlsx) or a ZIP archive", f"{_AS_CSV}; unpack an archive"),
    (b"\xd0\xcf\x11\xe0", "a workbook of an old Excel (xls)", _AS_CSV),
    (b"%PDF", "a PDF document", "ask for the data behind it, as CSV"),
    (b"SQLite format 3\0", "an SQLite database", "export the table: sqlite3 -header -csv FILE 'select * from TABLE'"),
    (b"ARROW1\0\0", "an Arrow file", "write it as Parquet"),
    (b"Obj\x01", "an Avro file", "write it as Parquet or JSON lines"),
    (b"\x89HDF", "an HDF5 file", "write its tables as Parquet or CSV"),
    (b"7z\xbc\xaf", "a 7-Zip archive", "unpack it"),
    (b"Rar!", "a RAR archive", "unpack it"),
    (b"{\\rtf", "a document of a word processor", "save it as plain text"),
)
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class Form:
    """What was told of a file from its beginning."""

    reading: Reading  #: format, encoding and delimiter
    header: Header | None  #: of CSV


def form_of(path: Path, opened: Opener) -> Form:
    """Tell how a file is written.

    Raises:
        ContractError: the file is empty, or in none of the formats that filiera reads; says what it is instead.
    """
    with opened(path) as stream:
        head = stream.read(SAMPLE_BYTES)
    if head.startswith(b"PAR1"):
        return Form(Reading(format=FileFormat.PARQUET), None)
    plain = head.removeprefix(BOM).lstrip()
    if not plain:
        raise empty(path)
    _refuse_foreign(path, head, plain)
    encoding, text = _decoded(head)
    if re.match(r"\s*(\{|\[\s*[\[{])", text):
        _refuse_other_json(path, text)
        return Form(Reading(format=FileFormat.JSONL, encoding=encoding), None)
    mark = separator(head)
    reading = Reading(encoding=encoding, delimiter=mark or _delimiter(text))
    with opened(path) as stream:
        header = read_header(stream, reading, path.name)
    _refuse_other_header(path, header, text if mark is None else text.partition("\n")[2], reading.delimiter)
    return Form(reading, header)


def empty(path: Path) -> ContractError:
    """The error about a file without records."""
    return ContractError(
        "collect.file_empty",
        "the file holds no records",
        expected="a sample with a header and some records",
        next="give a file that holds data",
        where=path.name,
    )


def _refuse_foreign(path: Path, head: bytes, plain: bytes) -> None:
    for magic, what, advice in _FOREIGN:
        if plain.startswith(magic):
            raise _refused(path, "contract.format", f"the file is {what}", advice, repr(head[:16]))
    if plain.startswith((b"<!", b"<?")) or (plain.startswith(b"<") and b"</" in head):
        what = "an HTML or XML document, whatever its name says"
        raise _refused(path, "contract.format", f"the file is {what}", _AS_CSV, repr(head[:16]))
    if head.startswith(_WIDE) or b"\0" in head[:4096]:
        kind = "UTF-16, which Excel calls Unicode text" if head.startswith(_WIDE) else "no text, or UTF-16"
        raise _refused(
            path, "contract.encoding", f"the file is {kind}",
            "save it as CSV UTF-8, or `iconv -f UTF-16 -t UTF-8 FILE > NEW`", repr(head[:16]),
        )  # fmt: skip
    if b"\r" in head and b"\n" not in head:
        raise _refused(
            path, "contract.format", "the lines of the file end with CR alone, as on old Macintoshes",
            r"`tr '\r' '\n' < FILE > NEW`",
        )  # fmt: skip


def _refuse_other_json(path: Path, text: str) -> None:
    """JSON that is not one object on each line."""
    advice = "`jq -c '.[]' FILE > NEW.jsonl` writes the objects of a list on a line each"
    if text.lstrip("\ufeff \t\r\n").startswith("["):
        raise _refused(path, "contract.format", "the file is one JSON array, not JSON lines", advice)
    first, end, _ = text.strip("\ufeff \t\r\n").partition("\n")
    try:
        json.loads(first)
    except ValueError:
        if end or len(text) < SAMPLE_BYTES // 4:
            raise _refused(
                path, "contract.format", "the file is JSON, but not one object on each line",
                f"{advice}; where the list has a name, say it: '.rows[]'",
            ) from None  # fmt: skip


def _refused(path: Path, code: str, message: str, advice: str, found: str = "") -> ContractError:
    return ContractError(
        code, message, expected="CSV, JSON lines or Parquet, plain or compressed", found=found, where=path.name,
        next=advice,
    )  # fmt: skip


def _decoded(head: bytes) -> tuple[str, str]:
    """Encoding and text; a few broken bytes in a UTF-8 file do not make it another encoding."""
    try:
        return "utf-8", codecs.getincrementaldecoder("utf-8")().decode(head.removeprefix(BOM))
    except UnicodeDecodeError:
        text = head.removeprefix(BOM).decode("utf-8", "replace")
    broken = text.count("\ufffd")
    if sum(not mark.isascii() for mark in text) > 2 * broken:
        return "utf-8", text
    return "cp1252", head.decode("cp1252", "replace")


def _delimiter(text: str) -> str:
    """The mark that gives most records as many fields as the header, and more than one."""

    def fit(mark: str) -> tuple[bool, int, int]:
        counts = _field_counts(text, mark)
        common, records = _most_common(counts)
        return (common > 1 and counts[:1] == [common], records if common > 1 else 0, common)

    return max(_DELIMITERS, key=fit)


def _field_counts(text: str, mark: str) -> list[int]:
    """Fields of each of the first records; a record that cannot be split ends the look."""
    counts = []
    lines = text.split("\n")[:_SAMPLE_LINES]
    try:
        for fields in csv.reader((f"{line}\n" for line in lines), delimiter=mark):
            if fields:
                counts.append(len(fields))
    except csv.Error:
        pass  # a field that is longer than a field may be; the records before it are enough
    return counts


def _most_common(counts: list[int]) -> tuple[int, int]:
    return Counter(counts[1:] or counts).most_common(1)[0] if counts else (0, 0)


def _refuse_other_header(path: Path, header: Header, text: str, mark: str) -> None:
    """A first line that names few columns, or has another number of fields than most records, is no header."""
    counts = _field_counts(text, mark)
    common, records = _most_common(counts)
    names, named = len(header.names), sum(bool(name.strip()) for name in header.names)
    if 2 * named > names and (names == common or common < 2 or 2 * records <= len(counts) - 1):
        return
    same = next((i for i, count in enumerate(counts) if count == common), 0)
    if names == common - 1 and same == 1:
        advice = f"if every record ends with {mark!r}, let the first line do so too"
    else:
        advice = "remove the lines above the one with the names of the columns"
    raise ContractError(
        "contract.header", f"the first line names {named} column{'s' * (named != 1)}, and most records have {common}",
        expected="a first line with the name of every column", found=repr(text.partition("\n")[0][:60]),
        next=advice, where=f"{path.name}:1",
    )  # fmt: skip
