from __future__ import annotations

import gzip
import io
import json
import keyword
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.collect.file import open_file
from filiera.core.contract import ColumnType, Contract, FileFormat
from filiera.errors import ContractError
from filiera.ingest import guess
from filiera.ingest.adopt import Draft, examine, to_toml
from filiera.ingest.batch import check_file
from filiera.settings import parse
from unit.ingest.checking import FILE, assert_counts

HEAD = '[project]\nname = "p"\nowner = "o"\npurposes = ["p"]\n\n'


def written(draft: Draft) -> Contract:
    """The contract as the settings read it back from the drafted text."""
    settings = parse(Path("."), HEAD + to_toml(draft, "plant", "data/*.csv"))
    assert settings.sources["plant"].pattern == "data/*.csv"
    return settings.sources["plant"].contract


def adopted(folder: Path, content: bytes | str, encoding: str = "utf-8") -> Draft:
    path = folder / "sample.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    draft = examine(path, open_file)
    assert written(draft) == draft.contract
    pieces = list(check_file(path, FILE, draft.contract, open_file))
    assert_counts(pieces)
    assert sum(piece.batch.accepted.num_rows for piece in pieces) > 0
    return draft


def test_an_office_file_is_recognised(tmp_path: Path) -> None:
    rows = "\n".join(f"Förderband;{day:02}.03.2024 12:30;{day},5;n/a" for day in range(1, 29))
    draft = adopted(tmp_path, f"Gerät;Zeit;Temperatur_C;Druck\n{rows}\nFörderband;29.03.2024 12:30;1,5;3,1\n", "cp1252")
    contract, reading = draft.contract, draft.contract.reading
    assert (reading.delimiter, reading.decimal, reading.encoding) == (";", ",", "cp1252")
    assert reading.null == ("", "n/a")
    assert contract.names == ("gerat", "zeit", "temperatur_c", "druck")
    assert contract.column("zeit").format == "%d.%m.%Y %H:%M"
    assert contract.key == ("gerat", "zeit")
    assert contract.column("druck").type is ColumnType.FLOAT
    assert contract.column("druck").optional
    assert 'unit = "degC"?' in draft.comments["temperatur_c"]
    assert "seen 1.5 to 28.5" in draft.comments["temperatur_c"]
    assert any(question.startswith("zone:") for question in draft.questions)


def test_a_byte_order_mark_and_tabs_are_recognised(tmp_path: Path) -> None:
    draft = adopted(
        tmp_path, b"\xef\xbb\xbfdevice\tat\tx\na\t2024-01-01T00:00:00+01:00\t1\nb\t2024-01-01T00:00:00Z\t2.5\n"
    )
    assert draft.contract.reading.delimiter == "\t"
    assert draft.contract.names == ("device", "at", "x")
    assert draft.contract.column("at").zone is None


def test_days_and_months_that_may_be_swapped_are_asked_about(tmp_path: Path) -> None:
    draft = adopted(tmp_path, "device,at,x\na,03/04/2024 10:00,1\na,05/06/2024 10:00,2\n")
    assert draft.contract.column("at").format == "%d/%m/%Y %H:%M:%S".removesuffix(":%S")
    assert any("does the day come first" in question for question in draft.questions)
    draft = adopted(tmp_path, "device,at,x\na,03/14/2024 10:00,1\na,05/06/2024 10:00,2\n")
    assert draft.contract.column("at").format == "%m/%d/%Y %H:%M"


def test_people_are_masked(tmp_path: Path) -> None:
    draft = adopted(
        tmp_path,
        "machine_name,at,userId,contact,phone,Name,x\n"
        + "".join(f"m,2024-01-01T{hour:02}:00:00Z,{hour},a{hour}@b.org,1,Ann,{hour}.5\n" for hour in range(24)),
    )
    personal = {column.name for column in draft.contract.columns if column.column_class == "personal"}
    assert personal == {"user_id", "contact", "phone", "name"}
    assert any("look personal" in note for note in draft.notes)


def test_nothing_that_was_seen_of_people_is_written(tmp_path: Path) -> None:
    rows = "".join(
        f"{34 + n % 38},F{n % 7},2024-01-01T{n % 24:02}:{n // 24:02}:00Z,{n}.5,{n % 2}\n" for n in range(200)
    )
    draft = adopted(tmp_path, f"age,Fahrer,at,load,gender\n{rows}")
    text = to_toml(draft, "plant", "data/*.csv")
    lines = {line.split(" ")[0]: line for line in text.splitlines()}
    assert "seen 0.5 to 199.5" in lines["load"]
    for name in ("age", "fahrer", "gender"):
        assert 'class = "personal"' in lines[name]
        assert "#" not in lines[name], "no figure of a personal column stands in a plain file"
    assert "34" not in text.replace("2034", "")


