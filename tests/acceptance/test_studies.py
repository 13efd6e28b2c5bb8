"""Studies as a user meets them: what they are worth, what they spend, how they fail, stop and go on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import projects
from filiera.core.model import ModelVersion
from filiera.core.plan import Action
from filiera.core.trace import Trace
from filiera.core.trial import Trial, TrialState
from filiera.dimensions.facts import LedgerFacts
from filiera.dimensions.plan import consider, known_inputs
from filiera.dimensions.study_limits import check_worth, continuation
from filiera.dimensions.training import train_model
from filiera.errors import UsageError, WorkError
from filiera.ledger import studies
from filiera.workspace import Workspace

FITS = "return DecisionTreeRegressor(max_depth=depth)"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose table is computed, and whose model is not trained yet."""
    root = projects.make(tmp_path_factory.mktemp("template") / "small")
    whole = (root / "pipeline.py").read_text()
    (root / "pipeline.py").write_text(whole.partition("@fl.model")[0])
    with Workspace.open(root) as workspace:
        assert workspace.apply().failure is None
    (root / "pipeline.py").write_text(whole)
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "small"))


def edit(root: Path, old: str, new: str) -> None:
    text = (root / "pipeline.py").read_text()
    assert text.count(old) == 1
    (root / "pipeline.py").write_text(text.replace(old, new))


def fits_by(root: Path, *lines: str) -> None:
    """Make the model an estimator of the project's own, whose `fit` is these lines; it is asked for its type only."""
    body = "".join(f"        {line}\n" for line in lines)
    own = f"class Own:\n    def fit(self, x, y):\n{body}\n    def predict(self, x):\n        return x[:, 0]\n\n\n"
    edit(root, "@fl.model", own + "@fl.model")
    edit(root, FITS, "return Own()")


def rules(root: Path, *lines: str) -> None:
    with (root / "filiera.toml").open("a") as file:
        file.write("\n[model.usage]\n" + "\n".join(lines) + "\n")


def trials_of(workspace: Workspace) -> list[Trial]:
    with workspace.ledger.reading() as connection:
        return [t for s in studies.list_studies(connection, "usage") for t in studies.list_trials(connection, s.id)]


def report_of(workspace: Workspace) -> dict[str, Any]:
    with workspace.ledger.reading() as connection:
        return studies.get_report(connection, studies.list_studies(connection, "usage")[0].id)


def spent_on_usage(workspace: Workspace) -> int:
    with workspace.ledger.reading() as connection:
        query = sa.text("SELECT coalesce(sum(cost_nano), 0) FROM spend WHERE asset = 'usage'")
        return int(connection.execute(query).scalar_one())


def trials_cost(workspace: Workspace) -> int:
    return sum(trial.cost_nano for trial in trials_of(workspace))


# ---- failure


def test_a_study_that_fails_is_in_the_spend_and_the_next_apply_tries_again(project: Path) -> None:
    fits_by(project, 'raise RuntimeError("no license")')
    with Workspace.open(project) as workspace:
        for attempt in (1, 2):
            failure = workspace.apply(trials=20).failure
            assert isinstance(failure, WorkError)
            assert "the first 5 trials failed with the same error" in failure.message
            assert "no license" in failure.found
            found = trials_of(workspace)
            assert {trial.state for trial in found} == {TrialState.FAILED}
            assert 5 * attempt <= len(found) <= 6 * attempt  # the sixth may run when the fifth ends
            assert 0 < trials_cost(workspace) == spent_on_usage(workspace)
        assert "the first 5 trials failed" in workspace.study("usage")["stop"]


def test_a_study_whose_processes_all_die_ends_and_says_so(project: Path) -> None:
    fits_by(project, "import os", "os._exit(1)")
    with Workspace.open(project) as workspace:
        failure = workspace.apply(trials=100).failure
        assert isinstance(failure, WorkError)
        assert "the processes of the first 5 trials died" in failure.message
        assert 5 <= len(trials_of(workspace)) <= 7
        assert 0 < trials_cost(workspace) == spent_on_usage(workspace)


# ---- interruption


class Impatient:
    """Presses Ctrl-C while trials run."""

    def start(self, name: str, total: float | None, text: str) -> None:
        self.updates = 0

    def update(self, name: str, done: float, text: str) -> None:
        self.updates += name == "usage"
        if self.updates == 4:
            raise KeyboardInterrupt

    def end(self, name: str, text: str) -> None:
        pass


