"""Workers that are killed while they train, in real processes."""

import time
from pathlib import Path

import pytest
from tests.studies import TrialList, model, request, rows, share

from filiera.core.asset import Code
from filiera.core.trial import TrialState
from filiera.engine.process import ProcessEngine
from filiera.errors import WorkError
from filiera.train.split import refit_range
from filiera.train.study import refit, run_study
from filiera.train.worth import Rule

BUNDLE = str(Path(__file__).parents[1] / "unit" / "train")


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
    assert sum(trial.state is TrialState.DONE for trial in outcome.trials) == 8 - len(lost) / 2
    assert outcome.winner.settings["alpha"] <= 1
    assert [trial.number for trial in recorder.list_trials()] == list(range(len(outcome.trials)))


def test_a_function_that_always_kills_its_process_ends_the_study(engine):
    began, recorder = time.monotonic(), TrialList()
    asked = request(model(code=Code(module="fitting", name="vanishes", digest="", manifest={})), bundle=BUNDLE)
    with pytest.raises(WorkError, match=r"the processes of the first 5 trials died\n") as caught:
        run_study(
            asked, engine, recorder,
            rule=lambda best: Rule(value=1e9, best_possible=None), price=lambda seconds: 1,
        )  # fmt: skip
    assert "its process died (" in str(caught.value)
    assert {trial.state for trial in recorder.list_trials()} == {TrialState.LOST}
    assert len(recorder.trials) in (5, 6)  # the sixth may run when the fifth ends
    assert time.monotonic() - began < 60


def test_the_final_fit_in_two_processes_gives_one_package(engine):
    definition = model()
    asked = request(definition)
    span = refit_range(definition.split, share(rows(), definition)[1].time)
    first = refit(asked, engine, {"alpha": 2.0}, span)
    with ProcessEngine(1, preload=()) as other:
        assert refit(asked, other, {"alpha": 2.0}, span).package == first.package