def test_numbers_in_quotes_may_have_a_decimal_comma_between_commas(tmp_path: Path) -> None:
    rows = "".join(f'd,2024-01-01T00:{n:02}:00Z,"{n},5"\n' for n in range(60))
    draft = adopted(tmp_path, f"device,at,load\n{rows}")
    assert (draft.contract.reading.delimiter, draft.contract.reading.decimal) == (",", ",")
    assert draft.contract.column("load").type is ColumnType.FLOAT
    text = to_toml(draft, "plant", "x.csv")
    assert 'delimiter = ","\ndecimal = ","' in text


def test_thousands_and_units_inside_cells_are_asked_about(tmp_path: Path) -> None:
    rows = "".join(f'd,2024-01-01T00:{n:02}:00Z,"{n + 1},{n + 100}",{n} %\n' for n in range(60))
    draft = adopted(tmp_path, f"device,at,revenue,share\n{rows}")
    assert draft.contract.reading.decimal == "."
    asked = [question for question in draft.questions if question.startswith(("revenue:", "share:"))]
    assert "a comma between thousands" in asked[0]
    assert "a unit inside the cell" in asked[1]


@pytest.mark.parametrize(("each", "unit"), [(1, "seconds"), (1000, "milliseconds"), (10**6, "micro"), (10**9, "nano")])
def test_times_that_are_counts_since_1970_are_recognised_and_asked_about(tmp_path: Path, each: int, unit: str) -> None:
    rows = "".join(f"s,{(1_709_251_200 + n * 60) * each},{n}.5\n" for n in range(100))
    path = tmp_path / "sample.csv"
    path.write_text(f"sensor,Zeitstempel,temp_c\n{rows}")
    draft = examine(path, open_file)
    assert written(draft) == draft.contract
    assert any(q.startswith("Zeitstempel:") and unit in q for q in draft.questions)
    if each == 1:
        column = draft.contract.column("zeitstempel")
        assert (column.type, column.format, column.zone) == (ColumnType.TIME, "%s", None)
        accepted = pa.concat_tables(p.batch.accepted for p in check_file(path, FILE, draft.contract, open_file))
        assert accepted.column("zeitstempel")[0].as_py().isoformat() == "2024-03-01T00:00:00+00:00"


def test_day_numbers_of_excel_are_asked_about(tmp_path: Path) -> None:
    rows = "".join(f"P;{45352 + n / 24:.5f};{n}\n" for n in range(100))
    path = tmp_path / "sample.csv"
    path.write_text(f"Pumpe;Datum;x\n{rows}")
    assert any("day numbers of Excel" in question for question in examine(path, open_file).questions)


def test_a_header_with_a_line_break_and_the_line_sep_are_read(tmp_path: Path) -> None:
    path = tmp_path / "sample.csv"
    rows = "".join(f"a;2024-01-01T00:{n:02}:00Z;{n},5\r\n" for n in range(60))
    path.write_text(f'sep=;\r\nDevice;At;"Power\n(kW)"\r\n{rows}', newline="")
    draft = examine(path, open_file)
    assert written(draft) == draft.contract
    assert [column.origin for column in draft.contract.columns] == [("Device",), ("At",), ("Power\n(kW)",)]
    assert draft.contract.names == ("device", "at", "power_kw")


def test_what_would_go_to_quarantine_is_told_before(tmp_path: Path) -> None:
    rows = "".join(f"a;2024-01-01T00:{n:02}:00Z;{'#DIV/0!' if n == 7 else n}\n" for n in range(59))
    draft = adopted(tmp_path, f"device;at;x\n;;kW\n{rows}")
    assert draft.contract.reading.null == ("", "#DIV/0!")
    assert any("of 60 records 59 would be accepted" in note for note in draft.notes)


def test_odd_headers_are_told(tmp_path: Path) -> None:
    rows = "".join(f"a,2024-01-01T00:{n:02}:00Z,{n},1,2\n" for n in range(60))
    draft = adopted(tmp_path, f"device,at,x,x,\n{rows}")
    assert any("same name, of which the first is read: x" in note for note in draft.notes)
    assert any("without a name, which are not read: 1" in note for note in draft.notes)
    draft = adopted(tmp_path, rows)
    assert any(question.startswith("header: the first line holds numbers") for question in draft.questions)


def test_a_cell_longer_than_the_splitter_takes_is_no_crash(tmp_path: Path) -> None:
    rows = "".join(f'a,2024-01-01T00:{n:02}:00Z,"{"x" * (200_000 if n == 3 else 3)}"\n' for n in range(60))
    assert adopted(tmp_path, f"device,at,remark\n{rows}").contract.key == ("device", "at")


