import pytest

from filiera.cost.prices import load_prices
from filiera.errors import SettingsError


def test_a_trial_costs_its_core_and_its_share_of_the_waiting():
    prices = load_prices("EUR", {"waiting_per_hour": 36.0})
    alone = prices.trial_nano(10.0, 1, waited_for=True)
    assert prices.trial_nano(10.0, 1, waited_for=False) == round(10 * prices.core_second * 1e9)
    assert alone - prices.trial_nano(10.0, 1, waited_for=False) == pytest.approx(0.1e9, rel=1e-6)
    shared = prices.trial_nano(10.0, 4, waited_for=True)
    assert shared - prices.trial_nano(10.0, 4, waited_for=False) == pytest.approx(0.025e9, rel=1e-6)


def test_a_trial_of_a_millisecond_is_not_free():
    assert load_prices("EUR", {}).trial_nano(0.001, 1, waited_for=False) > 0


def test_prices_are_in_proportion_to_seconds():
    prices = load_prices("EUR", {})
    assert prices.trial_nano(3600.0, 2, waited_for=True) == pytest.approx(
        3600 * prices.trial_nano(1.0, 2, waited_for=True), rel=1e-6
    )


def test_a_project_may_set_any_price_of_the_list():
    assert load_prices("EUR", {"waiting_per_hour": 0}).waiting_second == 0


@pytest.mark.parametrize(
    ("override", "code", "words"),
    [
        ({"wating_per_hour": 1}, "prices.unknown", "did you mean waiting_per_hour"),
        ({"waiting_per_hour": -1}, "prices.value", "0 or more"),
        ({"waiting_per_hour": True}, "prices.value", "0 or more"),
        ({"waiting_per_hour": "25"}, "prices.value", "0 or more"),
        ({"waiting_per_hour": float("nan")}, "prices.value", "0 or more"),
        ({"waiting_per_hour": float("inf")}, "prices.value", "0 or more"),
    ],
)
def test_what_is_no_price_is_refused(override, code, words):
    with pytest.raises(SettingsError) as caught:
        load_prices("EUR", override)
    assert caught.value.code == code
    assert words in str(caught.value)
