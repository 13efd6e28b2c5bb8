"""How long a step will take, from how long it took.

Log-seconds with mean and variance, shrunk by a prior of weight two. With fewer than three runs the figure is a guess
and its 90th percentile is three times as long.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

ENOUGH_RUNS = 3
GUESS_FACTOR = 3.0
PRIOR_WEIGHT = 2.0
PRIOR_SD = 0.5  #: of log-seconds: a factor of 1.6 between runs
Z90 = 1.2816  #: 90th percentile of the standard normal


@dataclass(frozen=True, slots=True)
class Forecast:
    """Seconds to expect."""

    seconds: float
    seconds_p90: float
    guess: bool


def forecast_seconds(history: Sequence[float], default: float) -> Forecast:
    """Expected and 90th percentile seconds.

    Args:
        history: seconds of earlier runs, newest first.
        default: seconds to guess where there are none.
    """
    if not history:
        return Forecast(default, default * GUESS_FACTOR, True)
    logs = [math.log(max(value, 1e-3)) for value in history]
    mean = sum(logs) / len(logs)
    spread = sum((value - mean) ** 2 for value in logs) + PRIOR_WEIGHT * PRIOR_SD**2
    sd = math.sqrt(spread / (len(logs) + PRIOR_WEIGHT))
    expected = math.exp(mean)
    if len(history) < ENOUGH_RUNS:
        return Forecast(expected, expected * GUESS_FACTOR, True)
    return Forecast(expected, math.exp(mean + Z90 * sd), False)
