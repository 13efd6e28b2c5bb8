"""How odd files are told apart, and what is said of those that cannot be read."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.collect.file import open_file
from filiera.core.contract import FileFormat, Reading
from filiera.errors import ContractError
from filiera.ingest.adopt import examine, to_toml
from filiera.ingest.form import Form, form_of
from filiera.ingest.header import read_header
from filiera.settings import parse

ROWS = "".join(f"a;{n};{n},5\n" for n in range(20))


def told(folder: Path, content: bytes | str) -> Form:
    path = folder / "x.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return form_of(path, open_file)


def refused(folder: Path, content: bytes | str) -> ContractError:
    path = folder / "x.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ContractError) as caught:
        examine(path, open_file)
    assert caught.value.where.startswith("x.csv")
    assert caught.value.next
    return caught.value


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (json.dumps([{"a": 1}, {"a": 2}]), "one JSON array"),
        ("[\n  {\n", "one JSON array"),
        (json.dumps({"rows": [{"a": 1}]}, indent=2), "not one object on each line"),
        (b"PK\x03\x04" + b"\0" * 50, "Excel workbook"),
        (b"\xd0\xcf\x11\xe0" + b"\0" * 50, "old Excel"),
        ("<html><table><tr><td>a</td></tr></table></html>", "HTML"),
        ('<?xml version="1.0"?>', "HTML or XML"),
        (b"%PDF-1.7\n", "PDF"),
        (b"SQLite format 3\0" + b"\0" * 50, "SQLite"),
        ("a;b\n1;2\n".encode("utf-16"), "UTF-16"),
        (b"\1\2\0\3", "no text"),
        (b"a;b\r1;2\r3;4\r", "CR alone"),
        (b"Ger\x84t;St\x81ck\na;1\nb;2\n", "byte 0x81"),
        (gzip.compress(bytes(range(256)) * 400)[:300], "cannot be read to its end"),
        ("Report of 2024\n\na;b;c\n" + ROWS, "the first line names 1 column, and most records have 3"),
        ("Report;;\n;;\na;b;c\n" + ROWS, "the first line names 1 column"),
        ("a;b\n" + ROWS, "most records have 3"),
        ("\na;b;c\n" + ROWS, "the first line names 0 columns"),
        ('"a;b;c\n' + ROWS * 20, "not closed"),
        ('a;"' + "x" * 200_000 + '"\n1;2\n', "no header"),
        (b"a,b\nx,\x81\n", "none of 1 records fits"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, content: bytes | str, says: str) -> None:
    error = refused(tmp_path, content)
    assert says in f"{error.message} {error.found}"


def test_a_delimiter_at_the_end_of_every_record_is_named(tmp_path: Path) -> None:
    error = refused(tmp_path, "a;b;c\n" + ROWS.replace("\n", ";\n"))
    assert "ends with ';'" in error.next


def test_excel_says_its_delimiter_in_a_first_line(tmp_path: Path) -> None:
    form = told(tmp_path, b"\xef\xbb\xbfsep=;\r\na,b;c\r\n1,5;2\r\n")
    assert form.reading.delimiter == ";"
    assert form.header is not None
    assert form.header.names == ("a,b", "c")
    assert form.header.raw == b"\xef\xbb\xbfsep=;\r\na,b;c\r\n"


@pytest.mark.parametrize(
    ("content", "mark"),
    [
        ("a;b;c\n1,5;2,5;3,5\n", ";"),
        ("a,b\n1;2,3\n", ","),
        ("a\tb\n1\t2\n", "\t"),
        ("a|b,c\n1|2\n", "|"),
        ("a\n1\n2\n", ","),
        ('"a;x";"b"\n"1;2";3\n', ";"),
        ('a,b\n"' + "x" * 150_000 + '",2\n', ","),
        ("<DATE>;<CLOSE>\n2024;1\n", ";"),
    ],
)
def test_the_delimiter_is_the_mark_that_fits_header_and_records(tmp_path: Path, content: str, mark: str) -> None:
    assert told(tmp_path, content).reading.delimiter == mark


def test_a_few_broken_bytes_do_not_make_another_encoding(tmp_path: Path) -> None:
    text = "Gerät;x\n" + "".join(f"Größe {n};{n}\n" for n in range(20))
    assert told(tmp_path, text.encode() + b"Gr\xf6\xdfe;1\n").reading.encoding == "utf-8"
    assert told(tmp_path, text.encode("cp1252")).reading.encoding == "cp1252"


def test_json_lines_are_told_by_their_first_object(tmp_path: Path) -> None:
    assert told(tmp_path, ' {"a": 1}\n{"a": 2}\n').reading.format is FileFormat.JSONL
    assert told(tmp_path, '{"a": "' + "x" * 2_000_000 + '"}\n').reading.format is FileFormat.JSONL


NAMES = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=8), min_size=1)


@given(NAMES.filter(lambda names: any(names)), st.sampled_from(",;\t|"), st.booleans())
def test_any_names_in_quotes_are_read_back_and_no_byte_more(names: list[str], mark: str, sep: bool) -> None:
    text = mark.join('"' + name.replace('"', '""') + '"' for name in names) + "\n"
    before = f"sep={mark}\r\n" if sep else ""
    stream = io.BytesIO(f"{before}{text}rest".encode())
    header = read_header(stream, Reading(delimiter=mark), "x.csv")
    assert header.names == tuple(names)
    assert stream.read() == b"rest"
    assert header.raw == f"{before}{text}".encode()


CELLS = st.text(st.sampled_from("ab1,;\t|\"'.-:%# \n\r\\{}[]<äß€"), max_size=6)
TABLES = st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=6)


@given(st.binary(max_size=200) | TABLES.map(lambda rows: "\n".join(";".join(row) for row in rows).encode()))
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_a_contract_or_a_sentence(content: bytes) -> None:
    with contextlib.suppress(ContractError):
        draft = examine(Path("sample.csv"), lambda _: io.BytesIO(content))
        text = '[project]\nname = "p"\nowner = "o"\npurposes = ["p"]\n' + to_toml(draft, "plant", "data/*.csv")
        assert parse(Path("."), text).sources["plant"].contract == draft.contract
