"""Drift of one number: a cumulative sum of standardised day means, with hysteresis. Pure.

Days are compared with the days of the training: their mean and standard deviation. What differs by less than half a
standard deviation adds nothing; the sum fires at `FIRE` and is armed again at half of it. Source: E. S. Page,
Biometrika 41 (1954) 100. A seasonal input moves every year: that is told too, and is no fault of the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

SLACK = 0.5  #: standard deviations
FIRE = 8.0
REARM = FIRE / 2
LEAST_DAYS = 14  #: of the training; fewer say too little about how days differ
COOL_DOWN_DAYS = 28


@dataclass(frozen=True, slots=True)
class Fire:
    """A day at which drift was found."""

    day: int  #: since 1970
    score: float
    shift: float  #: mean of that day minus mean of the training's days, in standard deviations


def fires(training: Sequence[float], later: Sequence[tuple[int, float]]) -> list[Fire]:
    """Days at which drift is found; the same days always give the same answer.

    Args:
        training: mean of each day of the training.
        later: (day since 1970, mean) of whole days after it, in order.
    """
    values = [value for value in training if math.isfinite(value)]
    if len(values) < LEAST_DAYS:
        return []
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    if spread == 0.0:
        return []
    found: list[Fire] = []
    up = down = 0.0
    armed = True
    for day, value in later:
        if not math.isfinite(value):
            continue
        shift = (value - mean) / spread
        up, down = max(0.0, up + shift - SLACK), max(0.0, down - shift - SLACK)
        score = max(up, down)
        cool = not found or day - found[-1].day >= COOL_DOWN_DAYS
        if armed and cool and score >= FIRE:
            found.append(Fire(day, score, shift))
            armed = False
            up = down = min(score, FIRE)
        elif not armed:
            up, down = min(up, FIRE), min(down, FIRE)  # or it would never come back to half
            armed = max(up, down) <= REARM
    return found
