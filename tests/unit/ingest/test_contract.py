from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from filiera.core.contract import Column, ColumnType, Contract
from filiera.errors import ContractError
from unit.ingest.checking import AT, CONTRACT, DEVICE, X, check_one, csv, reading, reasons, with_column

T = "2024-01-01T00:00:00Z"
NEEDED = replace(X, optional=False)


def values(column: Column, *cells: str, contract: Contract = CONTRACT) -> list[object]:
    rows = (f"d{i},{T},{cell}" for i, cell in enumerate(cells))
    return list(check_one(csv(*rows), with_column(column, contract)).accepted[column.name].to_pylist())


def times(column: Column, *cells: str) -> list[str | None]:
    batch = check_one(csv(*(f"d{i:03},{cell},1" for i, cell in enumerate(cells))), with_column(column))
    found = dict(zip(batch.accepted["device"].to_pylist(), batch.accepted["at"].to_pylist(), strict=True))
    assert {reason for reason, _ in reasons(batch)} <= {"time", "null"}
    moments = [found.get(f"d{i:03}") for i in range(len(cells))]
    return [None if at is None else at.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S") for at in moments]


def test_a_cell_out_of_range_is_nulled_where_optional_and_counted() -> None:
    batch = check_one(csv(f"a,{T},-273.2", f"b,{T},101", f"c,{T},5"))
    assert batch.accepted["x"].to_pylist() == [None, None, 5.0]
    assert batch.nulled == {"x": 2}


def test_a_cell_out_of_range_sends_a_needed_row_to_quarantine() -> None:
    batch = check_one(csv(f"a,{T},-273.2", f"b,{T},", f"c,{T},oops", f"d,{T},5"), with_column(NEEDED))
    assert reasons(batch) == [("range", "x"), ("null", "x"), ("type", "x")]
    assert batch.quarantined["raw"].to_pylist()[0] == f"a,{T},-273.2"
    assert batch.quarantined["line"].to_pylist() == [2, 3, 4]


@pytest.mark.parametrize("word", ["nan", "NaN", "inf", "-inf", "Infinity", "1e999"])
def test_what_is_not_finite_is_no_value(word: str) -> None:
    assert values(X, word) == [None]
    assert reasons(check_one(csv(f"a,{T},{word}"), with_column(NEEDED))) == [("not_finite", "x")]


def test_units_are_converted_before_the_range_is_judged() -> None:
    column = replace(X, unit="degC", from_unit="degF", low=-40, high=60)
    assert values(column, "50", "212") == [pytest.approx(10.0), None]


def test_a_decimal_comma_is_read_and_a_misplaced_point_is_no_number() -> None:
    content = csv("a;2024-01-01T00:00:00Z;3,5", "b;2024-01-01T00:00:00Z;1.234,5", "c;2024-01-01T00:00:00Z;1.5",
                  "d;2024-01-01T00:00:00Z;-7", header="device;at;x")  # fmt: skip
    wide = with_column(replace(X, high=1e6))
    batch = check_one(content, reading(wide, delimiter=";", decimal=","))
    assert batch.accepted["x"].to_pylist() == [3.5, 1234.5, None, -7.0]
    assert batch.nulled == {"x": 1}


def test_null_words_mean_no_value() -> None:
    batch = check_one(csv(f"a,{T},NA", f"NA,{T},1"), reading(null=("", "NA")))
    assert batch.accepted["x"].to_pylist() == [None]
    assert batch.nulled == {}
    assert reasons(batch) == [("null", "device")]


def test_integers_keep_all_their_digits_and_refuse_fractions() -> None:
    column = Column(name="n", origin=("x",), type=ColumnType.INTEGER, optional=True)
    assert values(column, "9007199254740993", "5.0", "2.5", "1e30", "-3") == [9007199254740993, 5, None, None, -3]


def test_booleans_have_words() -> None:
    column = Column(name="b", origin=("x",), type=ColumnType.BOOLEAN, optional=True)
    assert values(column, "true", "No", "1", "0", "maybe") == [True, False, True, False, None]


def test_only_declared_categories_pass() -> None:
    column = replace(DEVICE, values=("a", "b"))
    assert reasons(check_one(csv(f"a,{T},1", f"z,{T},1"), with_column(column))) == [("category", "device")]


def test_an_optional_key_is_needed_all_the_same() -> None:
    batch = check_one(csv(f",{T},1", f"a,{T},1"), with_column(replace(DEVICE, optional=True)))
    assert reasons(batch) == [("null", "device")]


def test_an_offset_in_the_text_wins_over_the_zone() -> None:
    paris = replace(AT, zone="Europe/Paris")
    cells = ["2024-07-01T12:00:00+01:00", "2024-07-01 12:00:00", "2024-07-01T12:00Z", "2024-07-01T12:00:00.5-0530"]
    assert times(paris, *cells) == [
        "2024-07-01 11:00:00", "2024-07-01 10:00:00", "2024-07-01 12:00:00", "2024-07-01 17:30:00",
    ]  # fmt: skip


def test_local_times_that_are_no_single_instant_go_to_quarantine() -> None:
    paris = replace(AT, zone="Europe/Paris")
    assert times(paris, "2024-03-31T02:30:00", "2024-10-27T02:30:00", "2024-10-27T03:30:00") == [
        None, None, "2024-10-27 02:30:00",
    ]  # fmt: skip


def test_of_two_equal_local_hours_the_first_in_the_file_is_the_earlier() -> None:
    paris = with_column(replace(AT, zone="Europe/Paris", fold="order"))
    local = "2024-10-27T02:30:00"
    batch = check_one(csv(f"a,{local},1", f"b,{local},5", f"a,{local},2"), paris)
    rows = [(r["device"], r["at"].astimezone(dt.UTC).hour, r["x"]) for r in batch.accepted.to_pylist()]
    assert rows == [("a", 0, 1.0), ("b", 0, 5.0), ("a", 1, 2.0)]


@pytest.mark.parametrize("cell", ["yesterday", "2024-13-01T00:00:00", "2024-02-30", "2024-01-01T25:00:00Z", "5"])
def test_what_is_no_time_goes_to_quarantine(cell: str) -> None:
    assert times(AT, cell) == [None]
    assert times(AT, cell, T) == [None, "2024-01-01 00:00:00"]


def test_dates_with_the_day_first_and_years_with_zeros_in_front_need_a_format() -> None:
    assert times(replace(AT, format="%d/%m/%Y %H:%M"), "03/04/2024 05:06", "13/13/2024 00:00") == [
        "2024-04-03 05:06:00", None,
    ]  # fmt: skip
    assert times(replace(AT, format="00%y-%m-%d %H:%M:%S"), "0014-11-18 15:40:26") == ["2014-11-18 15:40:26"]


def test_a_time_is_composed_of_calendar_columns() -> None:
    at = Column(name="at", origin=("year", "month", "day", "hour"), type=ColumnType.TIME, zone="Asia/Shanghai")
    content = csv("a,2013,3,1,0,4", "a,2013,13,1,0,4", "a,2013,3,,0,4", header="device,year,month,day,hour,x")
    batch = check_one(content, with_column(at))
    assert batch.accepted["at"].to_pylist()[0].isoformat() == "2013-02-28T16:00:00+00:00"
    assert reasons(batch) == [("time", "at"), ("null", "at")]


def test_a_time_is_composed_of_date_and_clock() -> None:
    at = Column(name="at", origin=("date", "clock"), type=ColumnType.TIME, format="%d.%m.%Y %H:%M")
    batch = check_one(csv("a,31.12.2023,23:59,1", header="device,date,clock,x"), with_column(at))
    assert batch.accepted["at"].to_pylist()[0].isoformat() == "2023-12-31T23:59:00+00:00"


def test_exact_repeats_are_counted_and_conflicts_all_quarantined() -> None:
    batch = check_one(csv(f"a,{T},1", f"a,{T},1", f"b,{T},1", f"b,{T},2", f"b,{T},1", f"c,{T},3"))
    assert batch.accepted["device"].to_pylist() == ["a", "c"]
    assert batch.duplicates == 2
    assert reasons(batch) == [("conflict", ""), ("conflict", "")]


def test_the_newest_wins_where_the_contract_says_so() -> None:
    content = csv(f"a,{T},1", f"a,{T},2", f"a,{T},1", f"b,{T},3")
    batch = check_one(content, replace(CONTRACT, on_conflict="newest"))
    assert batch.accepted["x"].to_pylist() == [1.0, 3.0]
    assert batch.duplicates == 1
    assert reasons(batch) == [("superseded", "")]


def test_rows_come_out_by_time_and_key_with_their_record_numbers() -> None:
    batch = check_one(csv("b,2024-01-02T00:00:00Z,1", "b,2024-01-01T00:00:00Z,2", "a,2024-01-02T00:00:00Z,3"))
    assert batch.accepted["x"].to_pylist() == [2.0, 3.0, 1.0]
    assert batch.records.tolist() == [2, 3, 1]


def test_extra_columns_are_listed_and_ignored() -> None:
    batch = check_one(csv(f"a,{T},1,hello", header="device,at,x,note"))
    assert batch.ignored == ("note",)
    assert batch.accepted.column_names == ["device", "at", "x"]


def test_a_missing_column_names_what_was_found_and_the_nearest() -> None:
    with pytest.raises(ContractError) as caught:
        check_one(csv(f"a,{T},1", header="devise,at,x"))
    assert caught.value.code == "contract.column_missing"
    assert "devise" in caught.value.found
    assert "did you mean devise?" in caught.value.next
    assert caught.value.where == "data.csv:1"


def test_an_optional_column_may_be_missing() -> None:
    batch = check_one(csv(f"a,{T}", header="device,at"))
    assert batch.accepted["x"].to_pylist() == [None]


def test_a_wrong_delimiter_is_named() -> None:
    with pytest.raises(ContractError) as caught:
        check_one(csv("a;2024-01-01T00:00:00Z;1", header="device;at;x"))
    assert "the header fits the delimiter ';'" in caught.value.next


def test_A62_ten_thousand_columns_are_refused_or_ignored_in_one_piece() -> None:
    many = ",".join(f"c{i}" for i in range(20_000))
    with pytest.raises(ContractError) as caught:
        check_one(f"device,at,x,{many}\n".encode())
    assert caught.value.code == "contract.header"