def test_an_interrupted_study_is_in_the_spend_and_ends_like_an_undisturbed_one(project: Path, tmp_path: Path) -> None:
    edit(project, FITS, f"import time; time.sleep(0.3)\n    {FITS}")
    calm = Path(shutil.copytree(project, tmp_path / "calm"))
    with Workspace.open(calm) as workspace:
        assert workspace.apply(trials=6).failure is None
        expected = [(trial.number, dict(trial.settings), trial.score) for trial in trials_of(workspace)]
        digest = workspace.models()[0].digest
    with Workspace.open(project) as workspace:
        with pytest.raises(KeyboardInterrupt):
            workspace.apply(trials=6, progress=Impatient())
        left = [trial for trial in trials_of(workspace) if trial.state is TrialState.RUNNING]
        assert left
        assert all(trial.seconds > 0 and trial.cost_nano > 0 for trial in left)
        assert 0 < trials_cost(workspace) == spent_on_usage(workspace)
        assert workspace.apply(trials=6).failure is None
        found = [(trial.number, dict(trial.settings), trial.score) for trial in trials_of(workspace)]
        assert found == expected
        assert workspace.models()[0].digest == digest
        final = report_of(workspace)["finals_nano"]
        assert spent_on_usage(workspace) == trials_cost(workspace) + final
        for trial in left:
            assert trials_of(workspace)[trial.number].cost_nano > trial.cost_nano


# ---- worth


def test_a_worth_per_megawatt_is_a_thousandth_per_kilowatt(project: Path) -> None:
    rules(project, 'worth = "20 EUR per MW per month"')
    with Workspace.open(project) as workspace:
        assert workspace.apply().failure is None
        report = report_of(workspace)
    assert report["value_per_unit"] == pytest.approx(0.02)
    assert report["worth"] == "20 EUR per MW per month"


def test_a_worth_per_something_else_is_refused_before_any_training(project: Path) -> None:
    rules(project, 'worth = "20 EUR per MWh"')
    with Workspace.open(project) as workspace:
        with pytest.raises(UsageError, match="the worth is per MWh, and the target load is in kW"):
            workspace.plan()
        graph = workspace.definitions().graph
        with pytest.raises(UsageError, match="the worth is per MWh, and the target load is in kW"):
            check_worth(workspace._context, graph, graph.models[0], None)
        failure = workspace.apply().failure
        assert isinstance(failure, UsageError)
        assert failure.code == "worth.unit"
        assert trials_of(workspace) == []


# ---- budget


SLOW = f"import time; time.sleep(1.5 if depth >= 8 else 0)\n    {FITS}"


def test_a_budget_holds_trials_and_the_final_fit_although_some_trials_are_slow(project: Path) -> None:
    edit(project, FITS, SLOW)
    rules(project, 'budget = "0.03 EUR"', "trials = 60")
    with Workspace.open(project) as workspace:
        failure = workspace.apply().failure
        assert failure is None, str(failure)
        spent, report = spent_on_usage(workspace), report_of(workspace)
        assert spent <= 30_000_000
        assert report["ended"] == "budget"
        assert spent == trials_cost(workspace) + report["finals_nano"]
        capped = [trial for trial in trials_of(workspace) if trial.state is TrialState.CAPPED]
        assert [item["number"] for item in report["capped"]] == [trial.number for trial in capped]


def test_what_the_month_has_left_bounds_a_study_and_counts_failed_ones(project: Path) -> None:
    text = (project / "filiera.toml").read_text()
    month = 'purposes = ["testing"]\nbudget = "{} EUR per month"'
    (project / "filiera.toml").write_text(text.replace('purposes = ["testing"]', month.format("0.05")))
    fits_by(project, "import time", "time.sleep(0.5)", 'raise RuntimeError("no license")')
    with Workspace.open(project) as workspace:
        for _ in range(4):
            assert workspace.apply(trials=60).failure is not None
        assert spent_on_usage(workspace) > 0
        assert workspace.spend().amount <= 0.05
        assert "budget" in str(workspace.apply(trials=60).failure)


# ---- going on


