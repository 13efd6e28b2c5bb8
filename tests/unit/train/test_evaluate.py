import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.core.asset import DAY_US
from filiera.runner.matrix import Window
from filiera.train.evaluate import judge, judged_windows, paired_gain


def days(count, seed=0):
    draw = np.random.default_rng(seed)
    times = np.arange(count * 24) * (DAY_US // 24)
    return times, draw.normal(0, 10, len(times)), draw


def test_a_clearly_better_challenger_is_promoted_with_evidence():
    times, truth, draw = days(30)
    noise = draw.normal(0, 1, len(truth))
    verdict = judge(times, truth, truth + 3 * noise, truth + noise, score_name="mae", unit="kW")
    assert verdict.verdict == "promoted"
    assert "kW over 30 days" in verdict.evidence
    assert verdict.gain == pytest.approx(verdict.champion - verdict.challenger)


def test_an_equal_challenger_does_not_replace_the_champion():
    times, truth, draw = days(30)
    kept = judge(times, truth, truth + draw.normal(0, 1, 720), truth + draw.normal(0, 1, 720), score_name="mae")
    assert kept.verdict == "kept"


def test_two_weeks_of_rows_are_needed_to_judge():
    times, truth, _ = days(13)
    verdict = judge(times, truth, truth + 9, truth, score_name="mae")
    assert verdict.verdict == "not judged"
    assert "14 are needed" in verdict.evidence


def test_of_equal_models_about_one_in_ten_or_fewer_would_be_promoted():
    promoted = 0
    for seed in range(200):
        times, truth, draw = days(30, seed)
        a, b = truth + draw.normal(0, 1, 720), truth + draw.normal(0, 1, 720)
        promoted += judge(times, truth, a, b, score_name="rmse", least_gain=0.0).verdict == "promoted"
    assert promoted <= 32  # 20 expected; three standard deviations


def test_days_that_resemble_their_neighbours_widen_the_error():
    times, truth, draw = days(60)
    level = np.repeat(np.sin(np.arange(60) / 8), 24)
    shuffled = np.repeat(draw.permutation(np.sin(np.arange(60) / 8)), 24)
    zero = np.zeros(len(truth))
    slow = paired_gain(times, zero, 5 + level, zero, "mae")
    quick = paired_gain(times, zero, 5 + shuffled, zero, "mae")
    assert slow[0] == pytest.approx(quick[0])
    assert slow[1] > 2 * quick[1]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["mae", "rmse"]), st.floats(0.1, 50))
def test_changing_places_turns_the_gain_round_and_units_scale_it(seed, name, factor):
    times, truth, draw = days(20, seed)
    a, b = truth + draw.normal(0, 2, 480), truth + draw.normal(0, 1, 480)
    gain, error = paired_gain(times, truth, a, b, name)
    back, same = paired_gain(times, truth, b, a, name)
    scaled, wide = paired_gain(times, factor * truth, factor * a, factor * b, name)
    assert back == pytest.approx(-gain)
    assert same == pytest.approx(error)
    assert scaled == pytest.approx(factor * gain)
    assert wide == pytest.approx(factor * error)


def test_only_complete_windows_after_the_champions_training_are_judged():
    def window(start):
        return Window(0, start * DAY_US, start * DAY_US, (start + 30) * DAY_US)

    found = judged_windows(
        [window(30), window(60), window(90), window(120)],
        champion_high_us=59 * DAY_US, gap_us=DAY_US, newest_us=140 * DAY_US,
    )  # fmt: skip
    assert [w.test_low // DAY_US for w in found] == [60, 90]
