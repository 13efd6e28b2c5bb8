"""What changed and what follows: plan and apply on a project whose data, code and settings are edited."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import projects
from filiera.clock import SystemClock
from filiera.core.plan import Action, Dimension, Plan
from filiera.dimensions import stamp
from filiera.errors import GateError, NotFoundError, WorkError
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


def plan(root: Path) -> Plan:
    with Workspace.open(root) as workspace:
        return workspace.plan()


def actions(found: Plan) -> dict[str, Action]:
    return {step.asset: step.action for step in found.steps}


def edit(root: Path, old: str, new: str, name: str = "pipeline.py") -> None:
    text = (root / name).read_text()
    assert text.count(old) == 1
    (root / name).write_text(text.replace(old, new))


NOTHING = {"readings": Action.REUSE, "features": Action.REUSE, "usage": Action.REUSE}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("pipeline.py", "import pandas as pd\n", "import pandas as pd  # frames\n"),
        ("pipeline.py", "trials=3", "trials=2"),
        ("pipeline.py", 'partition="day"', 'partition="month"'),
        ("filiera.toml", 'owner = "tests"', 'owner = "others"'),
        ("filiera.toml", 'purposes = ["testing"]', 'purposes = ["testing"]\nbudget = "5 EUR per month"'),
    ],
)
def test_an_edit_that_changes_no_result_leaves_nothing_to_do(project: Path, name: str, old: str, new: str) -> None:
    edit(project, old, new, name)
    assert actions(plan(project)) == NOTHING


@pytest.mark.parametrize(
    ("old", "new", "dimension", "says", "first"),
    [
        ("dt.hour.astype", "dt.dayofweek.astype", Dimension.CODE, "pipeline.features changed", "features"),
        ('lookback="1h"', 'lookback="2d"', Dimension.MODEL, "lookback_us", "features"),
        ("max_depth=depth", "max_depth=depth + 1", Dimension.CODE, "pipeline.usage changed", "usage"),
        ("between(3, 9)", "between(3, 8)", Dimension.MODEL, "search space: depth 3 to 9 -> 3 to 8", "usage"),
        ('test="7d"', 'test="6d"', Dimension.MODEL, "test", "usage"),
    ],
)
def test_an_edit_is_told_by_dimension_and_runs_what_follows(
    project: Path, old: str, new: str, dimension: Dimension, says: str, first: str
) -> None:
    edit(project, old, new)
    found = plan(project)
    step = next(step for step in found.steps if step.asset == first)
    assert step.action is Action.RUN
    assert [(reason.dimension, says in reason.text) for reason in step.reasons] == [(dimension, True)]
    after = {"features": Action.MAYBE, "usage": Action.REUSE}[first]
    assert actions(found)["usage"] is (after if first == "features" else Action.RUN)


def test_a_table_that_comes_out_equal_stops_the_work_there_and_a_revert_runs_nothing(project: Path) -> None:
    edit(project, 'readings["at"].dt.hour.astype', 'readings["at"].dt.hour.abs().astype')
    with Workspace.open(project) as workspace:
        report = workspace.apply()
        assert [(step.asset, step.outcome) for step in report.steps] == [("features", "done")]
        edit(project, ".abs()", "")
        assert workspace.plan().work == ()
        assert [step.outcome for step in workspace.apply().steps] == []


def test_new_days_compute_new_days_only_and_equal_a_computation_from_nothing(project: Path, tmp_path: Path) -> None:
    (project / "data" / "later.csv").write_text(projects.rows(42, 3))
    with Workspace.open(project) as workspace:
        workspace.apply()
        (features,) = (s for s in workspace.status()["tables"] if s["name"] == "features")
        assert workspace.snapshot("features").parent is not None, "days were added to the snapshot before"
        assert features["rows"] == (42 + 3) * 48 - (42 + 3)
        grown = workspace.snapshot("features").semantic
        edit(project, ".assign(hour=", ".assign(hour=0.0 + ")
        workspace.apply()
        assert workspace.snapshot("features").semantic == grown


def test_another_layout_of_the_same_rows_is_a_duplicate_and_nothing_follows(project: Path) -> None:
    lines = (project / "data" / "part0.csv").read_text().splitlines()
    (project / "data" / "again.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    with Workspace.open(project) as workspace:
        report = workspace.apply()
        assert [step.asset for step in report.steps] == ["readings"]
        counts = workspace.status()["sources"][0]
    assert counts["duplicates"] == counts["rows_read"] - counts["accepted"] - counts["quarantined"] > 0
    assert actions(plan(project)) == NOTHING


def test_a_colleagues_environment_finds_work_that_was_done_already(project: Path) -> None:
    with Workspace.open(project) as workspace, pytest.raises(NotFoundError, match="no environment explore"):
        workspace.apply("explore")
    with (project / "filiera.toml").open("a") as file:
        file.write("\n[environment.explore]\n")
    with Workspace.open(project) as workspace:
        report = workspace.apply("explore")
        assert report.steps == ()
        assert workspace.head("explore").assets == workspace.head("dev").assets  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "body",
    [
        'readings.assign(hour=readings["load"].cumsum())',
        'readings.assign(hour=readings["load"] - readings["load"].mean())',
        'readings.assign(hour=readings["load"].shift(-60).fillna(0.0))',
        'readings.assign(hour=readings["load"].rolling(200, min_periods=1).sum())',
    ],
)
def test_a_table_whose_parts_differ_from_the_whole_is_refused(project: Path, body: str) -> None:
    edit(project, 'readings.assign(hour=readings["at"].dt.hour.astype("float64"))', body)
    with Workspace.open(project) as workspace:
        failure = workspace.apply().failure
    assert isinstance(failure, WorkError)
    assert failure.code == "table.parts_differ"
    assert "lookback" in failure.next


def test_a_column_that_becomes_a_float_in_new_days_computes_the_table_again(project: Path) -> None:
    edit(project, '.astype("float64")', '.astype("int64") if readings["at"].max().month < 3 else 0.5')
    with Workspace.open(project) as workspace:
        assert workspace.apply().failure is None
        kinds = {c["name"]: c["type"] for c in workspace.snapshot("features").schema}
        assert kinds["hour"] == "integer"
        (project / "data" / "later.csv").write_text(projects.rows(56, 3))
        report = workspace.apply()
        assert report.failure is None
        kinds = {c["name"]: c["type"] for c in workspace.snapshot("features").schema}
    assert kinds["hour"] == "float"


def test_a_table_without_partition_is_computed_whole_and_may_have_a_key_of_its_own(project: Path) -> None:
    text = """

