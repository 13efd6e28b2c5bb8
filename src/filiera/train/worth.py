"""How far is it worth it: launch, hold or stop, by the money that one more trial may still gain.

The next trial's outcome is modelled by its tail: over the 0.8-quantile u of the recent trials, excesses are
exponential with an unknown scale, so the predictive is a Lomax tail, P(next > b + z) = p (1 + (b - u + z)/S)^-k. One
more trial is launched while the expected money of its gain exceeds its cost; with independent draws this is the
optimal reservation rule (Weitzman, Econometrica 47 (1979) 641). Two corrections: the share of the spread that noise
alone explains counts for nothing, and a record from a mode not yet seen comes at rate 1/(n+1) (record theory:
Renyi 1962). A study stops when it refuses after the newest trial and after the one before; a single refusal buys one
more trial. A running trial is ended when what it is still expected to take costs more than a trial may gain.

All functions are pure: the same state gives the same decision, so the ledger can replay each one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from filiera.core.trial import Stop

Array = npt.NDArray[np.float64]

QUANTILE = 0.8
NOISE_EXCESS = 0.5601  #: mean excess of a standard normal over its 0.8-quantile, pdf(q)/0.2 - q
PRIOR_WEIGHT = 4.0
WINDOW_SHARE, WINDOW_LEAST = 0.8, 12
RECORDS = 3
GRID = 80
#: So many scores tell how long trials take; before that none is ended for being slow.
CAP_AFTER = 5
#: Weight and standard deviation of the prior of log-seconds.
LENGTH_WEIGHT, LENGTH_SD = 2.0, 0.5


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
    seconds: float  #: how long it ran


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What accuracy is worth, and the limits of a study."""

    value: float  #: money per unit of score
    least_trials: int = 10
    startup: int = 10  #: first trials are random and tell little of later ones
    noise: float = 0.0  #: standard error of a good trial's score; 0 = unknown
    best_possible: float | None = 0.0  #: no score is below this
    budget: float | None = None  #: money that is never passed, currency units
    most_trials: int = 100
    patience: int = 2  #: refusals at so many states in a row end a study


@dataclass(frozen=True, slots=True)
class Study:
    """Everything a decision depends on."""

    finished: tuple[Finished, ...]
    in_flight: int = 0
    covered: bool = True  #: the budget holds another trial and the final fit
    repeats: int = 0  #: trials, among all of these, that count for no limit


@dataclass(frozen=True, slots=True)
class Decision:
    """An action with its figures, in currency units."""

    action: Action
    gain: float  #: expected money of one more trial
    cost: float  #: expected cost of it
    reason: str
    stop: Stop | None = None  #: of a refusal: what it is for


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
    scored = sum(trial.score is not None for trial in study.finished)
    if len(study.finished) + study.in_flight - study.repeats >= rule.most_trials:
        return _refusal(study, math.inf, next_cost, Stop.LIMIT, f"{rule.most_trials} trials were allowed")
    if not study.covered:
        return _refusal(study, math.inf, next_cost, Stop.BUDGET, "the budget does not cover another trial")
    if scored + study.in_flight < rule.least_trials:
        return Decision(Action.LAUNCH, math.inf, next_cost, "too few trials to judge")
    if scored < min(rule.least_trials, 4):
        return Decision(Action.HOLD, math.inf, next_cost, "waiting for first scores")
    gain = expected_gain(rule, study.finished, study.in_flight)
    if gain > next_cost:
        return Decision(Action.LAUNCH, gain, next_cost, "another trial is worth its price")
    if study.in_flight == 0 and not _refused_before(rule, study.finished, next_cost):
        return Decision(Action.LAUNCH, gain, next_cost, "not worth its price; one more trial before stopping")
    text = "another trial is expected to gain less than it costs"
    return _refusal(study, gain, next_cost, Stop.WORTH, text)


