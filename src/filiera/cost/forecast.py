"""How long a step will take, and how likely its output changes, from its earlier runs.

Log-seconds are normal, with a mean that follows log rows read. Spread and slope are shrunk to a prior, so that a few
runs do not look surer than they are. With fewer than three runs the figure is a guess with a band of a factor three.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from filiera.core.trace import Run

ENOUGH_RUNS = 3
GUESS_FACTOR = 3.0
PRIOR_WEIGHT = 2.0
PRIOR_SD = 0.5  #: of log-seconds: a factor of 1.6 between runs
PRIOR_SLOPE = 1.0  #: twice the rows take twice the time
SLOPE_SD = 0.5  #: of log-rows: the prior slope weighs as much as two runs that differ so much
Z90 = 1.2816  #: 90th percentile of the standard normal
SHORTEST_S = 1e-3


@dataclass(frozen=True, slots=True)
class Forecast:
    """Seconds to expect of one run."""

    seconds_p10: float
    seconds: float  #: median
    seconds_p90: float
    guess: bool


def log_sd(seconds_p10: float, seconds_p90: float) -> float:
    """Spread of log-seconds behind two percentiles."""
    return math.log(seconds_p90 / seconds_p10) / (2 * Z90) if seconds_p10 > 0 else 0.0


def forecast_seconds(history: Sequence[Run], default: float, rows: int | None = None) -> Forecast:
    """Median, 10th and 90th percentile of seconds.

    Args:
        history: earlier runs, newest first.
        default: seconds to guess where there are none.
        rows: that the next run will read; None = as many as usual.
    """
    if not history:
        return _guess(default)
    x = [math.log(max(run.rows, 1)) for run in history]
    y = [math.log(max(run.seconds, SHORTEST_S)) for run in history]
    count, middle, mean = len(y), sum(x) / len(x), sum(y) / len(y)
    weight = PRIOR_WEIGHT * SLOPE_SD**2
    slope = (sum((a - middle) * (b - mean) for a, b in zip(x, y, strict=True)) + weight * PRIOR_SLOPE) / (
        sum((a - middle) ** 2 for a in x) + weight
    )
    errors = sum((b - mean - slope * (a - middle)) ** 2 for a, b in zip(x, y, strict=True))
    shift = slope * (math.log(max(rows, 1)) - middle) if rows is not None else 0.0
    median = math.exp(mean + shift)
    if count < ENOUGH_RUNS:
        return _guess(median)
    variance = (errors + PRIOR_WEIGHT * PRIOR_SD**2) / (count + PRIOR_WEIGHT)
    factor = math.exp(Z90 * math.sqrt(variance * (1 + 1 / count)))
    return Forecast(median / factor, median, median * factor, False)


def _guess(seconds: float) -> Forecast:
    return Forecast(seconds / GUESS_FACTOR, seconds, seconds * GUESS_FACTOR, True)


def change_share(history: Sequence[Run]) -> float:
    """Share 0-1 of runs whose output differed from the run before; starts at 1 and needs runs to fall.

    >>> change_share([])
    1.0
    """
    pairs = list(pairwise(history))
    changed = sum(now.semantic != before.semantic for now, before in pairs)
    return (changed + 1) / (len(pairs) + 1)
