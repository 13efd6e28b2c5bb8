from __future__ import annotations

import csv as stdlib_csv
import gzip
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filiera.core.contract import Column, ColumnType, Contract, FileFormat
from filiera.errors import ContractError
from filiera.ingest import records
from filiera.ingest.batch import check_file
from unit.ingest.checking import (
    CONTRACT,
    DEVICE,
    FILE,
    HERE,
    assert_counts,
    check_bytes,
    check_one,
    csv,
    reading,
    reasons,
)

T = "2024-01-01T00:00:00Z"
NOTE = Column(name="note", origin=("x",), type=ColumnType.TEXT, optional=True)
TEXTS = replace(CONTRACT, columns=(*CONTRACT.columns[:2], NOTE))
FREE = Contract(
    columns=tuple(Column(name=n, origin=(n,), type=ColumnType.TEXT, optional=True) for n in "abc"), key=(), time=None
)


def raw_of(batch: object) -> list[str]:
    return list(batch.quarantined["raw"].to_pylist())  # type: ignore[attr-defined]


def test_F23_one_bad_record_among_good_ones_is_quarantined_alone() -> None:
    content = csv(f"a,{T},1") + b"b,\xff\xfe,2\n" + csv(f"c,{T},3", f"d,{T}", f"e,{T},4,5", header=f"f,{T},6")
    batch = check_one(content)
    assert reasons(batch) == [("encoding", ""), ("ragged", ""), ("ragged", "")]
    assert batch.accepted["device"].to_pylist() == ["a", "c", "f"]
    assert raw_of(batch)[0] == "b,\\xff\\xfe,2"
    for record in batch.quarantined.to_pylist()[1:]:
        assert content[record["offset"] :].startswith(record["raw"].encode())
        assert content.splitlines()[record["line"] - 1].decode() == record["raw"]


def test_many_bad_bytes_are_found_in_linear_time() -> None:
    content = csv() + b"b,\xff,2\n" * 30_000 + f"a,{T},1\n".encode()
    batch = check_one(content)
    assert (batch.quarantined.num_rows, batch.accepted.num_rows) == (30_000, 1)


def test_quoted_line_ends_delimiters_and_quotes_belong_to_their_cell() -> None:
    batch = check_one(csv(f'a,{T},"one\ntwo, ""three"""', f"b,{T},plain"), TEXTS)
    assert batch.accepted["note"].to_pylist() == ['one\ntwo, "three"', "plain"]


@pytest.mark.parametrize("other", ["plain", '"NNW"', '"N,W"', '5" pipe'])
def test_a_stray_quote_does_not_swallow_its_neighbours(other: str) -> None:
    batch = check_one(csv(f'a,{T},5" pipe', f"b,{T},{other}", f'c,{T},"last"'), TEXTS)
    assert batch.rows_read == 3
    assert batch.accepted["note"].to_pylist() == ['5" pipe', other.strip('"'), "last"]


def test_an_unclosed_quote_does_not_swallow_the_rest() -> None:
    batch = check_one(csv(f'a,{T},"open', *(f"b{i:03},{T},{i}" for i in range(100))), TEXTS)
    assert batch.rows_read == 101
    assert batch.accepted.num_rows == 101


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "\n"])
def test_line_ends_of_both_kinds_and_a_missing_last_one(ending: str, last: str) -> None:
    rows = ["device,at,x", f"a,{T},1", f"b,{T},2"]
    batch = check_one((ending.join(rows) + last.replace("\n", ending)).encode())
    assert batch.accepted["x"].to_pylist() == [1.0, 2.0]


def test_blank_lines_are_no_records() -> None:
    batch = check_one(csv("", f"a,{T},1", "", "", f"b,{T},2", ""))
    assert (batch.rows_read, batch.accepted.num_rows) == (2, 2)


def test_a_byte_order_mark_is_skipped_in_csv_and_json() -> None:
    assert check_one(b"\xef\xbb\xbf" + csv(f"a,{T},1")).accepted.num_rows == 1
    line = json.dumps({"device": "a", "at": T, "x": 1}).encode()
    assert check_one(b"\xef\xbb\xbf" + line, reading(format=FileFormat.JSONL)).accepted.num_rows == 1


def test_cp1252_is_read_and_its_holes_are_quarantined() -> None:
    content = csv() + "Müller€".encode("cp1252") + f",{T},1\n".encode() + b"\x81" + f",{T},1\n".encode()
    batch = check_one(content, reading(encoding="cp1252"))
    assert batch.accepted["device"].to_pylist() == ["Müller€"]
    assert reasons(batch) == [("encoding", "")]


def test_a_header_in_another_encoding_is_refused() -> None:
    with pytest.raises(ContractError) as caught:
        check_one("device,at,x,größe\n".encode("cp1252"))
    assert caught.value.code == "contract.encoding"


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf\n"])
def test_a_file_without_header_says_so(content: bytes) -> None:
    with pytest.raises(ContractError) as caught:
        check_one(content)
    assert caught.value.code == "collect.file_empty"