def test_a_date_and_a_clock_make_a_time(tmp_path: Path) -> None:
    draft = adopted(tmp_path, "pump,date,clock,x\np1,2024-01-31,10:00,1\np1,2024-01-31,10:01,2\n")
    time = draft.contract.column(draft.contract.time or "")
    assert time.origin == ("date", "clock")
    assert draft.contract.key == ("pump", "at")


def test_without_a_time_a_column_that_tells_rows_apart_is_proposed(tmp_path: Path) -> None:
    draft = adopted(tmp_path, "session_id,kind,x\n" + "".join(f"{i},k,{i / 7}\n" for i in range(50)))
    assert (draft.contract.key, draft.contract.time) == (("session_id",), None)
    assert any(question.startswith("key:") for question in draft.questions)


def test_repeated_keys_are_asked_about(tmp_path: Path) -> None:
    rows = [f"a,2024-01-01T{i // 60:02}:{i % 60:02}:00Z,{i}" for i in range(500)]
    draft = adopted(tmp_path, "\n".join(["device,at,x", *rows, "a,2024-01-01T00:00:00Z,7", ""]))
    assert draft.contract.key == ("device", "at")
    assert any("rows that repeat device + at or lack it: 1;" in question for question in draft.questions)


def test_json_lines_and_parquet_are_recognised(tmp_path: Path) -> None:
    items = [{"Device": "a", "At": f"2024-01-0{i}T00:00:00Z", "x": i / 2} for i in range(1, 9)]
    draft = adopted(tmp_path, gzip.compress("\n".join(map(json.dumps, items)).encode()))
    assert draft.contract.reading.format is FileFormat.JSONL
    assert draft.contract.key == ("device", "at")
    pq.write_table(
        pa.table(
            {"Device": ["a", "b"], "At": pa.array([1, 2], pa.timestamp("us", "UTC")), "n": [1, 2], "l": [[1], []]}
        ),
        tmp_path / "a.parquet",
    )
    draft = examine(tmp_path / "a.parquet", open_file)
    assert written(draft) == draft.contract
    assert [c.type for c in draft.contract.columns] == [ColumnType.CATEGORY, ColumnType.TIME, ColumnType.INTEGER]


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "collect.file_empty"), (b"\n\n", "collect.file_empty"), (b"\xff\xfed\0e\0", "contract.encoding")],
)
def test_what_cannot_be_read_says_so(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(ContractError) as caught:
        examine(path, open_file)
    assert caught.value.code == code


def test_a_header_without_records_is_no_sample(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"device,at,x\n")
    with pytest.raises(ContractError) as caught:
        examine(path, open_file)
    assert caught.value.code == "collect.file_empty"


@given(st.lists(st.text(max_size=80), min_size=1, max_size=20))
@settings(deadline=None)
def test_names_are_valid_and_all_different(raws: list[str]) -> None:
    names = guess.asset_names(raws)
    assert len(set(names)) == len(raws)
    assert all(re.fullmatch("[a-z][a-z0-9_]{0,62}", name) and not keyword.iskeyword(name) for name in names)


@given(
    st.lists(
        st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=12),
        min_size=1,
        max_size=5,
        unique=True,
    )
)
@settings(deadline=None, max_examples=25)
def test_any_raw_name_survives_the_way_through_the_settings(raws: list[str]) -> None:
    rows = [{name: f"v{i}{j}" for j, name in enumerate(raws)} for i in range(3)]
    content = "\n".join(map(json.dumps, rows)).encode()
    draft = examine(Path("sample"), lambda _: io.BytesIO(content))
    assert written(draft) == draft.contract
    assert {column.origin[0] for column in draft.contract.columns} == set(raws)


@pytest.mark.parametrize(
    ("relative", "key", "time"),
    [
        ("wind_scada/sample_2_turbines_2014_03_to_2015_01.csv.gz", ("wind_turbine_name", "date_time"), "date_time"),
        ("beijing_air/stations_2013_2017.csv.gz", ("station", "at"), "at"),
        ("ev_charging/sessions.csv", ("station_id", "created"), "created"),
        ("pump_testbed/measurements.csv.gz", ("experiment", "datetime"), "datetime"),
    ],
)
def test_the_sample_data_are_adopted_with_their_keys(
    sample: Callable[[str], Path], relative: str, key: tuple[str, ...], time: str
) -> None:
    path = sample(relative)
    draft = examine(path, open_file)
    assert (draft.contract.key, draft.contract.time) == (key, time)
    assert written(draft) == draft.contract
    pieces = list(check_file(path, FILE, draft.contract, open_file))
    assert_counts(pieces)
    lost = sum(piece.batch.quarantined.num_rows for piece in pieces)
    assert lost <= sum(piece.batch.rows_read for piece in pieces) // 1000
