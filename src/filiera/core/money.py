"""Money: whole nano-units of one currency. A trial of a millisecond costs 1e-8 EUR, so cents would lose it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import total_ordering
from typing import Any

NANO = 10**9
LARGEST = 2**63 - 1  #: nano-units that the ledger holds: some nine milliards
_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_AMOUNT = re.compile(r"^\s*([+-]?[0-9][0-9_]*(?:\.[0-9]+)?)\s*([A-Z]{3})\s*$", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}")
#: How a person says what accuracy is worth: `20 EUR per kW per month`, `0.1 kW costs more than 5 EUR`.
WORTH = re.compile(rf"^\s*{_NUMBER}\s+([A-Z]{{3}})\s+per\s+(\S+)(\s+per\s+month)?\s*$")
STOP = re.compile(rf"^\s*{_NUMBER}\s*(\S+)\s+costs\s+more\s+than\s+{_NUMBER}\s+([A-Z]{{3}})\s*$")


def is_currency(text: str) -> bool:
    """Whether a text has the form of a currency code. Source: ISO 4217, three capital letters.

    >>> is_currency("EUR"), is_currency("euro")
    (True, False)
    """
    return _CURRENCY.fullmatch(text) is not None


@total_ordering
@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount.

    >>> Money.of("0.005 EUR") + Money.of("1 EUR")
    Money(nano=1005000000, currency='EUR')
    """

    nano: int  #: amount in 1e-9 of the currency unit
    currency: str  #: ISO 4217 code

    @classmethod
    def of(cls, text: str) -> Money:
        """Read `20 EUR`.

        Raises:
            ValueError: not a number and a three-letter currency, or more than the ledger can hold.
        """
        match = _AMOUNT.match(text)
        if not match:
            raise ValueError(f"not an amount of money: {text!r}; write it like '20 EUR'")
        try:
            amount = Decimal(match[1].replace("_", ""))
        except InvalidOperation as error:
            raise ValueError(f"not an amount of money: {text!r}") from error
        nano = int((amount * NANO).to_integral_value(ROUND_HALF_EVEN))
        if abs(nano) > LARGEST:
            raise ValueError(f"more than the ledger can hold, {LARGEST // NANO:,} {match[2]}")
        return cls(nano, match[2])

    @classmethod
    def units(cls, amount: float, currency: str) -> Money:
        """From a float of whole currency units, rounded to the nano-unit."""
        return cls(round(amount * NANO), currency)

    @property
    def amount(self) -> float:
        """The amount in whole currency units, for arithmetic that may round."""
        return self.nano / NANO

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise ValueError(f"{self.currency} and {other.currency} cannot be mixed: one ledger, one currency")

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.nano + other.nano, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.nano - other.nano, self.currency)

    def __lt__(self, other: Money) -> bool:
        self._same(other)
        return self.nano < other.nano

    def __str__(self) -> str:
        """Three significant digits: a demo that costs 0.005 EUR must not print 0.00."""
        value = Decimal(self.nano) / NANO
        if value == 0:
            return f"0 {self.currency}"
        places = max(0, 2 - value.adjusted())
        return f"{value:.{places}f} {self.currency}"

    def to_json(self) -> dict[str, Any]:
        """Exact text and currency; never a float."""
        text = f"{Decimal(self.nano) / NANO:f}"
        if "." in text:
            text = text.rstrip("0").rstrip(".")
        return {"amount": text, "currency": self.currency}
