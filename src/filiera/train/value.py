"""What accuracy is worth, in the forms a person writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from filiera.core.money import Money
from filiera.core.units import conversion, known_units
from filiera.errors import UsageError

_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_WORTH = re.compile(rf"^\s*{_NUMBER}\s+([A-Z]{{3}})\s+per\s+(\S+)(\s+per\s+month)?\s*$")
_STOP = re.compile(rf"^\s*{_NUMBER}\s*(\S+)\s+costs\s+more\s+than\s+{_NUMBER}\s+([A-Z]{{3}})\s*$")

#: A model is expected to serve this long before it is trained anew.
LIFE_MONTHS = 1.0
#: Without a stated worth: closing the whole gap between the best baseline and the best trial is worth this much.
DEFAULT_GAP_WORTH = 1.0


@dataclass(frozen=True, slots=True)
class Worth:
    """Money per unit of score, and how that was said."""

    per_unit: float | None  #: None = by the default rule, once a gap is known
    currency: str
    unit: str  #: what `per_unit` is for, as it was written, or after `in_units_of` the target's
    text: str


def parse_worth(text: str) -> Worth:
    """Read `20 EUR per kW per month` (as long as the model lives) or `20 EUR per kW`.

    Raises:
        UsageError: another form.
    """
    match = _WORTH.match(text)
    if not match:
        raise UsageError(
            "worth.form",
            f"`{text}` says no worth",
            expected="20 EUR per kW per month",
            found=repr(text),
            next='or write stop = "0.1 kW costs more than 5 EUR"',
        )
    months = LIFE_MONTHS if match[4] else 1.0
    return Worth(float(match[1]) * months, match[2], match[3], text)


def parse_stop(text: str) -> Worth:
    """Read `0.1 kW costs more than 5 EUR`: then a unit is worth 50 EUR.

    Raises:
        UsageError: another form, or a step of zero.
    """
    match = _STOP.match(text)
    if not match or float(match[1]) == 0:
        raise UsageError(
            "worth.form", f"`{text}` says no stop", expected="0.1 kW costs more than 5 EUR", found=repr(text)
        )
    return Worth(float(match[3]) / float(match[1]), match[4], match[2], text)


def stated_worth(worth: str | None, stop: str | None, currency: str) -> Worth:
    """The stated worth, or the default that says so.

    Raises:
        UsageError: another form, or another currency than the ledger's.
    """
    if worth is None and stop is None:
        text = f"none stated: closing the gap to the best baseline counts {Money.units(DEFAULT_GAP_WORTH, currency)}"
        return Worth(None, currency, "", text)
    found = parse_worth(worth) if worth else parse_stop(stop or "")
    if found.currency != currency:
        raise UsageError("worth.currency", "the worth is in another currency", expected=currency, found=found.currency)
    return found


def in_units_of(worth: Worth, column: str, unit: str | None) -> Worth:
    """The same worth per unit of a target, since scores are in the target's unit.

    Args:
        worth: as stated; without a statement it comes back as it is.
        column: the target's name, which may stand for the unit of a target that has none.
        unit: of the target; None = it has none, and the worth must be per "unit" or per the column's name.

    Raises:
        UsageError: the worth is per a unit that does not measure what the target is; names both.
    """
    if worth.per_unit is None or worth.unit == unit:
        return worth
    if unit in (None, "1") and worth.unit in ("unit", column):
        return worth
    if unit is None:
        raise _other_unit(worth, f"the target {column} has no unit", f"per unit or per {column}")
    units = known_units()
    if worth.unit not in units or unit not in units or units[worth.unit].dimension != units[unit].dimension:
        raise _other_unit(worth, f"the target {column} is in {unit}", f"per {unit}, or a unit that converts to {unit}")
    factor, _ = conversion(unit, worth.unit)  # a score is a difference: offsets as of degC play no part
    return replace(worth, per_unit=worth.per_unit * factor, unit=unit)


def _other_unit(worth: Worth, target: str, expected: str) -> UsageError:
    return UsageError(
        "worth.unit", f"the worth is per {worth.unit}, and {target}", expected=expected, found=repr(worth.text),
        where="filiera.toml", next="write the worth in the target's unit, or give the column its unit",
    )  # fmt: skip


def per_unit(worth: Worth, baseline: float, best: float | None) -> float:
    """Money per unit of score; by the default rule the gap from baseline to best is worth one currency unit."""
    if worth.per_unit is not None:
        return worth.per_unit
    gap = abs(baseline - best) if best is not None else 0.0
    return DEFAULT_GAP_WORTH / max(gap, 0.01 * abs(baseline), 1e-12)
