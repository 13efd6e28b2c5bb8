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
    assert any("1 rows repeat device + at" in question for question in draft.questions)


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