def test_a_header_alone_gives_no_rows() -> None:
    batch = check_one(csv())
    assert (batch.rows_read, batch.accepted.num_rows) == (0, 0)


def test_a_record_over_the_limit_is_quarantined_with_its_head() -> None:
    content = csv(f"a,{T},1", "b" * 5000, f"c,{T},3")
    batch = check_one(content, reading(max_record_bytes=1000))
    assert reasons(batch) == [("too_long", "")]
    assert raw_of(batch) == ["b" * 4096]
    assert batch.accepted.num_rows == 2


def test_a_record_over_the_limit_is_skipped_while_it_streams_by() -> None:
    content = csv(f"a,{T},1", "b" * (5 << 20), f"c,{T},3")
    pieces = check_bytes(content)
    batches = [piece.batch for piece in pieces]
    assert sum(batch.rows_read for batch in batches) == 3
    (long,) = [row for batch in batches for row in batch.quarantined.to_pylist()]
    assert (long["reason"], long["detail"], long["line"]) == ("too_long", f"{5 << 20} bytes", 3)
    assert long["offset"] == content.index(b"bbb")
    assert pieces[-1].end == len(content)


def test_a_grown_file_is_read_from_its_last_complete_record() -> None:
    first = csv(f"a,{T},1", f"b,{T},2")
    (before,) = check_bytes(first + b"c,2024")
    assert before.end == len(first)
    (after,) = check_bytes(first + f"c,{T},3\n".encode(), start=before.end)
    assert after.batch.accepted["device"].to_pylist() == ["c"]
    (bad,) = check_bytes(first + b"nonsense\n", start=before.end)
    assert bad.batch.quarantined["line"].to_pylist() == [4]


def test_large_files_come_in_pieces_with_running_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "CHUNK_BYTES", 1 << 20)
    monkeypatch.setattr(records, "READ_BYTES", 1 << 16)
    rows = [f"d{i},{T},{'oops,' * (i % 1000 == 0)}1" for i in range(100_000)]
    content = csv(*rows)
    pieces = check_bytes(content, reading(max_record_bytes=1000))
    assert len(pieces) > 2
    assert sum(piece.batch.rows_read for piece in pieces) == 100_000
    bad = [row for piece in pieces for row in piece.batch.quarantined.to_pylist()]
    assert [row["record"] for row in bad] == list(range(1, 100_000, 1000))
    assert [row["line"] for row in bad] == list(range(2, 100_001, 1000))
    assert all(content[row["offset"] :].startswith(row["raw"].encode()) for row in bad)


def test_originals_of_accepted_records_can_be_asked_for_later() -> None:
    batch = check_one(csv(f"b,{T},1", f"a,{T},2"))
    asked = batch.originals(batch.records.tolist())
    assert asked["raw"].to_pylist() == [f"a,{T},2", f"b,{T},1"]


def test_json_lines_keep_numbers_texts_and_gaps() -> None:
    lines = [
        {"device": "a", "at": T, "x": 1.5},
        {"at": T, "device": "b", "extra": [1]},
        {"device": "c", "at": T, "x": "7"},
    ]
    batch = check_one("\n".join(map(json.dumps, lines)).encode(), reading(format=FileFormat.JSONL))
    assert batch.accepted["x"].to_pylist() == [1.5, None, 7.0]
    assert batch.ignored == ("extra",)


def test_F23_broken_json_is_quarantined_alone() -> None:
    good = json.dumps({"device": "a", "at": T, "x": 1})
    content = "\n".join([good, "{nope", "[1]", "7", good.replace('"a"', '"b"').replace("1}", "NaN}"), "[" * 100_000])
    batch = check_one(content.encode(), reading(format=FileFormat.JSONL))
    assert reasons(batch) == [("syntax", "")] * 4
    assert batch.accepted["x"].to_pylist() == [1.0, None]


def test_json_lines_without_a_needed_column_are_refused() -> None:
    with pytest.raises(ContractError) as caught:
        check_one(b'{"device": "a", "x": 1}\n', reading(format=FileFormat.JSONL))
    assert caught.value.code == "contract.column_missing"


noise = st.lists(
    st.sampled_from([b"a", b"1", b",", b";", b'"', b"\n", b"\r", b" ", b"\xff", b"\0", b"\xc3\xa9", T.encode(), b"NA"]),
    max_size=60,
).map(b"".join)


@given(st.one_of(st.binary(max_size=300), noise))
@example(b'"')
@example(b',,\n"\n')
@settings(max_examples=150, deadline=None)
def test_for_any_bytes_the_counts_add_up_and_nothing_escapes(body: bytes) -> None:
    for contract in (CONTRACT, reading(encoding="cp1252"), reading(max_record_bytes=25)):
        check_bytes(b"device,at,x\n" + body, contract)
    sound = json.dumps({"device": "a", "at": T, "x": 1}).encode()
    check_bytes(sound + b"\n" + body, reading(format=FileFormat.JSONL))


