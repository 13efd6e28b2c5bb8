"""Settings as literals, and the rows that a query gives."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.errors import CodeError, WorkError
from filiera.runner.sql import bound, literal, rows

PLAIN = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)
ONE = pl.DataFrame({"n": [10]})


def evaluated(text: str) -> Any:
    return pl.SQLContext({"t": ONE}).execute(f"SELECT {text} AS x FROM t", eager=True)["x"][0]


@given(PLAIN)
def test_a_literal_is_read_as_the_value_that_it_stands_for(value: Any) -> None:
    found = evaluated(literal("x", value))
    assert (found, type(found)) == (value, type(value))


@given(st.integers(-100, 100), st.sampled_from(["-", "+", "*"]))
def test_a_literal_is_one_term_whatever_stands_beside_it(value: int, mark: str) -> None:
    wanted = {"-": 10 - value, "+": 10 + value, "*": 10 * value}[mark]
    assert evaluated(bound([f"n {mark}", "x", ""], {"x": value})) == wanted


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))), min_size=1, max_size=4))
def test_a_list_is_for_in(values: list[str]) -> None:
    frame = pl.DataFrame({"t": [*values, "another one"]})
    text = bound(["SELECT t FROM f WHERE t IN ", "names", ""], {"names": values})
    found = pl.SQLContext({"f": frame}).execute(text, eager=True)["t"].to_list()
    assert found == [*values, *(["another one"] if "another one" in values else [])]


def test_nothing_is_null() -> None:
    assert evaluated(literal("x", None)) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {}, [], [{}], object()])
def test_what_sql_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(CodeError, match="cannot stand in SQL"):
        literal("x", value)


READINGS = pa.table(
    {
        "at": pa.array([datetime(2024, 1, 1, tzinfo=UTC)] * 2, pa.timestamp("us", "UTC")),
        "device": pa.array(["a", "b"]).dictionary_encode(),
        "load": [1.0, 2.0],
    }
)


def test_a_category_is_a_text_in_the_query_and_a_category_after_it() -> None:
    query = ("SELECT device, UPPER(device) AS name FROM readings WHERE device LIKE 'a%'",)
    found = rows(query, {}, {"readings": READINGS}, "late")
    assert found.to_pylist() == [{"device": "a", "name": "A"}]
    assert pa.types.is_dictionary(found.schema.field("device").type)
    assert not pa.types.is_dictionary(found.schema.field("name").type)


def test_decimals_come_out_as_floats() -> None:
    found = rows(("SELECT 0.5 AS half, load * 0.1 AS tenth FROM readings",), {}, {"readings": READINGS}, "late")
    assert [str(field.type) for field in found.schema] == ["double", "double"]
    assert found.column("half").to_pylist() == [0.5, 0.5]


def test_a_query_that_fails_on_the_rows_names_its_table() -> None:
    with pytest.raises(WorkError, match="the query of late failed"):
        rows(("SELECT CAST(device AS INT) AS x FROM readings",), {}, {"readings": READINGS}, "late")


def test_a_query_sees_its_inputs_only() -> None:
    secret = pl.DataFrame({"x": [1]})
    with pytest.raises(WorkError, match="secret"):
        rows(("SELECT * FROM secret",), {}, {"readings": READINGS}, "late")
    assert secret.height == 1
