"""How far is it worth it: launch, hold or stop, by the money that one more trial may still gain.

The next trial's outcome is modelled by its tail: over the 0.8-quantile u of the recent trials, excesses are
exponential with an unknown scale, so the predictive is a Lomax tail, P(next > b + z) = p (1 + (b - u + z)/S)^-k. One
more trial is launched while the expected money of its gain exceeds its cost; with independent draws this is the
optimal reservation rule (Weitzman, Econometrica 47 (1979) 641). Two corrections: the share of the spread that noise
alone explains counts for nothing, and a record from a mode not yet seen comes at rate 1/(n+1) (record theory:
Renyi 1962). All functions are pure: the same state gives the same decision, so the ledger can replay each one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

QUANTILE = 0.8
NOISE_EXCESS = 0.5601  #: mean excess of a standard normal over its 0.8-quantile, pdf(q)/0.2 - q
PRIOR_WEIGHT = 4.0
WINDOW_SHARE, WINDOW_LEAST = 0.8, 12
RECORDS = 3
GRID = 80


class Action(StrEnum):
    """What to do when a worker is free."""

    LAUNCH = "launch"
    HOLD = "hold"  #: wait for the trials in flight: they may change the best
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Finished:
    """One finished trial. A trial without score cost money but is no draw."""

    score: float | None  #: lower is better, as scores are
    cost: float  #: in currency units
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What accuracy is worth, and the limits of a study."""

    value: float  #: money per unit of score
    least_trials: int = 10
    startup: int = 10  #: first trials are random and tell little of later ones
    noise: float = 0.0  #: standard error of a good trial's score; 0 = unknown
    best_possible: float | None = 0.0  #: no score is below this
    budget: float | None = None  #: money that is never passed
    most_trials: int = 100
    patience: int = 2


@dataclass(frozen=True, slots=True)
class Study:
    """Everything a decision depends on."""

    finished: tuple[Finished, ...]
    in_flight: int = 0
    reserved: float = 0.0  #: expected cost of the trials in flight
    refusals: int = 0  #: refusals in a row so far, with nothing in flight


@dataclass(frozen=True, slots=True)
class Decision:
    """An action with its figures, in currency units."""

    action: Action
    gain: float  #: expected money of one more trial
    cost: float  #: expected cost of it
    reason: str


@dataclass(frozen=True, slots=True)
class Tail:
    """The predictive of the next trial; higher is better inside."""

    best: float
    threshold: float
    weight: float
    scale: float
    share: float  #: chance to pass the threshold
    signal: float  #: share 0-1 of the spread that is not noise


def decide(rule: Rule, study: Study, next_cost: float) -> Decision:
    """Launch, hold or stop.

    Args:
        rule: value and limits.
        study: finished trials and those in flight.
        next_cost: expected cost of the next trial in currency units.
    """
    scored = [trial for trial in study.finished if trial.score is not None]
    started = len(study.finished) + study.in_flight
    spent = sum(trial.cost for trial in study.finished)
    if started >= rule.most_trials:
        return _wait_or_stop(study, math.inf, next_cost, f"{rule.most_trials} trials were allowed")
    if rule.budget is not None and spent + study.reserved + next_cost > rule.budget:
        return _wait_or_stop(study, math.inf, next_cost, "the budget does not cover another trial")
    if len(scored) + study.in_flight < rule.least_trials:
        return Decision(Action.LAUNCH, math.inf, next_cost, "too few trials to judge")
    if len(scored) < min(rule.least_trials, 4):
        return Decision(Action.HOLD, math.inf, next_cost, "waiting for first scores")
    gain = expected_gain(rule, study.finished, study.in_flight)
    if gain > next_cost:
        return Decision(Action.LAUNCH, gain, next_cost, "another trial is worth its price")
    if study.in_flight:
        return Decision(Action.HOLD, gain, next_cost, "waiting for the trials in flight")
    if study.refusals + 1 >= rule.patience:
        return Decision(Action.STOP, gain, next_cost, "another trial is expected to gain less than it costs")
    return Decision(Action.HOLD, gain, next_cost, "not worth it; asked once more before stopping")


def _wait_or_stop(study: Study, gain: float, cost: float, reason: str) -> Decision:
    return Decision(Action.HOLD if study.in_flight else Action.STOP, gain, cost, reason)


def expected_gain(rule: Rule, finished: tuple[Finished, ...], in_flight: int) -> float:
    """Money expected from one more trial while `in_flight` others run."""
    scores = _scores(finished)
    if len(scores) < 4:
        return math.inf
    tail = tail_of(rule, scores)
    gains, chances = _grid(rule, tail)
    survive = chances * (1.0 - chances) ** in_flight
    potential = tail.signal * rule.value * float(np.sum(0.5 * (survive[1:] + survive[:-1]) * np.diff(gains)))
    return max(potential, _record_value(rule, scores, in_flight))


