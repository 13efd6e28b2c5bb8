import pytest

from filiera.errors import UsageError
from filiera.train.value import in_units_of, parse_stop, parse_worth, per_unit, stated_worth


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("20 EUR per kW per month", "kW", 20.0),
        ("20 EUR per MW per month", "kW", 0.02),
        ("20 EUR per W", "kW", 20_000.0),
        ("9 EUR per K", "degF", 5.0),
        ("9 EUR per degC", "K", 9.0),
        ("3 EUR per %", "1", 300.0),
        ("3 EUR per unit", None, 3.0),
        ("3 EUR per pm25", None, 3.0),
        ("3 EUR per unit", "1", 3.0),
    ],
)
def test_a_worth_is_turned_into_the_unit_of_the_target(text, unit, expected):
    assert in_units_of(parse_worth(text), "pm25", unit).per_unit == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "unit", "words"),
    [
        ("20 EUR per MWh", "kW", ["per MWh", "load is in kW"]),
        ("20 EUR per banana", "kW", ["per banana", "load is in kW"]),
        ("20 EUR per kW", None, ["per kW", "load has no unit", "per unit or per load"]),
        ("20 EUR per unit", "kW", ["per unit", "load is in kW"]),
    ],
)
def test_a_worth_that_does_not_fit_the_target_is_refused_with_both_units(text, unit, words):
    with pytest.raises(UsageError) as caught:
        in_units_of(parse_worth(text), "load", unit)
    assert caught.value.code == "worth.unit"
    assert all(word in str(caught.value) for word in words)


def test_a_stop_is_converted_as_well():
    assert in_units_of(parse_stop("0.1 MW costs more than 5 EUR"), "load", "kW").per_unit == pytest.approx(0.05)


def test_without_a_stated_worth_any_unit_will_do_and_closing_the_gap_is_worth_one():
    worth = in_units_of(stated_worth(None, None, "EUR"), "load", "kW")
    assert per_unit(worth, 10.0, 6.0) == pytest.approx(0.25)
    assert per_unit(worth, 10.0, None) == pytest.approx(10.0)
