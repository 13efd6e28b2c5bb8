"""Environments as branches, and what `why`, `log`, `diff` and `release` say of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import projects
from filiera.core.plan import Action
from filiera.dimensions.apply import apply
from filiera.errors import ConflictError, GateError, NotFoundError, UsageError
from filiera.explain import log_text, why_text
from filiera.workspace import Workspace

OTHER = "max_depth=depth + 1"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that is up to date; `usage@1` stands in dev, and `usage@2` of other code in the branch `explore`."""
    root = projects.make(tmp_path_factory.mktemp("template") / "small")
    with Workspace.open(root) as workspace:
        assert workspace.apply().failure is None
        workspace.new_environment("explore", origin="dev")
        edit(root, "max_depth=depth", OTHER)
        assert workspace.apply("explore").failure is None
        edit(root, OTHER, "max_depth=depth")
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "small"))


def edit(root: Path, old: str, new: str) -> None:
    text = (root / "pipeline.py").read_text()
    assert text.count(old) == 1
    (root / "pipeline.py").write_text(text.replace(old, new))


def test_a_branch_begins_where_another_stands_and_its_work_is_shared(project: Path) -> None:
    with Workspace.open(project) as workspace:
        first = workspace.log("explore")["generations"][-1]
        assert first["cause"] == {"from": "dev", "from_generation": 1}
        told = {row["asset"]: row["labels"] for row in workspace.diff("dev", "explore")["assets"]}
        assert told["usage"] == ["usage@1", "usage@2"]
        assert told["features"] == ["features@1", "features@1"]
        edit(project, "max_depth=depth", OTHER)
        assert not workspace.plan().work, "a colleague's finished work is reused"
        with pytest.raises(ConflictError):
            workspace.new_environment("explore")
        with pytest.raises(NotFoundError):
            workspace.plan("exploer")


def test_the_90th_percentile_of_a_plan_is_not_above_its_worst_case(project: Path) -> None:
    edit(project, "max_depth=depth", "max_depth=depth + 2")
    with Workspace.open(project) as workspace:
        plan = workspace.plan()
        assert [step.asset for step in plan.work] == ["usage"], "the noise of one step is always the same"
        assert plan.seconds_p90 is not None
        assert 0 < plan.seconds_p90 <= plan.worst_seconds
        assert plan.cost_p90 is not None
        assert plan.cost_p90 <= plan.worst_cost


def test_a_deleted_environment_keeps_its_history_and_takes_no_work(project: Path) -> None:
    assert "explore is closed" in projects.filiera("env", "delete", "explore", project=project).stdout
    told = projects.filiera("log", "explore", project=project).stdout
    assert "delete" in told
    assert "to usage@2" in told
    with Workspace.open(project) as workspace:
        for ask in (workspace.apply, workspace.plan, workspace.delete_environment):
            with pytest.raises(NotFoundError):
                ask("explore")
        with pytest.raises(NotFoundError):
            workspace.log("exploer")


def test_a_release_takes_the_version_that_stands_where_it_comes_from(project: Path) -> None:
    with Workspace.open(project) as workspace:
        assert workspace.version("usage").number == 2
        with pytest.raises(GateError) as caught:
            workspace.release("usage@2")
        failed = {check.name: check.evidence for check in caught.value.checks if not check.passed}
        assert "other definitions: usage" in failed["fresh inputs"]
        assert workspace.release("usage")["version"] == "usage@1"


def test_a_model_whose_inputs_came_out_equal_under_new_code_can_be_released(project: Path) -> None:
    edit(project, '.astype("float64")', '.astype("float64") * 1.0')
    with Workspace.open(project) as workspace:
        assert [step.asset for step in workspace.apply().steps] == ["features"], "early cut-off"
        assert workspace.release("usage")["version"] == "usage@1"


def test_why_says_that_an_earlier_result_will_stand_again(project: Path) -> None:
    with Workspace.open(project) as workspace:
        edit(project, "max_depth=depth", OTHER)
        said = why_text(workspace.why("usage"))
        assert said.startswith("usage runs nothing: an earlier result will stand again in dev")
        assert "pipeline.usage changed" in said
        source = why_text(workspace.why("readings"))
        assert "readings@" in source
        assert " s for " not in source, "what a source took is not in its trace"
        report = workspace.apply()
        assert report.restored == ("usage",)
        assert "restored usage" in report.to_text()
        assert workspace.apply().to_text().startswith("nothing to do\n")


def test_a_source_is_not_reproduced(project: Path) -> None:
    done = projects.filiera("reproduce", "readings", project=project, check=False)
    assert done.returncode == 2
    assert "a table or a model" in done.stderr


def test_the_log_tells_the_settings_of_one_run(project: Path) -> None:
    with Workspace.open(project) as workspace:
        workspace.apply(overrides={"usage.depth": 4})
        assert "with usage.depth = 4" in log_text(workspace.log("dev"))
        with pytest.raises(UsageError) as caught:
            workspace.plan(overrides={"usage.depth": "deep"})
        assert caught.value.code == "set.value"


def test_a_study_that_may_continue_is_told_and_goes_on_only_when_a_person_applies(project: Path) -> None:
    edit(project, "max_depth=depth", OTHER)
    edit(project, "trials=3", "trials=5")
    with Workspace.open(project) as workspace:
        plan = workspace.plan()
        assert [step.action for step in plan.steps if step.asset == "usage"] == [Action.RESTORE]
        assert "study   usage may continue: up to 5 trials" in str(plan)
        assert "nothing runs but studies that may continue" in str(plan)
        context, definitions = workspace._context, workspace.definitions()
        report = apply(context, definitions, "dev", studies_go_on=False)
        assert report.steps == ()
        assert report.restored == ("usage",)
        assert [step.asset for step in workspace.apply().steps] == ["usage"]
