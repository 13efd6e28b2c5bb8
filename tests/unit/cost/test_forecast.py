import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.trace import Run
from filiera.cost.calibration import Forecasted, calibration
from filiera.cost.forecast import change_share, forecast_seconds, log_sd
from filiera.cost.simulate import Chance, simulate


def took(*seconds: float) -> list[Run]:
    return [Run(value, 1_000, "same") for value in seconds]


def test_without_runs_the_figure_is_a_guess_that_may_be_three_times_off():
    found = forecast_seconds([], 60.0)
    assert (found.seconds_p10, found.seconds, found.seconds_p90, found.guess) == (20.0, 60.0, 180.0, True)


def test_two_runs_are_still_a_guess_and_three_are_not():
    assert forecast_seconds(took(10.0, 10.0), 60.0).guess
    assert not forecast_seconds(took(10.0, 10.0, 10.0), 60.0).guess


def test_equal_runs_are_expected_again_with_a_margin_of_the_prior():
    found = forecast_seconds(took(10.0, 10.0, 10.0, 10.0), 60.0)
    assert found.seconds == pytest.approx(10.0)
    assert 6.0 < found.seconds_p10 < 10.0 < found.seconds_p90 < 16.0


def test_twice_the_rows_take_longer_and_the_history_says_how_much():
    flat = [Run(10.0, rows, "") for rows in (1_000, 10_000, 100_000, 1_000_000)]
    steep = [Run(rows / 1_000, rows, "") for rows in (1_000, 10_000, 100_000, 1_000_000)]
    assert forecast_seconds(took(10.0, 10.0, 10.0), 60.0, 2_000).seconds == pytest.approx(20.0)
    assert forecast_seconds(flat, 60.0, 10_000_000).seconds < 15.0
    assert forecast_seconds(steep, 60.0, 10_000_000).seconds == pytest.approx(10_000.0, rel=0.01)


@given(st.lists(st.floats(0.0, 1e5), min_size=1, max_size=30), st.integers(0, 10**9))
def test_the_percentiles_are_in_order(history, rows):
    found = forecast_seconds(took(*history), 60.0, rows)
    assert 0 < found.seconds_p10 <= found.seconds <= found.seconds_p90


def test_an_output_that_never_changes_is_expected_to_stay():
    assert change_share([]) == 1.0
    assert change_share(took(*[1.0] * 10)) == pytest.approx(0.1)
    assert change_share([Run(1.0, 1, str(number)) for number in range(10)]) == 1.0


def test_the_band_holds_seventy_to_ninety_percent_of_a_replayed_history():
    """200 runs of four assets whose speed, growth and noise the forecast does not know."""
    rng, records = random.Random(7), []
    for asset, (per_row_s, slope, noise) in enumerate(
        [(1e-3, 1.0, 0.15), (5e-3, 0.8, 0.4), (2e-2, 0.5, 0.6), (1, 0.0, 0.3)]
    ):
        history: list[Run] = []
        for number in range(50):
            rows = 1_000 + 200 * number + rng.randrange(500)
            found = forecast_seconds(history, 5.0, rows)
            actual = per_row_s * rows**slope * math.exp(rng.gauss(0.0, noise))
            records.append(
                Forecasted(
                    asset=str(asset), operation="compute", p10_s=found.seconds_p10, expected_s=found.seconds,
                    p90_s=found.seconds_p90, actual_s=actual, guess=found.guess,
                )
            )  # fmt: skip
            history.insert(0, Run(actual, rows, str(number)))
    report = calibration(records)
    assert (report["forecasts"], report["guesses"]) == (188, 12)
    assert 0.7 <= report["inside"] <= 0.9
    assert 0.9 <= report["ratio"] <= 1.1


def chance(name: str, needs: tuple[str, ...] = (), *, certain: bool = False, changed: float = 1.0) -> Chance:
    return Chance(
        name=name, certain=certain, needs=needs, changed=changed, seconds=10.0, log_sd=0.0, nano_per_s=1_000.0
    )


def test_steps_below_one_uncertain_step_run_together_or_not_at_all():
    """Half of the time ten steps run, half of the time none: the 90th percentile is all of them, not five."""
    steps = [chance("root", certain=True, changed=0.5), *(chance(f"t{n}", ("root",)) for n in range(10))]
    found = simulate(steps)
    assert found is not None
    assert found.seconds_p90 == pytest.approx(110.0)
    assert found.nano_p90 == 110_000


def test_without_work_there_is_nothing_to_draw():
    assert simulate([]) is None


def test_the_spread_of_two_percentiles_is_the_spread_they_were_made_with():
    found = forecast_seconds(took(5.0, 10.0, 20.0, 40.0), 60.0)
    assert math.exp(1.2816 * log_sd(found.seconds_p10, found.seconds_p90)) == pytest.approx(
        found.seconds_p90 / found.seconds
    )
