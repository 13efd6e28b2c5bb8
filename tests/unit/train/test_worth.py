"""The rule of worth: what it gains where the best rule is known, and what must not change its decisions.

Bars of the stop rule, measured on its prototype before.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.core.trial import Stop
from filiera.train.worth import (
    Action,
    Finished,
    Rule,
    Study,
    cost_of_next,
    decide,
    expected_gain,
    is_too_long,
    seconds_left,
    stop_points,
)

COST = 1.0


def play(rule, draw, *, most=1000):
    """Scores of a study with one worker, until the rule stops it."""
    finished = ()
    while len(finished) < most:
        if decide(rule, Study(finished), COST).action is Action.STOP:
            break
        finished += (Finished(float(draw()), COST, 1.0),)
    return [trial.score for trial in finished]


def best_possible_net(value, random):
    """What the rule earns that knows the law: it stops at a best of ln(V/c) (Weitzman, Econometrica 47 (1979) 641)."""
    best, count = 0.0, 0
    while value * math.exp(-best) > COST:
        best, count = max(best, random.exponential()), count + 1
    return value * best - COST * count


@pytest.mark.parametrize(("value", "share", "studies"), [(30.0, 0.70, 60), (100.0, 0.80, 60), (300.0, 0.87, 40)])
def test_with_exponential_draws_a_study_earns_nearly_what_the_best_rule_does_that_knows_the_law(value, share, studies):
    """Over 300 studies: 0.72, 0.84, 0.89, for the prototype to the digit."""
    rule = Rule(value=value, best_possible=None, most_trials=1000)
    earned = best = 0.0
    for seed in range(studies):
        random = np.random.default_rng(seed)
        scores = play(rule, lambda random=random: -random.exponential())
        earned += value * -min(scores) - COST * len(scores)
        best += best_possible_net(value, np.random.default_rng(seed))  # the same draws
    assert earned >= share * best


@pytest.mark.parametrize("value", [100.0, 1000.0, 10_000.0])
def test_pure_noise_is_not_searched_in(value):
    rule = Rule(value=value, noise=1.0, best_possible=None, most_trials=1000)
    counts = []
    for seed in range(100):
        random = np.random.default_rng(seed)
        counts.append(len(play(rule, lambda random=random: random.normal())))
    assert np.mean(counts) <= 20


def test_of_noise_that_nobody_told_of_more_is_bought():
    rule = Rule(value=10_000.0, best_possible=None, most_trials=300)
    random = np.random.default_rng(0)
    told = play(replace(rule, noise=1.0), np.random.default_rng(0).normal)
    assert len(play(rule, random.normal)) > 2 * len(told)


def study_of(seed, count, scale=1.0, shift=0.0):
    random = np.random.default_rng(seed)
    scores = random.lognormal(0, 0.5, count) * scale + shift
    costs, missing = random.uniform(0.5, 2.0, count), random.random(count) < 0.1
    return tuple(
        Finished(None if gone else float(s), float(c), float(c))
        for s, c, gone in zip(scores, costs, missing, strict=True)
    )


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 60), st.integers(0, 20), st.floats(0.1, 1e4), st.floats(0, 0.5))
def test_a_score_in_other_units_and_a_worth_to_match_change_no_decision(seed, count, in_flight, value, noise):
    rule, million = Rule(value=value, noise=noise), 1e6
    plain = decide(rule, Study(study_of(seed, count), in_flight), COST)
    scaled_rule = replace(rule, value=value / million, noise=noise * million)
    scaled = decide(scaled_rule, Study(study_of(seed, count, million), in_flight), COST)
    assert (plain.action, plain.reason) == (scaled.action, scaled.reason)
    assert scaled.gain == pytest.approx(plain.gain, rel=1e-6, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 60), st.floats(0.1, 1e4), st.floats(-5, 5))
def test_only_differences_of_scores_count_where_no_score_is_the_best_possible(seed, count, value, shift):
    """Scores are always minimised: the larger-is-better twin of a study is its mirror, and mirroring is a shift too."""
    rule = Rule(value=value, best_possible=None)
    plain = decide(rule, Study(study_of(seed, count)), COST)
    shifted = decide(rule, Study(study_of(seed, count, shift=shift)), COST)
    assert plain.action == shifted.action
    assert shifted.gain == pytest.approx(plain.gain, rel=1e-6, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(10, 60), st.floats(0.1, 1e4))
def test_one_more_trial_is_worth_less_the_more_of_them_run(seed, count, value):
    finished, rule = study_of(seed, count), Rule(value=value)
    gains = [expected_gain(rule, finished, in_flight) for in_flight in range(20)]
    assert all(later <= earlier for earlier, later in pairwise(gains))


def test_a_score_that_cannot_get_better_ends_the_study():
    finished = tuple(Finished(score, COST, 1.0) for score in [3.0, 2.0, 1.0, 0.0] * 4)
    assert expected_gain(Rule(value=1e9), finished, 0) == 0.0
    assert decide(Rule(value=1e9), Study(finished), COST).stop is Stop.WORTH


def test_a_single_refusal_buys_one_more_trial_and_the_second_in_a_row_stops():
    finished, rule = tuple(Finished(5.0 + n % 3, COST, 1.0) for n in range(10)), Rule(value=1e-9)
    first = decide(rule, Study(finished), COST)
    assert (first.action, first.stop) == (Action.LAUNCH, None)
    assert decide(rule, Study(finished, in_flight=1), COST).action is Action.HOLD
    second = decide(rule, Study((*finished, Finished(6.0, COST, 1.0))), COST)
    assert (second.action, second.stop) == (Action.STOP, Stop.WORTH)


def test_a_budget_that_is_spent_holds_while_trials_run_and_then_stops():
    finished = (Finished(5.0, COST, 1.0),)
    assert decide(Rule(value=1e9), Study(finished, 2, covered=False), COST).action is Action.HOLD
    assert decide(Rule(value=1e9), Study(finished, covered=False), COST).stop is Stop.BUDGET


def test_repeats_do_not_count_for_the_limit():
    finished = tuple(Finished(None, COST, 1.0) for _ in range(6))
    assert decide(Rule(value=1.0, most_trials=6), Study(finished), COST).stop is Stop.LIMIT
    assert decide(Rule(value=1.0, most_trials=6), Study(finished, repeats=3), COST).action is Action.LAUNCH


def test_the_slow_trials_in_flight_count_for_the_price_of_the_next():
    finished = tuple(Finished(1.0, 2.0, 1.0) for _ in range(10))
    assert cost_of_next(finished, (), 9.0) == 2.0
    assert cost_of_next(finished, (0.1, 0.1), 9.0) == 2.0
    assert cost_of_next(finished, (14.0,), 9.0) == pytest.approx(34 / 11)
    assert cost_of_next((), (), 9.0) == 9.0


def test_the_seconds_left_are_those_of_a_log_normal_by_simulation():
    random = np.random.default_rng(3)
    seconds = random.lognormal(1.0, 0.8, 400)
    finished = tuple(Finished(1.0, COST, float(s)) for s in seconds)
    drawn = random.lognormal(np.log(seconds).mean(), np.log(seconds).std(), 400_000)
    for elapsed in (0.0, 1.0, 5.0, 15.0):
        expected = drawn[drawn > elapsed].mean() - elapsed
        assert seconds_left(finished, elapsed) == pytest.approx(expected, rel=0.05)
    assert seconds_left(finished, 1e6) > seconds_left(finished, 1e5) > 0


def test_a_trial_is_too_long_sooner_the_less_it_may_gain():
    finished = tuple(Finished(5.0 + n % 7, COST, 1.0 + n % 3) for n in range(20))

    def ended_at(value):
        rule = Rule(value=value, best_possible=None)
        return next(e for e in range(1, 10**6) if is_too_long(rule, Study(finished, 3), float(e), 0.01))

    assert 1 <= ended_at(0.01) <= ended_at(0.3) < ended_at(1.0)


def test_what_was_launched_to_learn_from_is_not_ended_as_soon_as_it_began():
    finished = tuple(Finished(5.0, COST, 1.0) for _ in range(6))
    rule = Rule(value=0.0)
    assert not is_too_long(rule, Study(finished, 3), 0.1, 0.01)
    assert is_too_long(rule, Study(finished, 3), 100.0, 0.01)


def test_the_report_says_where_another_worth_would_have_stopped():
    random = np.random.default_rng(1)
    finished = tuple(Finished(float(-random.exponential()), COST, 1.0) for _ in range(200))
    points = stop_points(Rule(value=30.0, best_possible=None), finished)
    assert 10 <= points["V/3"] <= points["V"] <= points["3V"] <= 200
    assert points["V/3"] < points["3V"]