def _refusal(study: Study, gain: float, cost: float, stop: Stop, reason: str) -> Decision:
    return Decision(Action.HOLD if study.in_flight else Action.STOP, gain, cost, reason, stop)


def _refused_before(rule: Rule, finished: tuple[Finished, ...], next_cost: float) -> bool:
    """Whether the rule would have refused at each of the `patience` - 1 states before this one."""
    before = [finished[: len(finished) - back] for back in range(1, rule.patience)]
    return all(_refuses(rule, earlier, next_cost) for earlier in before)


def _refuses(rule: Rule, finished: tuple[Finished, ...], next_cost: float) -> bool:
    enough = sum(trial.score is not None for trial in finished) >= rule.least_trials
    return enough and expected_gain(rule, finished, 0) <= next_cost


def cost_of_next(finished: tuple[Finished, ...], running: tuple[float, ...], default: float) -> float:
    """Expected cost of one more trial: the mean over the recent ones, and over those that run.

    Args:
        finished: trials in order.
        running: what each trial in flight cost so far; it counts as at least the mean, so that the slow ones are not
            forgotten while the quick ones end.
        default: what to expect while no trial has finished.
    """
    recent = _recent(finished)
    mean = sum(trial.cost for trial in recent) / len(recent) if recent else default
    total = mean * len(recent) + sum(max(cost, mean) for cost in running)
    return total / (len(recent) + len(running)) if recent or running else default


def seconds_left(finished: tuple[Finished, ...], elapsed_s: float) -> float:
    """Seconds that a trial is expected to need beyond the `elapsed_s` it has run: E[T - e | T > e], T log-normal."""
    logs = np.log([max(trial.seconds, 1e-9) for trial in finished if trial.score is not None])
    mean = float(logs.mean())
    spread = float(((logs - mean) ** 2).sum()) + LENGTH_WEIGHT * LENGTH_SD**2
    sd = math.sqrt(spread / (len(logs) + LENGTH_WEIGHT))
    whole = math.exp(mean + sd * sd / 2)
    if elapsed_s <= 0:
        return whole
    reach = (math.log(elapsed_s) - mean) / sd
    longer = math.erfc(reach / math.sqrt(2)) / 2
    if longer < 1e-12:  # far out in the tail the hazard is about (log e - mean) / (sd^2 e)
        return elapsed_s * sd / max(reach, 1.0)
    return max(whole * math.erfc((reach - sd) / math.sqrt(2)) / 2 / longer - elapsed_s, 0.0)


def is_too_long(rule: Rule, study: Study, elapsed_s: float, price_per_s: float) -> bool:
    """Whether a trial that has run for `elapsed_s` is expected to cost more from here than it may gain.

    A trial that was launched to learn from (too few scores to judge, or one more before stopping) is taken to be worth
    the price of an average one: otherwise it would be ended as soon as it began.
    """
    scored = sum(trial.score is not None for trial in study.finished)
    if scored < CAP_AFTER:
        return False
    gain = expected_gain(rule, study.finished, max(study.in_flight - 1, 0))
    if scored < rule.least_trials or study.in_flight <= 1:
        gain = max(gain, price_per_s * seconds_left(study.finished, 0.0))
    return gain < price_per_s * seconds_left(study.finished, elapsed_s)


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
        scaled = replace(rule, value=rule.value * factor, most_trials=len(finished) + 1)
        states = (Study(finished[:n]) for n in range(rule.least_trials, len(finished)))
        stops = (len(s.finished) for s in states if decide(scaled, s, _mean_cost(s.finished)).action is Action.STOP)
        found[name] = next(stops, len(finished))
    return found


def _mean_cost(finished: tuple[Finished, ...]) -> float:
    return cost_of_next(finished, (), math.inf)


def _recent(finished: tuple[Finished, ...]) -> tuple[Finished, ...]:
    return finished[-max(WINDOW_LEAST, int(WINDOW_SHARE * len(finished))) :]


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
