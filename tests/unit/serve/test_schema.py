"""Records against a model's inputs."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from versions import version

from filiera.errors import ContractError
from filiera.serve.schema import MOST_RECORDS, check_records

GOOD = {"temp_c": 10, "morning": True, "site": "n"}

TOO_LARGE = {
    "400 digits": 10**400, "negative": -(10**400), "5,000 digits": 10**5000,
    "infinity": math.inf, "minus infinity": -math.inf, "nan": math.nan,
}  # fmt: skip


def refused(record: Any, units: dict[str, str] | None = None) -> ContractError:
    with pytest.raises(ContractError) as caught:
        check_records(version(), [record], units)
    return caught.value


def test_a_record_that_fits_keeps_its_types() -> None:
    (checked,), warnings = check_records(version(), [GOOD])
    assert checked == GOOD
    assert isinstance(checked["temp_c"], float)
    assert checked["morning"] is True
    assert warnings == []


def test_null_is_a_missing_value_of_every_type() -> None:
    nothing = dict.fromkeys(GOOD)
    assert check_records(version(), [nothing])[0] == [nothing]


@pytest.mark.parametrize("value", [0, 1, 1.0, "true"])
def test_a_boolean_input_takes_booleans_only(value: Any) -> None:
    error = refused(GOOD | {"morning": value})
    assert (error.code, error.expected) == ("predict.type", "true or false")


def test_a_number_input_takes_no_boolean() -> None:
    assert refused(GOOD | {"temp_c": True}).found == "True"


@pytest.mark.parametrize("name", TOO_LARGE)  # by name: Python writes no number of 5,000 digits
def test_a_number_that_no_float_holds_is_refused(name: str) -> None:
    value = TOO_LARGE[name]
    error = refused(GOOD | {"temp_c": value})
    assert error.code == "predict.type"
    assert "finite" in error.expected
    assert len(error.found) < 60


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_value_is_taken_or_refused_in_a_short_sentence(value: Any) -> None:
    for name in GOOD:
        try:
            check_records(version(), [GOOD | {name: value}])
        except ContractError as error:
            assert len(str(error)) < 400  # noqa: PT017


def test_values_outside_the_training_are_told_once_and_served() -> None:
    warnings = check_records(version(), [GOOD | {"temp_c": 31}, GOOD | {"temp_c": -11}])[1]
    assert warnings == ["temp_c was outside the range of the training, -10 to 30"]


def test_units_are_compared() -> None:
    check_records(version(), [GOOD], {"temp_c": "degC"})
    assert refused(GOOD, {"temp_c": "K"}).expected == "degC"
    assert refused(GOOD, {"temp": "degC"}).next == "did you mean temp_c?"
    assert len(str(refused(GOOD, {"x" * 1_000_000: "degC"}))) < 300


def test_a_request_holds_so_many_records_and_no_more() -> None:
    assert len(check_records(version(), [GOOD] * MOST_RECORDS)[0]) == MOST_RECORDS
    with pytest.raises(ContractError, match="too many records"):
        check_records(version(), [GOOD] * (MOST_RECORDS + 1))
