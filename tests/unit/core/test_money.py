"""Money is exact, of one currency, and never more than the ledger can hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.money import LARGEST, STOP, WORTH, Money, is_currency

amounts = st.integers(-LARGEST, LARGEST).map(lambda nano: Money(nano, "EUR"))


@given(amounts)
def test_the_exact_text_comes_back_equal(money: Money) -> None:
    exact = money.to_json()
    assert Money.of(f"{exact['amount']} {exact['currency']}") == money


@pytest.mark.parametrize(
    "text", ["", "5", "EUR", "five EUR", "5 euro", "5,0 EUR", "1e3 EUR", "5 EURO", "٥ EUR", "9223372037 EUR", "9" * 99]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an amount|more than the ledger"):
        Money.of(text)


def test_two_currencies_cannot_be_mixed() -> None:
    with pytest.raises(ValueError, match="cannot be mixed"):
        Money.of("1 EUR") + Money.of("1 USD")


@pytest.mark.parametrize(
    ("text", "good"), [("EUR", True), ("eur", False), ("euro", False), ("E1R", False), ("", False)]
)
def test_a_currency_is_three_capitals(text: str, good: bool) -> None:
    assert is_currency(text) is good


def test_worth_and_stop_have_one_form_each() -> None:
    assert WORTH.match("20 EUR per kW per month")
    assert WORTH.match("20.5 USD per ug/m3")
    assert not WORTH.match("20 per kW")
    assert STOP.match("0.1 kW costs more than 5 EUR")
    assert not STOP.match("0.1 kW costs 5 EUR")
