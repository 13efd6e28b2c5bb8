import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.cost.forecast import forecast_seconds


def test_without_runs_the_figure_is_a_guess_that_may_be_three_times_too_low():
    found = forecast_seconds([], 60.0)
    assert (found.seconds, found.seconds_p90, found.guess) == (60.0, 180.0, True)


def test_two_runs_are_still_a_guess_and_three_are_not():
    assert forecast_seconds([10.0, 10.0], 60.0).guess
    assert not forecast_seconds([10.0, 10.0, 10.0], 60.0).guess


def test_equal_runs_are_expected_again_with_a_margin_of_the_prior():
    found = forecast_seconds([10.0] * 4, 60.0)
    assert found.seconds == pytest.approx(10.0)
    assert 10.0 < found.seconds_p90 < 16.0


@given(st.lists(st.floats(0.0, 1e5), min_size=1, max_size=30))
def test_the_worst_is_never_below_what_is_expected(history):
    found = forecast_seconds(history, 60.0)
    assert 0 < found.seconds <= found.seconds_p90