@fl.table
def plain(readings: pd.DataFrame) -> pd.DataFrame:
    return readings


@fl.table(key=["device"])
def sums(plain: pd.DataFrame) -> pd.DataFrame:
    return plain.groupby("device", observed=True)[["load"]].sum().reset_index()
"""
    (project / "pipeline.py").write_text(projects.PIPELINE + text)
    with Workspace.open(project) as workspace:
        assert workspace.apply().failure is None
        assert workspace.query("plain").num_rows == workspace.query("readings").num_rows
        assert workspace.query("sums").column("device").to_pylist() == ["a", "b"]


def test_a_part_that_fails_stops_its_table_and_nothing_else(project: Path) -> None:
    body = 'readings if readings["at"].min().month > 1 else 1 / 0'
    text = f"""

@fl.table(partition="month")
def aaa(readings: pd.DataFrame) -> pd.DataFrame:
    import time
    time.sleep(0.2)
    return {body}


@fl.table(partition="month")
def bbb(readings: pd.DataFrame) -> pd.DataFrame:
    return readings
"""
    (project / "pipeline.py").write_text(projects.PIPELINE + text)
    with Workspace.open(project) as workspace:
        report = workspace.apply()
        assert {step.asset: step.outcome for step in report.steps} == {"aaa": "failed", "bbb": "done"}
        assert "division by zero" in report.to_text()


def test_rows_without_time_are_folded_scored_out_of_fold_and_judged_on_new_keys(project: Path) -> None:
    text = """

@fl.table(key=["hour", "device"])
def hours(readings: pd.DataFrame) -> pd.DataFrame:
    rows = readings.assign(hour=(readings["at"].dt.dayofyear * 24 + readings["at"].dt.hour).astype("float64"))
    return rows.groupby(["hour", "device"], observed=True)[["load", "temp_c"]].mean().reset_index()


@fl.model(predicts="load", inputs=["temp_c"], trials=2, split=fl.folds(4))
def level(hours, *, depth=fl.between(2, 6)):
    return DecisionTreeRegressor(max_depth=depth)


@fl.table(key=["hour", "device"])
def scored(level: fl.Model, hours: pd.DataFrame) -> pd.DataFrame:
    return hours.assign(said=level.predict(hours))
"""
    (project / "pipeline.py").write_text(projects.PIPELINE + text)
    with Workspace.open(project) as workspace:
        assert workspace.apply().failure is None
        assert workspace.query("scored", where=["said is null"]).num_rows == 0
        workspace.release("level")
        (project / "data" / "later.csv").write_text(projects.rows(42, 10))
        workspace.apply()
        with pytest.raises(GateError, match="level@2 is not released") as caught:
            workspace.release("level")
    (failed,) = [check for check in caught.value.checks if not check.passed]
    assert failed.evidence.startswith("kept: gain")
    assert "rows with new keys" in failed.evidence


def test_a_plan_says_which_column_a_model_will_miss(project: Path) -> None:
    edit(project, 'inputs=["temp_c", "hour"]', 'inputs=["temp_c", "hours"]')
    found = plan(project)
    assert found.warnings == ("usage cannot be trained: features has no column hours; did you mean hour?",)
    assert "inputs temp_c, hour -> temp_c, hours" in str(found)


def test_new_files_and_new_libraries_make_a_remembered_plan_look_again(project: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    shutil.copytree(project / "data", outside)
    edit(project, 'from = "data/*.csv"', f'from = "{outside}/*.csv"', "filiera.toml")
    with Workspace.open(project) as workspace:
        workspace.apply()
    for path in (*project.iterdir(), *outside.iterdir()):
        os.utime(path, ns=(0, 0))  # what was changed two seconds ago is never trusted
    with Workspace.open(project) as workspace:
        workspace.plan_answer()
    now_us = SystemClock().now_us()
    assert stamp.recall(project, "dev", now_us) is not None
    (outside / "new.csv").write_text(projects.rows(50, 1))
    assert stamp.recall(project, "dev", now_us) is None
    (outside / "new.csv").unlink()
    assert stamp.recall(project, "dev", now_us) is not None


def test_a_plan_says_that_rows_stand_under_an_earlier_contract(project: Path) -> None:
    edit(project, "range = [0, 100]", "range = [0, 90]", "filiera.toml")
    found = plan(project)
    assert actions(found) == NOTHING
    assert found.warnings == ("readings: 3 files were read under an earlier contract; the rows stay as they are",)
