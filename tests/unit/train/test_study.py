from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engines import DirectEngine
from tests.studies import ALPHA, TrialList, model, request, rows, share

from filiera.core.asset import Parameter
from filiera.core.trial import Stop, Trial, TrialState
from filiera.errors import NoSpaceError, WorkError
from filiera.runner.fit import default_settings
from filiera.train.propose import fit_to_space, propose
from filiera.train.split import refit_range
from filiera.train.study import refit, run_study
from filiera.train.worth import Rule

LEAVES = Parameter(name="leaves", kind="integer", low=2, high=9)
KIND = Parameter(name="kind", kind="choice", choices=("a", "b", None))
SPACE = (ALPHA, LEAVES, KIND, Parameter(name="depth", kind="fixed", choices=(3,)))


def keep_going(best):
    return Rule(value=1e9, noise=1e-12, best_possible=None)


def price(seconds):
    return 1000


def study(asked, engine, recorder, earlier=(), **changes):
    return run_study(asked, engine, recorder, earlier=earlier, **({"rule": keep_going, "price": price} | changes))


def settings_of(trials):
    return [(trial.number, dict(trial.settings)) for trial in trials]


class StopsAfter(DirectEngine):
    def __init__(self, results, **options):
        super().__init__(2, **options)
        self.left = results

    def wait(self, timeout_s=None):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super().wait(timeout_s)


def test_the_winner_has_the_lowest_score_and_every_trial_is_recorded():
    recorder = TrialList()
    outcome = study(request(model()), DirectEngine(2), recorder)
    assert outcome.state == "done"
    assert outcome.stop_reason == "all 12 trials are done"
    assert outcome.trials == tuple(recorder.list_trials())
    assert outcome.winner.score == min(trial.score for trial in outcome.trials)
    assert outcome.trials[0].origin == "default"
    assert outcome.frontier["points"][-1]["score"] == outcome.winner.score


@pytest.mark.parametrize("after", [0, 1, 5, 11])
def test_F01_an_interrupted_study_goes_on_with_exactly_the_same_trials(after):
    asked = request(model(trials=14))
    whole = study(asked, DirectEngine(2), TrialList())
    recorder = TrialList()
    stopped = study(asked, StopsAfter(after), recorder)
    assert stopped.state == "interrupted"
    resumed = study(asked, DirectEngine(2), recorder, earlier=recorder.list_trials())
    assert settings_of(resumed.trials) == settings_of(whole.trials)
    assert [trial.score for trial in resumed.trials] == [trial.score for trial in whole.trials]


def test_the_order_in_which_results_come_changes_no_proposal():
    asked = request(model(trials=14), lag=3)
    first = study(asked, DirectEngine(3), TrialList())
    second = study(asked, DirectEngine(3, newest_first=True), TrialList())
    assert settings_of(first.trials) == settings_of(second.trials)


def test_F42_a_lost_worker_costs_its_trial_only_and_the_settings_are_tried_once_more():
    recorder = TrialList()
    outcome = study(request(model()), DirectEngine(2, lose=["trial-3", "trial-4"]), recorder)
    lost = [trial for trial in outcome.trials if trial.state is TrialState.LOST]
    assert [trial.number for trial in lost] == [3, 4]
    for trial in lost:
        again = [other for other in outcome.trials if other.settings == trial.settings and other is not trial]
        assert [other.state for other in again] == [TrialState.DONE]
    assert sum(trial.state is TrialState.DONE for trial in outcome.trials) == 12


def test_F42_settings_that_kill_their_worker_twice_are_left_alone():
    outcome = study(request(model(trials=4)), DirectEngine(1, lose=["trial-1", "trial-2"]), TrialList())
    assert [trial.state for trial in outcome.trials].count(TrialState.LOST) == 2
    assert outcome.winner is not None


def test_failed_trials_are_recorded_with_their_error_and_do_not_stop_the_study():
    outcome = study(request(model("moody")), DirectEngine(2), TrialList())
    failed = [trial for trial in outcome.trials if trial.state is TrialState.FAILED]
    assert failed
    assert all("alpha is too high for me" in trial.error for trial in failed)
    assert outcome.winner.settings["alpha"] <= 1
    assert len(outcome.trials) == 12


@pytest.mark.parametrize(
    ("name", "words"),
    [("nothing", "returned None"), ("no_estimator", "gave no estimator"), ("endless", "no finite number")],
)
def test_a_function_that_never_works_stops_after_five_trials_and_says_why(name, words):
    recorder = TrialList()
    space = (ALPHA,) if name != "endless" else ()
    with pytest.raises(WorkError, match=words):
        study(request(model(name, space=space)), DirectEngine(1), recorder)
    assert len(recorder.trials) == (5 if space else 1)


