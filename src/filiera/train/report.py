"""A study as figures: the best so far against money, what ended it, and whether more would make it go on."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from filiera.core.trial import Stop, Trial, TrialState
from filiera.train import worth
from filiera.train.value import Worth

NANO = 10**9
#: The noise of scores is read off so many of the best trials.
LEADING = 5
#: An improvement that needs so many trials is not to be expected.
HOPELESS_TRIALS = 10_000


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """The trial with the lowest score; the earliest of equals."""
    scored = [trial for trial in trials if trial.score is not None]
    return min(scored, key=lambda trial: (trial.score, trial.number), default=None)


def finished(trials: Sequence[Trial]) -> tuple[worth.Finished, ...]:
    """What the rule of worth sees of the trials that ended, by number."""
    ended = [trial for trial in trials if trial.state is not TrialState.RUNNING]
    return tuple(worth.Finished(trial.score, trial.cost_nano / NANO, trial.seconds) for trial in ended)


def window_noise(trials: Sequence[Trial]) -> float:
    """Standard error of the difference between leading trials over the windows: what chance alone explains.

    The median over the four trials that follow the best; 0 with fewer than three scored trials or windows.
    """
    leading = sorted((t for t in trials if t.score is not None), key=lambda t: (t.score or 0.0, t.number))[:LEADING]
    if len(leading) < 3 or len(leading[0].window_scores) < 3:
        return 0.0
    errors = []
    for other in leading[1:]:
        gaps = [a - b for a, b in zip(leading[0].window_scores, other.window_scores, strict=True)]
        errors.append(statistics.stdev(gaps) / math.sqrt(len(gaps)))
    return statistics.median(errors)


def frontier(rule: worth.Rule, trials: Sequence[Trial], next_cost: float) -> dict[str, Any]:
    """Best score against money spent, what the last improvement cost and what the next would.

    `step` is the improvement that the two prices are for, in units of the score; `price_of_next_step` is None where
    none is to be expected.
    """
    ended = [trial for trial in trials if trial.state is not TrialState.RUNNING]
    best, spent, seconds, points = math.inf, 0, 0.0, []
    for trial in ended:
        spent, seconds = spent + trial.cost_nano, seconds + trial.seconds
        if trial.score is not None and trial.score < best:
            best = trial.score
            point = {"trials": trial.number + 1, "cost_nano": spent, "seconds": round(seconds, 3), "score": best}
            points.append(point)
    if not math.isfinite(best):
        return {"points": [], "spent_nano": spent}
    step = max(0.01 * abs(best), 1e-12)
    known = finished(ended)
    expected = worth.price_of_next(rule, known, step, next_cost)
    return {
        "points": points,
        "spent_nano": spent,
        "step": step,
        "price_of_last_step": worth.price_of_last(known, step),
        "price_of_next_step": expected if expected < HOPELESS_TRIALS * next_cost else None,
        "stop_points": worth.stop_points(rule, known) if len(known) > rule.least_trials else {},
    }


def capped(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """The trials that were ended for their price: what they took, and why they were not let run."""
    return [
        {
            "number": trial.number,
            "settings": dict(trial.settings),
            "seconds": round(trial.seconds, 3),
            "cost_nano": trial.cost_nano,
            "reason": trial.error,
        }
        for trial in trials
        if trial.state is TrialState.CAPPED
    ]


def may_continue(report: Mapping[str, Any], trials_limit: int, budget: float | None, worth: Worth) -> str:
    """What a finished study could go on for, or "" when it would end where it did.

    Args:
        report: the study's newest, as it stands in the ledger.
        trials_limit: trials that are allowed now.
        budget: what the whole study may spend now on trials and final fits, currency units; None = no limit.
        worth: as it is stated now, per unit of the target.
    """
    ended, used = report.get("ended"), report.get("used", 0)
    if ended == Stop.LIMIT and trials_limit > used:
        return f"up to {trials_limit} trials ({used} done)"
    if ended == Stop.BUDGET and (budget is None or budget >= report["needed"]):
        spent = f"{report['frontier']['spent_nano'] / NANO:.3g} {report['currency']} spent"
        return f"no limit of money ({spent})" if budget is None else f"{budget:.3g} {worth.currency} allowed ({spent})"
    dearer = worth.per_unit is not None and worth.per_unit > report.get("value_per_unit", math.inf) * (1 + 1e-9)
    if ended == Stop.WORTH and dearer:
        return f"worth {worth.text} ({used} trials done, for {report['worth']})"
    return ""