def forecast(rule: Rule, study: Study, next_cost: float, limit: int = 1000) -> tuple[int, float, float]:
    """Trials that are still expected to run, their money, and the expected best score after them."""
    scores = _scores(study.finished)
    if len(scores) < 4:
        return max(0, rule.least_trials - len(scores)), rule.least_trials * next_cost, math.nan
    low, high = 0, min(limit, max(0, rule.most_trials - len(study.finished)))
    while low < high:  # the gain falls as more trials are in flight, so the last worth its price can be bisected
        middle = (low + high + 1) // 2
        if expected_gain(rule, study.finished, middle - 1) > next_cost:
            low = middle
        else:
            high = middle - 1
    tail = tail_of(rule, scores)
    gains, chances = _grid(rule, tail)
    better = 1.0 - (1.0 - chances) ** low
    expected = tail.signal * float(np.sum(0.5 * (better[1:] + better[:-1]) * np.diff(gains)))
    return low, low * next_cost, -(tail.best + expected)


def price_of_next(rule: Rule, finished: tuple[Finished, ...], delta: float, next_cost: float) -> float:
    """Money expected until the best score falls by `delta`."""
    scores = _scores(finished)
    if len(scores) < 4:
        return math.nan
    tail = tail_of(rule, scores)
    reach = tail.best - tail.threshold + delta / max(tail.signal, 1e-3)
    chance = tail.share * (1.0 + reach / tail.scale) ** -tail.weight if tail.scale > 0 else 0.0
    return next_cost / chance if chance > 0 else math.inf


def price_of_last(finished: tuple[Finished, ...], delta: float) -> float:
    """Money spent since the best score first came within `delta` of the present one."""
    best = min((trial.score for trial in finished if trial.score is not None), default=math.nan)
    spent = reached = 0.0
    near = False
    for trial in finished:
        spent += trial.cost
        if not near and trial.score is not None and trial.score - best <= delta:
            near, reached = True, spent
    return spent - reached


def stop_points(rule: Rule, finished: tuple[Finished, ...]) -> dict[str, int]:
    """After how many trials the rule would have stopped for a third, all and three times the value."""
    found = {}
    for name, factor in (("V/3", 1 / 3), ("V", 1.0), ("3V", 3.0)):
        scaled = replace(rule, value=rule.value * factor, budget=None, most_trials=len(finished) + 1)
        found[name] = next(
            (n for n in range(rule.least_trials, len(finished)) if _stops(scaled, finished[:n])), len(finished)
        )
    return found


def _stops(rule: Rule, finished: tuple[Finished, ...]) -> bool:
    recent = finished[-max(WINDOW_LEAST, int(WINDOW_SHARE * len(finished))) :]
    cost = sum(trial.cost for trial in recent) / len(recent)
    return expected_gain(rule, finished, 0) <= cost


def _scores(finished: tuple[Finished, ...]) -> Array:
    """Higher is better from here on."""
    return -np.array([trial.score for trial in finished if trial.score is not None], float)


def tail_of(rule: Rule, scores: Array) -> Tail:
    """The predictive tail of the next trial.

    Args:
        rule: for the noise and the startup.
        scores: shape (trials,), in order, higher is better, at least four.
    """
    size = max(WINDOW_LEAST, int(WINDOW_SHARE * len(scores)))
    start = rule.startup if len(scores) >= rule.startup + WINDOW_LEAST else 0
    window = scores[max(start, len(scores) - size) :]
    threshold = float(np.quantile(window, QUANTILE))
    excess = window[window > threshold] - threshold
    overall = np.quantile(scores, QUANTILE)
    above = scores[scores > overall] - overall
    weight = len(excess) + PRIOR_WEIGHT
    scale = float(excess.sum() + PRIOR_WEIGHT * (above.mean() if len(above) else 0.0))
    signal = 1.0
    if rule.noise > 0 and scale > 0:
        signal = max(0.0, 1.0 - (NOISE_EXCESS * rule.noise * weight / scale) ** 2)
    share = max(len(excess) / len(window), 1.0 / (len(window) + 1))
    return Tail(float(scores.max()), threshold, weight, scale, share, signal)


def _grid(rule: Rule, tail: Tail) -> tuple[Array, Array]:
    """Possible gains and the chance to pass each."""
    most = 8.0 * tail.scale
    if rule.best_possible is not None:
        most = min(most, max(-rule.best_possible - tail.best, 0.0))
    if most <= 0:
        return np.zeros(2), np.zeros(2)
    gains = most * np.expm1(np.linspace(0, 5, GRID)) / math.expm1(5)
    chances = tail.share * (1.0 + (tail.best - tail.threshold + gains) / tail.scale) ** -tail.weight
    return gains, chances


def _record_value(rule: Rule, scores: Array, in_flight: int) -> float:
    """Insurance against a mode that no trial has seen yet."""
    best, count = float(scores.max()), len(scores)
    running = np.maximum.accumulate(scores)
    jumps = np.diff(running)[3:]
    jumps = jumps[jumps > 0]
    recent = float(jumps[-RECORDS:].mean()) - 2.0 * rule.noise if len(jumps) else 0.0
    log = math.log(max(count, 4))
    spread = (best - float(np.median(scores)) - rule.noise * math.sqrt(2 * log)) / (log - 0.11)
    size = max(recent, spread, 0.0)
    if rule.best_possible is not None:
        size = min(size, max(-rule.best_possible - best, 0.0))
    return rule.value * size / (count + in_flight + 1)
