"""Champion against challenger, on rows that neither has seen.

The rows: all complete windows of the grid that lie wholly after the champion's training end plus the gap. The
challenger is its fit of each window, trained on what came before it; the champion is its package as released. A window
that still grows is left for later: looking again and again at growing rows would promote by chance.

The gain is paired by row and averaged by UTC day; its standard error comes from the days, and grows where neighbouring
days resemble each other. The challenger is promoted when the lower bound of the gain is above the least gain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from filiera.clock import US_PER_DAY, rfc3339
from filiera.runner.matrix import Floats, Longs, Window
from filiera.runner.score import score
from filiera.train.split import is_complete

PROMOTED, KEPT, NOT_JUDGED = "promoted", "kept", "not judged"
LEAST_DAYS = 14
#: A smaller share of the champion's score is not worth a change of what serves.
LEAST_GAIN_SHARE = 0.01
Z90 = 1.2816  #: 90th percentile of the standard normal


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the comparison said, with its figures in the target's unit."""

    verdict: str  #: "promoted", "kept" or "not judged"
    evidence: str  #: for people
    champion: float | None = None  #: score on the judged rows
    challenger: float | None = None
    gain: float | None = None  #: mean over days; above 0 = the challenger is better
    standard_error: float | None = None
    lower_bound: float | None = None  #: the gain is above it with 90 % confidence
    least_gain: float | None = None
    days: int = 0
    rows: int = 0
    low_us: int | None = None
    high_us: int | None = None

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return {name: getattr(self, name) for name in self.__slots__}


def judged_windows(
    windows: Sequence[Window], *, champion_high_us: int, gap_us: int, newest_us: int
) -> tuple[Window, ...]:
    """The windows on which a champion may be compared: complete, and wholly after its training end plus the gap."""
    return tuple(
        window for window in windows if window.test_low >= champion_high_us + gap_us and is_complete(window, newest_us)
    )


def judge(
    times_us: Longs, truth: Floats, champion: Floats, challenger: Floats, *, score_name: str, unit: str | None = None,
    least_gain: float | None = None,
) -> Verdict:  # fmt: skip
    """Whether the challenger takes over.

    Args:
        times_us: of the judged rows, ascending, microseconds UTC; shape (rows,).
        truth: target; shape (rows,).
        champion: its predictions; shape (rows,).
        challenger: its predictions; shape (rows,).
        score_name: "mae" or "rmse".
        unit: of the target, for the evidence.
        least_gain: in the target's unit; None = 1 % of the champion's score.
    """
    days = np.unique(times_us // US_PER_DAY)
    if len(days) < LEAST_DAYS:
        return Verdict(
            verdict=NOT_JUDGED,
            evidence=f"{len(days)} days of complete windows after the champion's training; {LEAST_DAYS} are needed",
            days=len(days),
            rows=len(truth),
        )
    old, new = score(score_name, truth, champion), score(score_name, truth, challenger)
    least = LEAST_GAIN_SHARE * old if least_gain is None else least_gain
    gain, error = paired_gain(times_us, truth, champion, challenger, score_name)
    lower = gain - _quantile90(len(days) - 1) * error
    verdict = PROMOTED if lower > least else KEPT
    words = f" {unit}" if unit else ""
    return Verdict(
        verdict=verdict,
        evidence=(
            f"gain {gain:+.3g} ± {error:.2g}{words} over {len(days)} days "
            f"({rfc3339(int(times_us[0]))[:10]} to {rfc3339(int(times_us[-1]))[:10]}; champion {old:.4g}, challenger "
            f"{new:.4g}): with 90 % confidence above {lower:+.3g}, needed above {least:.2g}"
        ),
        champion=old,
        challenger=new,
        gain=gain,
        standard_error=error,
        lower_bound=lower,
        least_gain=least,
        days=len(days),
        rows=len(truth),
        low_us=int(times_us[0]),
        high_us=int(times_us[-1]) + 1,
    )


def paired_gain(
    times_us: Longs, truth: Floats, champion: Floats, challenger: Floats, score_name: str
) -> tuple[float, float]:
    """Mean gain by UTC day in the target's unit, and its standard error.

    A difference of squared errors becomes one of roots by its slope at the two scores. The error is widened by
    sqrt((1 + r) / (1 - r)) for a positive lag-1 correlation r of the days.

    Source: Bartlett, J. Roy. Stat. Soc. 98 (1935) 536, variance of a mean of a first-order autoregression.
    """
    if score_name == "rmse":
        roots = score("rmse", truth, champion) + score("rmse", truth, challenger)
        rows = ((truth - champion) ** 2 - (truth - challenger) ** 2) / max(roots, 1e-300)
    else:
        rows = np.abs(truth - champion) - np.abs(truth - challenger)
    _, place = np.unique(times_us // US_PER_DAY, return_inverse=True)
    daily = np.bincount(place, rows) / np.bincount(place)
    count = len(daily)
    if count < 2:
        return float(daily.mean()), math.inf
    spread = daily - daily.mean()
    variance = float(spread @ spread) / (count - 1)
    lagged = float(spread[1:] @ spread[:-1]) / float(spread @ spread) if variance > 0 else 0.0
    lagged = min(max(lagged, 0.0), 0.95)
    return float(daily.mean()), math.sqrt(variance / count * (1 + lagged) / (1 - lagged))


def _quantile90(freedom: int) -> float:
    """90th percentile of Student's t. Source: Cornish-Fisher expansion, first term; Hill, CACM 13 (1970) 617."""
    return Z90 + (Z90**3 + Z90) / (4 * freedom)
