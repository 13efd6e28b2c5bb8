"""The price list of this machine."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Any

from filiera.errors import SettingsError, nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Prices in the ledger's currency."""

    currency: str
    watts_per_busy_core: float
    energy_per_kwh: float
    wear_per_core_hour: float
    waiting_per_hour: float

    @property
    def core_second(self) -> float:
        """Energy and wear of one busy core for a second."""
        return (self.watts_per_busy_core / 1000 * self.energy_per_kwh + self.wear_per_core_hour) / 3600

    @property
    def waiting_second(self) -> float:
        """A second that somebody waits."""
        return self.waiting_per_hour / 3600

    def trial_nano(self, seconds: float, workers: int, *, waited_for: bool) -> int:
        """Cost of a trial on one core, nano-units: waiting is shared by the workers that run at the same time."""
        waiting = self.waiting_second / max(workers, 1) if waited_for else 0.0
        return round(seconds * (self.core_second + waiting) * 1e9)


def load_prices(currency: str, overrides: Mapping[str, Any]) -> Prices:
    """The shipped list, with the project's own figures where it has them.

    Raises:
        SettingsError: an unknown price, or one that is no number of at least 0.
    """
    text = files("filiera.cost").joinpath("prices.toml").read_text(encoding="utf-8")
    values: dict[str, Any] = tomllib.loads(text)
    known = {field.name for field in fields(Prices)} - {"currency"}
    for name, value in overrides.items():
        if name not in known:
            raise SettingsError(
                "prices.unknown",
                f"`{name}` is no price",
                expected=", ".join(sorted(known)),
                next=nearest(name, known),
                where="filiera.toml [prices]",
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise SettingsError(
                "prices.value",
                f"price `{name}` is no amount",
                expected="0 or more",
                found=repr(value),
                where="filiera.toml [prices]",
            )
    return Prices(currency=currency, **(values | dict(overrides)))
