"""What a plan promises: earlier results stand again, thresholds hold, settings of one run, and stale plans."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import projects
from filiera.core.plan import Action, Plan
from filiera.errors import ConflictError, FilieraError, NotFoundError, UsageError
from filiera.workspace import Workspace


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that is up to date."""
    root = projects.make(tmp_path_factory.mktemp("template") / "small")
    with Workspace.open(root) as workspace:
        assert workspace.apply().failure is None
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "small"))


def actions(found: Plan) -> dict[str, Action]:
    return {step.asset: step.action for step in found.steps}


def edit(root: Path, old: str, new: str, name: str = "pipeline.py") -> None:
    text = (root / name).read_text()
    assert text.count(old) == 1
    (root / name).write_text(text.replace(old, new))


def test_a_reverted_edit_restores_what_was_made_and_runs_nothing(project: Path) -> None:
    with Workspace.open(project) as workspace:
        before = workspace.head("dev")
        edit(project, "dt.hour.astype", "dt.dayofweek.astype")
        workspace.apply()
        edit(project, "dt.dayofweek.astype", "dt.hour.astype")
        found = workspace.plan()
        assert actions(found) == {"readings": Action.REUSE, "features": Action.RESTORE, "usage": Action.RESTORE}
        assert not found.work
        assert not found.up_to_date
        assert "restore features, usage" in str(found)
        report = workspace.apply()
        assert report.steps == ()
        after = workspace.head("dev")
        assert before is not None
        assert after is not None
        assert after.assets == before.assets
        assert workspace.plan().up_to_date
    checked = projects.filiera("plan", "--check", project=project)
    assert checked.stdout.startswith("nothing to do")


def test_new_rows_below_its_threshold_hold_a_model_and_code_does_not(project: Path) -> None:
    (project / "filiera.toml").write_text(projects.SETTINGS + '\n[model.usage]\nhold_until = "5 %"\n')
    (project / "data" / "part3.csv").write_text(projects.rows(42, 1))
    with Workspace.open(project) as workspace:
        workspace.apply()
        found = workspace.plan()
        step = next(step for step in found.steps if step.asset == "usage")
        assert step.action is Action.HOLD
        assert step.reasons[0].text.startswith("stale, held until 5 % of its rows are new or changed, 2.3 % now")
        assert [version.number for version in workspace.models("usage")] == [1]
        head = workspace.head("dev")
        assert head is not None
        assert "usage" in head.assets  # what stands goes on standing
        edit(project, "max_depth=depth", "max_depth=depth + 1")
        assert actions(workspace.plan())["usage"] is Action.RUN
        edit(project, "max_depth=depth + 1", "max_depth=depth")
        (project / "data" / "part4.csv").write_text(projects.rows(43, 2))
        workspace.apply()
        assert [version.number for version in workspace.models("usage")] == [2, 1]


@pytest.mark.parametrize("text", ['"2"', '"-1%"', '"101 %"', "2"])
def test_a_threshold_that_is_no_percentage_is_refused_with_its_line(project: Path, text: str) -> None:
    (project / "filiera.toml").write_text(projects.SETTINGS + f"\n[table.features]\nhold_until = {text}\n")
    done = projects.filiera("plan", project=project, check=False)
    assert done.returncode == 2
    assert "filiera.toml:19" in done.stderr
    assert "hold_until" in done.stderr


def test_settings_of_one_run_are_used_recorded_and_gone_the_next_time(project: Path) -> None:
    done = projects.filiera("plan", "--set", "usage.depth=4", project=project)
    assert "search space: depth 3 to 9 -> 4" in done.stdout
    projects.filiera("apply", "--set", "usage.depth=4", project=project)
    with Workspace.open(project) as workspace:
        assert dict(workspace.version("usage").settings) == {"depth": 4}
        head = workspace.head("dev")
        assert head is not None
        assert head.cause["set"] == {"usage.depth": 4}
        entry = next(entry for entry in workspace.audit_entries(20) if entry["action"] == "environment.apply")
        assert json.loads(entry["details"])["set"] == {"usage.depth": 4}
        assert workspace.plan(overrides={"usage.depth": 4}).up_to_date
        assert actions(workspace.plan())["usage"] is Action.RESTORE


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("depth=4", "set.form", "ASSET.SETTING=VALUE"),
        ("usage.dept=4", "set.setting", "depth"),
        ("usge.depth=4", "set.asset", "usage"),
    ],
)
def test_a_setting_that_is_none_is_refused_with_the_nearest(project: Path, text: str, code: str, says: str) -> None:
    done = projects.filiera("apply", "--set", text, project=project, check=False)
    assert done.returncode == 2
    assert says in done.stderr
    from filiera.dimensions.overrides import parse_overrides

    with Workspace.open(project) as workspace, pytest.raises(UsageError) as caught:
        workspace.plan(overrides=parse_overrides([text]))
    assert caught.value.code == code


def test_a_plan_that_still_holds_is_done_and_a_stale_one_is_refused_with_the_difference(project: Path) -> None:
    edit(project, "max_depth=depth", "max_depth=depth + 1")
    with Workspace.open(project) as workspace:
        shown = workspace.plan_answer()["plan"]
        edit(project, "dt.hour.astype", "dt.dayofweek.astype")
        with pytest.raises(ConflictError) as caught:
            workspace.apply(plan=shown["key"])
        assert caught.value.code == "plan.stale"
        assert "features was to reuse, now run because pipeline.features changed" in str(caught.value)
        assert workspace.models("usage")[0].number == 1
        edit(project, "dt.dayofweek.astype", "dt.hour.astype")
        report = workspace.apply(plan=shown["key"].removeprefix("sha256:")[:8])
        assert [step.asset for step in report.steps] == ["usage"]


def test_a_plan_goes_stale_with_a_file_that_keeps_its_size(project: Path) -> None:
    (project / "data" / "part3.csv").write_text(projects.rows(42, 1))
    with Workspace.open(project) as workspace:
        shown = workspace.plan_answer()["plan"]["key"]
        (project / "data" / "part3.csv").write_text(projects.rows(42, 1).replace("b,2024", "a,2024"))
        with pytest.raises(ConflictError):
            workspace.apply(plan=shown)


@pytest.mark.parametrize("key", ["12345", "ffffffff", "../../x"])
def test_a_plan_that_was_never_shown_is_not_done(project: Path, key: str) -> None:
    with Workspace.open(project) as workspace, pytest.raises(FilieraError) as caught:
        workspace.apply(plan=key)
    assert isinstance(caught.value, NotFoundError)


def test_forecasts_are_kept_beside_what_the_steps_took(project: Path) -> None:
    assert "no forecast to judge yet (2 guesses" in projects.filiera("plan", "--calibration", project=project).stdout
    for depth in (4, 5, 6):
        projects.filiera("apply", "--set", f"usage.depth={depth}", project=project)
    report = json.loads(projects.filiera("plan", "--calibration", "--json", project=project).stdout)
    assert report["schema"] == "filiera.calibration/1"
    assert (report["forecasts"], report["guesses"]) == (1, 4)
    assert report["operations"]["train"]["inside"] in (0.0, 1.0)
    assert "inside band" in projects.filiera("plan", "--calibration", project=project).stdout
