"""Lost, failed and capped trials, budgets and the cost cap, on an engine with a clock of its own."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import SimulatedEngine
from tests.engines import DirectEngine
from tests.studies import ALPHA, TrialList, model, request

from filiera.core.trial import REPEAT, Stop, Trial, TrialState
from filiera.errors import WorkError
from filiera.train.search import Search
from filiera.train.study import run_study
from filiera.train.worth import Rule

ENDLESS = Rule(value=1e9, noise=1e-12, best_possible=None)
PRICE_PER_S = 0.01


def price(seconds):
    return round(PRICE_PER_S * seconds * 1e9)


def score(found):
    return 10 + abs(math.log10(found["alpha"]))


def search(asked, engine, recorder, *, rule=ENDLESS, earlier=(), **more):
    return run_study(
        asked, engine, recorder, rule=lambda best: rule, price=price, earlier=earlier, clock=engine.clock, **more
    )


def spent(trials):
    return sum(trial.cost_nano for trial in trials) / 1e9


def states(trials):
    return [trial.state.value for trial in trials]


# ---- lost and failed


def test_trials_that_always_die_end_the_study_whatever_their_settings():
    recorder = TrialList()
    engine = SimulatedEngine(2, lambda _: None, lambda _: 1.0)
    with pytest.raises(WorkError, match="the processes of the first 5 trials died"):
        search(request(model(trials=100)), engine, recorder)
    assert len(recorder.trials) <= 6


def test_settings_that_kill_their_process_twice_count_as_one_trial_that_is_done():
    engine = SimulatedEngine(1, lambda found: None if found["alpha"] > 1 else score(found), lambda _: 1.0)
    outcome = search(request(model(trials=12), lag=1), engine, TrialList())
    lost = [trial for trial in outcome.trials if trial.state is TrialState.LOST]
    assert lost
    assert len(lost) == 2 * len({trial.settings["alpha"] for trial in lost})
    assert sum(trial.origin != REPEAT for trial in outcome.trials) == 12
    assert outcome.used == 12
    assert len(outcome.trials) == 12 + len(lost) // 2
    assert outcome.stop is Stop.LIMIT


def test_a_model_without_a_search_that_dies_is_tried_twice():
    recorder = TrialList()
    with pytest.raises(WorkError, match="its process died"):
        search(request(model(space=())), SimulatedEngine(2, lambda _: None, lambda _: 1.0), recorder)
    assert states(recorder.list_trials()) == ["lost", "lost"]


def test_the_default_is_tried_although_the_champion_died():
    engine = SimulatedEngine(1, lambda found: None if found["alpha"] == 50.0 else score(found), lambda _: 1.0)
    outcome = search(request(model(trials=3), champion={"alpha": 50.0}, lag=1), engine, TrialList())
    assert [trial.origin for trial in outcome.trials] == ["champion", "repeat", "default", "search"]


class Outside(DirectEngine):
    """Fails while `broken`, as a pipeline does whose library or license server is gone."""

    broken = True

    def _run(self, task):
        if not self.broken:
            return super()._run(task)
        return replace(super()._run(task), value=None, error={"code": "work.failed", "message": "no license"})


def test_a_study_that_failed_is_tried_anew_by_the_next_apply_under_new_numbers():
    asked, recorder, engine = request(model()), TrialList(), Outside(1)
    for attempt in (1, 2):
        with pytest.raises(WorkError, match="the first 5 trials failed with the same error"):
            run_study(asked, engine, recorder, rule=lambda best: ENDLESS, price=price, earlier=recorder.list_trials())
        assert states(recorder.list_trials()) == ["failed"] * (5 * attempt)
    engine.broken = False
    outcome = run_study(asked, engine, recorder, rule=lambda best: ENDLESS, price=price, earlier=recorder.list_trials())
    again = outcome.trials[10:15]
    assert [trial.settings for trial in again] == [trial.settings for trial in outcome.trials[:5]]
    assert states(again) == ["done"] * 5
    assert {trial.origin for trial in again} == {REPEAT}
    assert outcome.used == 12
    assert outcome.stop is Stop.LIMIT


def test_a_study_that_was_interrupted_after_some_failures_goes_on_and_repeats_none():
    earlier = [Trial(number=n, settings={"alpha": 2.0 + n}, state=TrialState.FAILED, error="x") for n in range(3)]
    recorder = TrialList(earlier)
    outcome = search(request(model(trials=6)), SimulatedEngine(2, score, lambda _: 1.0), recorder, earlier=earlier)
    assert states(outcome.trials) == ["failed"] * 3 + ["done"] * 3


# ---- interruption


class Interrupted(SimulatedEngine):
    at_s = 2.5

    def wait(self, timeout_s=None):
        if self.now_s >= self.at_s:
            raise KeyboardInterrupt
        return super().wait(0.25)


def test_an_interrupted_trial_is_paid_for_and_runs_again_under_its_own_number():
    recorder = TrialList()
    first = search(request(model(trials=4)), Interrupted(2, score, lambda _: 2.0), recorder)
    assert first.state == "interrupted"
    assert states(first.trials) == ["done", "done", "running", "running"]
    assert [trial.seconds for trial in recorder.list_trials()] == [2.0, 2.0, 0.5, 0.5]
    assert spent(recorder.list_trials()) == pytest.approx(5.0 * PRICE_PER_S)
    engine = SimulatedEngine(2, score, lambda _: 2.0)
    whole = search(request(model(trials=4)), engine, recorder, earlier=recorder.list_trials())
    assert states(whole.trials) == ["done"] * 4
    assert [name for what, name in engine.log if what == "start"] == ["trial-2", "trial-3"]
    assert spent(whole.trials) == pytest.approx(9.0 * PRICE_PER_S)


# ---- budget


def final(seconds):
    return price(0.1 + 1.5 * seconds)


def test_one_slow_trial_does_not_pass_the_budget():
    """The case of the review: 0.02 of money, quick trials and one of 4 s, which took 0.0286."""
    engine = SimulatedEngine(2, score, lambda found: 4.0 if found["alpha"] > 20 else 0.01)
    rule = replace(ENDLESS, budget=0.02)
    outcome = search(request(model(trials=100)), engine, TrialList(), rule=rule, final=final)
    best = outcome.winner
    assert spent(outcome.trials) + final(best.seconds) / 1e9 <= 0.02
    assert "capped" in states(outcome.trials)
    assert outcome.stop is Stop.BUDGET
    assert all("the budget holds no more" in t.error for t in outcome.trials if t.state is TrialState.CAPPED)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 6), st.floats(0.005, 0.5), st.integers(0, 2**31), st.floats(0.0, 2.0), st.booleans(), st.booleans()
)
def test_trials_and_final_fit_together_never_pass_a_budget(workers, budget, seed, spread, fixed, interrupted):
    def seconds(found):
        return math.exp(spread * math.sin(seed + 1e3 * found["alpha"]))

    asked = request(model(trials=15, seed=seed), lag=workers if fixed else None)
    recorder, rule = TrialList(), replace(ENDLESS, budget=budget)
    try:
        if interrupted:
            search(asked, Interrupted(workers, score, seconds), recorder, rule=rule, final=final)
        outcome = search(
            asked, SimulatedEngine(workers, score, seconds), recorder, rule=rule, final=final,
            earlier=recorder.list_trials(),
        )  # fmt: skip
    except WorkError:  # not one trial could be paid for
        assert spent(recorder.list_trials()) <= budget
        return
    assert spent(outcome.trials) + final(outcome.winner.seconds) / 1e9 <= budget + 1e-9


def test_a_trial_left_running_is_not_repeated_beyond_the_budget_and_goes_on_when_that_is_raised():
    asked, recorder = request(model(trials=6)), TrialList()
    search(asked, Interrupted(2, score, lambda _: 2.0), recorder)
    small = replace(ENDLESS, budget=0.06)
    stopped = search(
        asked, SimulatedEngine(2, score, lambda _: 2.0), recorder, rule=small, final=final,
        earlier=recorder.list_trials(),
    )  # fmt: skip
    assert stopped.stop is Stop.BUDGET
    assert states(stopped.trials) == ["done", "done", "running", "running"]
    more = replace(ENDLESS, budget=stopped.needed)
    on = search(
        asked, SimulatedEngine(2, score, lambda _: 2.0), recorder, rule=more, final=final,
        earlier=recorder.list_trials(),
    )  # fmt: skip
    assert states(on.trials).count("done") == 3
    assert spent(on.trials) + final(on.winner.seconds) / 1e9 <= stopped.needed + 1e-9


def test_without_a_budget_a_trial_has_no_time_limit():
    engine = DirectEngine(1)
    run_study(request(model(trials=2)), engine, TrialList(), rule=lambda best: ENDLESS, price=price)
    assert {task.timeout_s for task in engine.started} == {None}


# ---- cost cap


def test_a_trial_that_runs_on_and_on_is_ended_when_more_of_it_is_worth_less_than_its_price():
    engine = SimulatedEngine(2, score, lambda found: 1e5 if found["alpha"] > 20 else 1.0)
    rule = Rule(value=0.05, noise=1e-12, best_possible=None)
    outcome = search(request(model(trials=30)), engine, TrialList(), rule=rule)
    slow = [trial for trial in outcome.trials if trial.state is TrialState.CAPPED]
    assert slow
    for trial in slow:
        assert trial.settings["alpha"] > 20
        assert 1.0 < trial.seconds < 1000
        assert trial.cost_nano == price(trial.seconds)
        assert "would cost more than they may gain" in trial.error
    assert outcome.winner.state is TrialState.DONE
    assert outcome.stop in (Stop.WORTH, Stop.LIMIT)


def test_a_high_worth_protects_a_slow_trial():
    engine = SimulatedEngine(2, score, lambda found: 300.0 if found["alpha"] > 20 else 1.0)
    rule = Rule(value=1e6, noise=1e-12, best_possible=None)
    outcome = search(request(model(trials=12)), engine, TrialList(), rule=rule)
    assert set(states(outcome.trials)) == {"done"}


def test_no_trial_is_ended_before_five_have_told_how_long_one_takes():
    engine = SimulatedEngine(1, score, lambda found: 1e3)
    outcome = search(request(model(trials=4), lag=1), engine, TrialList(), rule=Rule(value=0.0))
    assert states(outcome.trials) == ["done"] * 4


# ---- order and parallel work


def test_in_fixed_order_trials_wait_for_a_slow_one_and_in_free_order_they_go_on():
    def seconds(found):
        return 50.0 if found["alpha"] == 1.0 else 1.0  # the default, trial 0

    began = {}
    for lag in (2, None):
        engine = SimulatedEngine(2, score, seconds)
        search(request(model(trials=10), lag=lag), engine, TrialList())
        began[lag] = engine.log.index(("end", "trial-0"))
    assert began[2] < 8  # trial 2 is proposed from trial 0
    assert began[None] == 19  # the other nine came and went before it


@pytest.mark.parametrize("lag", [100, None])
def test_of_a_hundred_workers_only_so_many_run_as_are_worth_it(lag):
    """n_min at first, and then as many as the gain of one more justifies."""
    engine = SimulatedEngine(100, score, lambda found: 1.0 + found["alpha"] / 1000)
    poor = Rule(value=0.02, noise=1e-12, best_possible=None)
    outcome = search(request(model(trials=120), lag=lag), engine, TrialList(), rule=poor)
    assert engine.most_running == poor.least_trials
    assert outcome.stop is Stop.WORTH
    assert len(outcome.trials) < 60
    engine = SimulatedEngine(100, score, lambda found: 1.0 + found["alpha"] / 1000)
    rich = search(request(model(trials=120), lag=lag), engine, TrialList(), rule=replace(poor, value=1e3))
    assert poor.least_trials < engine.most_running <= 100
    assert len(rich.trials) > len(outcome.trials)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_coordinator_that_was_killed_decides_from_the_ledger_what_it_would_have_decided(workers):
    """At every event, the record alone gives the same decision."""
    decided = {}

    class Watched(TrialList):
        def add_trials(self, trials):
            decided[len(self.trials)] = self.list_trials()
            super().add_trials(trials)

    asked, rule = request(model(trials=40), lag=workers), Rule(value=1.0, noise=1e-12, best_possible=None)
    recorder = Watched()
    engine = SimulatedEngine(workers, score, lambda found: 1.0 + (found["alpha"] % 1) / 10)
    whole = search(asked, engine, recorder, rule=rule)
    assert whole.stop is Stop.WORTH
    for number, record in decided.items():
        if any(trial.state is TrialState.RUNNING for trial in record):
            continue  # those would run again first
        restarted = Search.resume(
            asked, record, rule=lambda best: rule, price=price, final=lambda _: 0, clock=lambda: 0.0
        )
        trial = restarted.next_trial(workers)
        assert (trial.number, trial.settings) == (number, whole.trials[number].settings)
    ended = Search.resume(
        asked, whole.trials, rule=lambda best: rule, price=price, final=lambda _: 0, clock=lambda: 0.0
    )
    assert ended.next_trial(workers) is None
    assert (ended.stop, ended.stop_reason) == (whole.stop, whole.stop_reason)


def test_the_first_trials_of_a_space_are_the_default_and_then_random():
    outcome = search(request(model(trials=3)), SimulatedEngine(2, score, lambda _: 1.0), TrialList())
    assert [trial.origin for trial in outcome.trials] == ["default", "search", "search"]
    assert ALPHA.low <= outcome.trials[2].settings["alpha"] <= ALPHA.high
