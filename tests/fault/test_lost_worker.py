"""Workers that are killed while they train, in real processes."""

import pytest
from tests.studies import TrialList, model, request, rows, share

from filiera.core.trial import TrialState
from filiera.engine.process import ProcessEngine
from filiera.train.split import refit_range
from filiera.train.study import refit, run_study
from filiera.train.worth import Rule


@pytest.fixture(scope="module")
def engine():
    with ProcessEngine(2, preload=("numpy", "sklearn.linear_model")) as running:
        yield running


def test_F42_a_trial_that_kills_its_process_is_tried_once_more_and_the_others_go_on(engine):
    recorder = TrialList()
    outcome = run_study(
        request(model("dies", trials=8)), engine, recorder,
        rule=lambda best: Rule(value=1e9, best_possible=None), price=lambda seconds: 1,
    )  # fmt: skip
    lost = [trial for trial in outcome.trials if trial.state is TrialState.LOST]
    assert lost
    for trial in lost:
        assert trial.settings["alpha"] > 1
        assert sum(other.settings == trial.settings for other in lost) == 2
    assert sum(trial.state is TrialState.DONE for trial in outcome.trials) == 8
    assert outcome.winner.settings["alpha"] <= 1
    assert [trial.number for trial in recorder.list_trials()] == list(range(len(outcome.trials)))


def test_the_final_fit_in_two_processes_gives_one_package(engine):
    definition = model()
    asked = request(definition)
    span = refit_range(definition.split, share(rows(), definition)[1].time)
    first = refit(asked, engine, {"alpha": 2.0}, span)
    with ProcessEngine(1, preload=()) as other:
        assert refit(asked, other, {"alpha": 2.0}, span).package == first.package
