"""Units: a small table of codes with dimension, factor and offset; converted only at ingest.

Source: the table stands in `units.toml`; codes follow UCUM (ucum.org) where it has one that people type.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from filiera.errors import nearest


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


def conversion(from_unit: str, to_unit: str) -> tuple[float, float]:
    """Factor and offset that turn a value in `from_unit` into `to_unit`.

    >>> factor, offset = conversion("degF", "degC")
    >>> round(50 * factor + offset, 6)
    10.0

    Raises:
        ValueError: the two measure different things.
    """
    source, target = known_units()[from_unit], known_units()[to_unit]
    if source.dimension != target.dimension:
        raise ValueError(f"{from_unit} is a {source.dimension}, {to_unit} is a {target.dimension}")
    return source.factor / target.factor, (source.offset - target.offset) / target.factor
