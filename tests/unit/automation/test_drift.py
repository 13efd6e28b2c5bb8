"""Drift of day means: it fires once, is armed again at half, and waits in between."""

from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from filiera.automation.drift import COOL_DOWN_DAYS, LEAST_DAYS, fires

CHANCE = random.Random(3)
TRAINING = [CHANCE.gauss(10, 2) for _ in range(200)]


def days(values: list[float]) -> list[tuple[int, float]]:
    return list(enumerate(values, start=1000))


def test_days_like_those_of_the_training_seldom_fire() -> None:
    found = 0
    for seed in range(200):
        chance = random.Random(seed)
        found += len(fires(TRAINING, days([chance.gauss(10, 2) for _ in range(30)])))
    assert found <= 10, "at most one month in twenty"


def test_a_shift_of_two_deviations_is_told_within_a_week_and_once() -> None:
    chance = random.Random(1)
    found = fires(TRAINING, days([chance.gauss(14, 2) for _ in range(200)]))
    assert len(found) == 1, "it is not armed again before it went back"
    assert found[0].day <= 1007
    assert found[0].score >= 8
    assert fires(TRAINING, days([chance.gauss(6, 2) for _ in range(20)])), "to the other side too"


def test_what_came_back_may_fire_again_after_the_cool_down() -> None:
    up, down = [16.0] * 6, [10.0] * 40
    first, second = fires(TRAINING, days(up + down + up))
    assert second.day - first.day >= COOL_DOWN_DAYS
    assert len(fires(TRAINING, days(up + [10.0] * 12 + up))) == 1, "too soon"


def test_few_days_of_training_and_equal_ones_say_nothing() -> None:
    assert fires(TRAINING[: LEAST_DAYS - 1], days([99.0] * 50)) == []
    assert fires([10.0] * 50, days([99.0] * 50)) == []
    assert fires([*TRAINING, math.nan], days([math.nan] * 50)) == []


@given(st.lists(st.floats(-100, 100), max_size=60), st.integers(0, 60))
def test_days_that_come_later_change_nothing_that_was_told(values: list[float], cut: int) -> None:
    whole = fires(TRAINING, days(values))
    part = fires(TRAINING, days(values)[:cut])
    assert part == whole[: len(part)]