def go_on(workspace: Workspace, limit: int) -> tuple[Trace, str]:
    """What apply does with a study that may continue."""
    context, definitions = workspace._context, workspace.definitions()
    facts = LedgerFacts(context, "dev")
    for asset in definitions.graph.ordered():
        (step,) = consider([asset], definitions.graph, facts, {})
    (model,) = definitions.graph.models
    assert step.key is not None
    return train_model(context, definitions, facts, model, step.key, known_inputs(model, facts), "run_more", limit)


def more(workspace: Workspace, limit: int) -> str:
    context, graph = workspace._context, workspace.definitions().graph
    with workspace.ledger.reading() as connection:
        key = studies.list_studies(connection, "usage")[0].key
    return continuation(context, graph.models[0], key, limit, check_worth(context, graph, graph.models[0], None))


def test_more_trials_continue_a_study_that_ended_and_only_another_winner_is_a_new_version(project: Path) -> None:
    with Workspace.open(project) as workspace:
        assert workspace.apply(trials=3).failure is None
        before, (first,) = trials_of(workspace), workspace.models()
        assert more(workspace, 3) == ""
        assert more(workspace, 12) == "up to 12 trials (3 done)"
        for limit in (4, 8, 12):
            spent, versions = spent_on_usage(workspace), workspace.models()
            trace, text = go_on(workspace, limit)
            found = trials_of(workspace)
            assert found[: len(before)] == before
            assert len(found) == limit
            winner = min(found, key=lambda trial: (trial.score, trial.number))
            stays = dict(winner.settings) == dict(versions[0].settings)
            assert ("stays" in text) is stays
            assert len(workspace.models()) == len(versions) + (not stays)
            newest = workspace.models()[0]
            assert trace.output == newest.id
            assert dict(newest.settings) == dict(winner.settings)
            assert spent_on_usage(workspace) > spent
            assert report_of(workspace)["used"] == report_of(workspace)["limit"] == limit
            before = found
        assert len(workspace.models()) > 1, "the twelve trials had no better one: choose another space for this test"
        assert_same_but_number(workspace, first)
        assert more(workspace, 12) == ""


def assert_same_but_number(workspace: Workspace, first: ModelVersion) -> None:
    """The version that came first is as it was."""
    assert next(version for version in workspace.models() if version.number == 1) == first


def test_going_on_without_reason_runs_no_trial(project: Path) -> None:
    with Workspace.open(project) as workspace:
        assert workspace.apply(trials=3).failure is None
        trials, spent = trials_of(workspace), spent_on_usage(workspace)
        trace, text = go_on(workspace, 3)
        assert "usage@1 stays" in text
        assert trials_of(workspace) == trials
        assert spent_on_usage(workspace) == spent
        assert trace.output == workspace.models()[0].id


@pytest.mark.parametrize("way", ["filiera.toml", "flag", "pipeline.py"])
def test_raising_the_trials_continues_a_study(project: Path, way: str) -> None:
    with Workspace.open(project) as workspace:
        assert workspace.apply().failure is None
        assert not workspace.plan().work
    if way == "filiera.toml":
        with (project / "filiera.toml").open("a") as file:
            file.write("\n[model.usage]\ntrials = 12\n")
    elif way == "pipeline.py":
        text = (project / "pipeline.py").read_text()
        (project / "pipeline.py").write_text(text.replace("trials=3", "trials=12"))
    with Workspace.open(project) as workspace:
        if way != "flag":
            plan = workspace.plan()
            assert not plan.work
            assert "may continue: up to 12 trials (3 done)" in str(plan)
            assert [step.action for step in plan.steps if step.asset == "usage"] == [Action.REUSE]
        before = workspace.spend().nano
        report = workspace.apply(trials=12 if way == "flag" else None)
        assert report.failure is None
        assert len(workspace.study("usage")["trials"]) == 12
        assert report.cost.nano == workspace.spend().nano - before
        assert "may continue" not in str(workspace.plan())
        generation = workspace.apply().generation
        assert workspace.apply().generation == generation
        assert len(workspace.study("usage")["trials"]) == 12


def test_free_order_is_no_part_of_the_study_and_runs(project: Path) -> None:
    with Workspace.open(project) as workspace:
        assert workspace.apply().failure is None
    text = (project / "pipeline.py").read_text()
    (project / "pipeline.py").write_text(text.replace("trials=3", 'trials=8, order="free"'))
    with Workspace.open(project) as workspace:
        assert not workspace.plan().work
        assert workspace.apply().failure is None
        assert len(workspace.study("usage")["trials"]) == 8