def test_a_study_stops_when_another_trial_is_not_worth_its_price():
    outcome = study(request(model(trials=40)), DirectEngine(2), TrialList(), rule=lambda best: Rule(value=0.0))
    scored = [trial for trial in outcome.trials if trial.score is not None]
    assert len(scored) == 11  # ten to judge from, and one more after the first refusal
    assert "less than it costs" in outcome.stop_reason
    assert outcome.stop is Stop.WORTH


def test_more_trials_continue_the_same_study():
    recorder = TrialList()
    study(request(model(trials=6)), DirectEngine(2), recorder)
    longer = study(request(model(trials=9)), DirectEngine(2), recorder, earlier=recorder.list_trials())
    assert settings_of(longer.trials) == settings_of(
        study(request(model(trials=9)), DirectEngine(2), TrialList()).trials
    )


def test_the_first_trial_runs_alone_where_memory_is_limited():
    engine = DirectEngine(4)
    seen = []
    asked = request(model(trials=8), memory_limit_bytes=2 << 20, lag=4)
    study(asked, engine, TrialList(), progress=lambda now: seen.append((now.done, now.running)))
    assert max(running for done, running in seen if done == 0) == 1
    assert max(running for _, running in seen) == 2


def test_the_champion_is_tried_first_within_todays_bounds():
    outcome = study(request(model(trials=3), champion={"alpha": 1e9, "gone": 1}), DirectEngine(1), TrialList())
    assert outcome.trials[0].origin == "champion"
    assert outcome.trials[0].settings == {"alpha": 100.0}
    assert outcome.trials[1].origin == "default"


def test_a_model_without_a_search_is_one_trial():
    outcome = study(request(model(space=())), DirectEngine(2), TrialList())
    assert len(outcome.trials) == 1
    assert outcome.stop_reason == "there is nothing to search"
    assert outcome.stop is Stop.SPACE


def test_in_free_order_a_study_looks_at_every_finished_trial_and_goes_on_after_an_interruption():
    asked = request(model(trials=14), lag=None)
    recorder = TrialList()
    stopped = study(asked, StopsAfter(5), recorder)
    assert stopped.state == "interrupted"
    outcome = study(asked, DirectEngine(2), recorder, earlier=recorder.list_trials())
    assert len(outcome.trials) == 14
    assert all(trial.state is TrialState.DONE for trial in outcome.trials)
    ended = [replace(trial, state=TrialState.DONE, score=float(trial.number)) for trial in outcome.trials[:13]]
    running = [*ended[:12], replace(ended[12], state=TrialState.RUNNING, score=None)]
    assert propose(SPACE[:1], 3, 13, running, None) == propose(SPACE[:1], 3, 13, running[::-1], None)
    seen = [replace(ended[11], score=-99.0) if t.number == 11 else t for t in running]
    assert propose(SPACE[:1], 3, 13, seen, None) != propose(SPACE[:1], 3, 13, running, None)


def test_an_error_of_the_coordinator_leaves_an_idle_engine():
    class Full(TrialList):
        def finish_trials(self, trials):
            raise NoSpaceError("ledger.no_space", "the disk is full")

    engine = DirectEngine(2)
    with pytest.raises(NoSpaceError):
        study(request(model()), engine, Full())
    assert engine.waiting == []


def test_the_final_fit_gives_the_same_package_twice():
    definition = model()
    asked = request(definition)
    span = refit_range(definition.split, share(rows(), definition)[1].time)
    first, second = (refit(asked, DirectEngine(1), {"alpha": 2.0}, span) for _ in range(2))
    assert first.package == second.package
    assert first.predictions == second.predictions
    assert first.facts["inputs"][0]["unit"] == "m/s"
    assert first.facts["format"] == "skops"


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 30), st.integers(0, 2**31), st.data())
def test_proposals_are_a_function_of_the_visible_trials_and_lie_in_the_space(number, seed, data):
    lag = data.draw(st.integers(1, 4))
    past = [
        Trial(number=k, settings=propose(SPACE, seed, k, [], 1), state=TrialState.DONE, score=float(k % 5))
        for k in range(number)
    ]
    hidden = [replace(t, score=-99.0) if t.number > number - lag else t for t in past]
    found = propose(SPACE, seed, number, past, lag)
    assert found == propose(SPACE, seed, number, hidden[::-1], lag)
    assert found == fit_to_space(SPACE, found)
    assert type(found["leaves"]) is int
    assert found["depth"] == 3


def test_defaults_are_the_middle_of_each_range():
    assert default_settings(SPACE) == {"alpha": pytest.approx(1.0), "leaves": 6, "kind": "a", "depth": 3}
