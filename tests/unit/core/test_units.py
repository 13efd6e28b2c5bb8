from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.units import convert, known_units, unit
from filiera.errors import UsageError

codes = st.sampled_from(sorted(known_units()))


@given(codes, codes, st.floats(-1e6, 1e6))
def test_converting_there_and_back_gives_the_same_value(first: str, second: str, value: float) -> None:
    if unit(first).dimension != unit(second).dimension:
        with pytest.raises(UsageError, match=r"is a"):
            convert([value], first, second)
        return
    there = convert([value], first, second)
    back = convert(there, second, first)[0]
    assert math.isclose(back, value, rel_tol=1e-9, abs_tol=1e-6)


@pytest.mark.parametrize(
    ("value", "first", "second", "wanted"),
    [
        (100.0, "degC", "degF", 212.0),
        (-40.0, "degF", "degC", -40.0),
        (0.0, "degC", "K", 273.15),
        (1.0, "bar", "hPa", 1000.0),
        (36.0, "km/h", "m/s", 10.0),
        (1.0, "kWh", "MJ", 3.6),
        (60.0, "L/min", "L/s", 1.0),
        (1500.0, "rpm", "Hz", 25.0),
        (180.0, "deg", "rad", math.pi),
        (1.0, "mg/m3", "ug/m3", 1000.0),
        (5.0, "%", "1", 0.05),
    ],
)
def test_known_values_convert(value: float, first: str, second: str, wanted: float) -> None:
    assert convert([value], first, second)[0] == pytest.approx(wanted)


def test_an_unknown_unit_names_its_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        unit("kw")
    assert caught.value.code == "units.unknown"
    assert "kW" in caught.value.next


def test_units_of_two_dimensions_name_what_would_fit() -> None:
    with pytest.raises(UsageError) as caught:
        convert([1.0], "kW", "kWh")
    assert caught.value.code == "units.incompatible"
    assert "MW" in caught.value.expected


def test_the_table_holds_what_plants_use() -> None:
    assert len(known_units()) >= 75
    assert {"kW", "m/s", "degC", "hPa", "ug/m3", "bar", "V", "A", "kWh", "mi", "L/min", "1"} <= set(known_units())
