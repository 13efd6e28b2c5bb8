"""Conditions: what a person may write, and what is said of anything else."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.errors import UsageError
from filiera.where import Condition, apply_where, parse_where

ROWS = pa.table(
    {
        "device": pa.array(["a", "b", "a,b", "x and y", None]).dictionary_encode(),
        "at": pa.array([datetime(2024, 1, day, 10, tzinfo=UTC) for day in range(1, 6)], pa.timestamp("us", "UTC")),
        "load": [1.5, 2.5, None, -4.0, 5.0],
        "count": [1, 2, 3, 4, None],
        "on": [True, False, None, True, False],
    }
)


def matched(*texts: str) -> list[int]:
    numbered = ROWS.append_column("n", pa.array(range(len(ROWS))))
    return apply_where(numbered, [parse_where(text) for text in texts]).column("n").to_pylist()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("device = a", [0]),
        ("device='a,b'", [2]),
        ('device = "x and y"', [3]),
        ("device in ('a,b', b)", [1, 2]),
        ("device IN (a)", [0]),
        ("device is null", [4]),
        ("load is not null", [0, 1, 3, 4]),
        ("load > -4.0", [0, 1, 4]),
        ("load<=1.5", [0, 3]),
        ("count != 2", [0, 2, 3]),
        ("count in (1,4)", [0, 3]),
        ("on = true", [0, 3]),
        ("at >= '2024-01-04 10:00'", [3, 4]),
        ("at < 2024-01-02", [0]),
        ("at = 2024-01-01T11:00:00+01:00", [0]),
    ],
)
def test_a_condition_finds_its_rows(text: str, rows: list[int]) -> None:
    assert matched(text) == rows


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("device = 'a' and load > 1", "repeat --where"),
        ("load > 1 AND load < 3", "repeat --where"),
        ("device = a or device = b", "COLUMN in (A, B)"),
        ("at >= 2024-01-31 10:00", "in quotes"),
        ("device = the first", "in quotes"),
        ("device == a", "OP is one of"),
        ("load <> 1", "OP is one of"),
        ("load =", "OP is one of"),
        ("device in ()", "OP is one of"),
        ("device in ('a)", "OP is one of"),
        ("device in ('a',)", "OP is one of"),
        ("load", "OP is one of"),
        ("", "OP is one of"),
        ("device = 'a' b", "OP is one of"),
    ],
)
def test_anything_else_is_refused_with_the_way_out(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_where(text)
    assert caught.value.code == "where.form"
    assert says in caught.value.next


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("load > warm", "a number"),
        ("count = 2.5", "a whole number"),
        ("count = 99999999999999999999", "a whole number"),
        ("on = maybe", "true or false"),
        ("at > yesterday", "a time such as"),
        ("at in (2024-01-01, 2024-13-01)", "a time such as"),
    ],
)
def test_a_value_of_another_type_is_refused(text: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        matched(text)
    assert caught.value.code == "where.value"
    assert caught.value.expected.startswith(expected)


def test_an_unknown_column_names_its_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean device"):
        matched("Device = a")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="'"), max_size=20))
def test_any_text_in_quotes_is_that_text(value: str) -> None:
    assert parse_where(f"device = '{value}'") == Condition("device", "=", (value,))


@given(st.text(max_size=40))
def test_no_text_gives_anything_but_a_condition_or_a_sentence(text: str) -> None:
    try:
        parse_where(text)
    except UsageError as error:
        refused = error.code
        assert refused == "where.form"
