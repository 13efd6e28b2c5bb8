"""Units: a small table of codes with dimension, factor and offset; converted only at ingest.

Source: the table stands in `units.toml`; codes follow UCUM (ucum.org) where it has one that people type.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from filiera.errors import UsageError, nearest


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of measure: `base = value * factor + offset`."""

    code: str
    dimension: str
    factor: float
    offset: float


@cache
def known_units() -> dict[str, Unit]:
    """All units by code."""
    table = tomllib.loads(files("filiera.core").joinpath("units.toml").read_text(encoding="utf-8"))
    return {code: Unit(code, kind, factor, offset) for code, (kind, factor, offset) in table["units"].items()}


@cache
def _aliases() -> dict[str, str]:
    table = tomllib.loads(files("filiera.core").joinpath("units.toml").read_text(encoding="utf-8"))
    return dict(table["aliases"])


def nearest_unit(code: str) -> str:
    """A sentence that helps whoever wrote an unknown unit.

    >>> nearest_unit("celsius")
    'write degC'
    """
    if code in _aliases():
        return f"write {_aliases()[code]}"
    close = [known for known in known_units() if known.lower() == code.lower()]
    return f"did you mean {' or '.join(close)}?" if close else nearest(code, known_units())


def unit(code: str) -> Unit:
    """The unit with this code.

    Raises:
        UsageError: there is none; says which are near.
    """
    found = known_units().get(code)
    if found is None:
        raise UsageError(
            "units.unknown",
            f"`{code}` is no unit that filiera knows",
            expected="a code such as kW, m/s, degC, hPa, ug/m3 or 1",
            found=repr(code),
            next=nearest_unit(code),
        )
    return found


def convert(values: Sequence[float], from_unit: str, to_unit: str) -> list[float]:
    """Values in `from_unit` as values in `to_unit`.

    >>> convert([0.0, 100.0], "degC", "K")
    [273.15, 373.15]

    Raises:
        UsageError: a unit is unknown, or the two measure different things.
    """
    factor, offset = conversion(from_unit, to_unit)
    return [value * factor + offset for value in values]


def conversion(from_unit: str, to_unit: str) -> tuple[float, float]:
    """Factor and offset that turn a value in `from_unit` into `to_unit`.

    >>> factor, offset = conversion("degF", "degC")
    >>> round(50 * factor + offset, 6)
    10.0

    Raises:
        UsageError: a unit is unknown, or the two measure different things.
    """
    source, target = unit(from_unit), unit(to_unit)
    if source.dimension != target.dimension:
        near = sorted(code for code, known in known_units().items() if known.dimension == source.dimension)
        raise UsageError(
            "units.incompatible",
            f"{from_unit} is a {source.dimension}, {to_unit} is a {target.dimension}",
            expected=f"a unit of {source.dimension}: {', '.join(near)}",
            found=to_unit,
            next="mend `unit` or `from_unit`",
        )
    return source.factor / target.factor, (source.offset - target.offset) / target.factor
