"""What a whole plan may take: steps of which it is not certain that they run, whose chances hang together.

Steps below one uncertain step run together or not at all, so the spread of the sum is wider than chances taken one by
one would give. Each draw decides from the top which outputs change and adds up what runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

DRAWS = 400
#: Beyond this many steps the sum hardly spreads, and drawing it would take longer than a plan should.
MOST_STEPS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """A step as far as chance is concerned."""

    name: str
    certain: bool  #: it runs whatever comes of its inputs
    needs: tuple[str, ...]  #: inputs that may change
    changed: float  #: share 0-1 of its runs that change its output
    seconds: float  #: median
    log_sd: float
    nano_per_s: float  #: money per second


@dataclass(frozen=True, slots=True)
class Spread:
    """The 90th percentile of the sums."""

    seconds_p90: float
    nano_p90: int


def simulate(steps: Sequence[Chance], *, seed: int = 0) -> Spread | None:
    """90th percentile of seconds and money over all steps together; None where there are none.

    Args:
        steps: inputs before their readers.
        seed: of the draws.
    """
    import numpy as np

    if not steps:
        return None
    rng = np.random.default_rng(seed)
    changed: dict[str, np.ndarray] = {}
    seconds, nano = np.zeros(DRAWS), np.zeros(DRAWS)
    for step in steps:
        runs = np.full(DRAWS, step.certain)
        for name in step.needs:
            if name in changed:
                runs |= changed[name]
        changed[step.name] = runs & (rng.random(DRAWS) < step.changed)
        took = runs * step.seconds * np.exp(step.log_sd * rng.standard_normal(DRAWS))
        seconds += took
        nano += took * step.nano_per_s
    return Spread(float(np.quantile(seconds, 0.9)), round(float(np.quantile(nano, 0.9))))