@given(st.one_of(st.binary(max_size=300), noise))
@example(b'\n",,')
@settings(max_examples=120, deadline=None)
def test_every_line_with_content_is_a_record_or_part_of_one(body: bytes) -> None:
    batch = check_one(b"a,b,c\n" + body, FREE)
    kept = [cell for row in batch.accepted.to_pylist() for cell in row.values() if cell]
    raws = raw_of(batch)
    shown = "".join([*kept, *raws]).encode() if body.isascii() else None
    if shown is not None:
        for mark in set(body) - set(b',"\n\r \t\x0b\x0c\x1c\x1d\x1e\x1f'):
            assert body.count(mark) == shown.count(mark)


cells = st.text(st.characters(blacklist_categories=["Cs", "Cc"]) | st.sampled_from(',";\n'), max_size=8).map(str.strip)


@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=12), st.sampled_from(",;\t|"))
@settings(max_examples=150, deadline=None)
def test_clean_files_are_read_as_the_standard_library_reads_them(rows: list[tuple[str, str, str]], mark: str) -> None:
    out = io.StringIO()
    writer = stdlib_csv.writer(out, delimiter=mark, lineterminator="\n")
    writer.writerows([("a", "b", "c"), *rows])
    batch = check_one(out.getvalue().encode(), reading(FREE, delimiter=mark))
    assert batch.quarantined.num_rows == 0
    found = sorted(zip(batch.records.tolist(), batch.accepted.to_pylist(), strict=True), key=lambda pair: pair[0])
    assert [tuple(value or "" for value in row.values()) for _, row in found] == [
        tuple(cell.strip() for cell in row) for row in rows
    ]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.integers(-200, 200)), min_size=1, max_size=30))
@settings(max_examples=40, deadline=None)
def test_good_records_are_read_alike_with_and_without_a_bad_neighbour(rows: list[tuple[str, int, int]]) -> None:
    lines = [f"{device},2024-01-0{day + 1}T00:00:00Z,{x}" for device, day, x in rows]
    clean = check_one(csv(*lines))
    for bad in (b"z,\xff,1\n", b"z\n", b'z,"\n'):
        mixed = check_one(csv(*lines) + bad)
        assert mixed.accepted.equals(clean.accepted)
        assert (mixed.duplicates, dict(mixed.nulled)) == (clean.duplicates, dict(clean.nulled))
        assert mixed.quarantined.num_rows == clean.quarantined.num_rows + 1


_LONG_LINE = """
import gzip, io, resource, sys
from pathlib import Path
from filiera.collect.file import list_candidates, open_file, scan
from filiera.ingest.batch import check_file
from unit.ingest.checking import CONTRACT
root = Path(sys.argv[1])
(candidate,) = list_candidates(root, "*.gz", (), 0)
file = scan("s", candidate)
checked = (piece.batch for piece in check_file(candidate.path, file, CONTRACT, open_file))
pieces = [(batch.rows_read, batch.quarantined.to_pylist()) for batch in checked]
bad = [row for _, rows in pieces for row in rows]
assert sum(rows for rows, _ in pieces) == 3, pieces
assert [row["reason"] for row in bad] == ["too_long"] and len(bad[0]["raw"]) == 4096, bad
assert bad[0]["detail"] == f"{1 << 30} bytes", bad
# The peak of this program alone; a program begun by fork counts its parent's in ru_maxrss.
status = Path("/proc/self/status")
lines = status.read_text().splitlines() if status.exists() else []
peaks = [line.split()[1] for line in lines if line.startswith("VmHWM")]
print(peaks[0] if peaks else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_A43_a_line_of_a_gigabyte_is_one_quarantined_record_in_little_memory(tmp_path: Path) -> None:
    root = tmp_path / "files"
    root.mkdir()
    with gzip.open(root / "bomb.csv.gz", "wb", compresslevel=1) as out:
        out.write(csv(f"a,{T},1"))
        for _ in range(1024):
            out.write(b"z" * (1 << 20))
        out.write(f"\nb,{T},2\n".encode())
    tests = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _LONG_LINE, str(root)], env={"PYTHONPATH": str(tests)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 300 * 1024, f"{int(done.stdout) >> 10} MiB"


def test_checking_helpers_see_a_lost_record() -> None:
    (piece,) = check_file(HERE, FILE, CONTRACT, lambda _: io.BytesIO(csv(f"a,{T},1")))
    lost = replace(piece, batch=replace(piece.batch, rows_read=2))
    with pytest.raises(AssertionError):
        assert_counts([lost])
    assert DEVICE.name in CONTRACT.key
