"""Readers of some columns, and other layouts of the same rows: what no reader can see runs nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

import projects
from filiera.core.plan import Plan
from filiera.errors import CodeError, NotFoundError
from filiera.workspace import Workspace

TABLE = '@fl.table(partition="day", lookback="1h")'
PLAIN = """
@fl.table
def whole(readings: pd.DataFrame) -> pd.DataFrame:
    return readings


@fl.table(columns=["load"])
def loads(readings: pd.DataFrame) -> pd.DataFrame:
    return readings.assign(columns=",".join(readings.columns))
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that is up to date; a later value of a key replaces the earlier one, and a changed file its rows."""
    root = projects.make(tmp_path_factory.mktemp("template") / "small", days=14, files=2)
    settings = (root / "filiera.toml").read_text()
    settings = settings.replace('time = "at"\n', 'time = "at"\non_conflict = "newest"\nfiles = "replace"\n')
    (root / "filiera.toml").write_text(settings)
    tables = projects.PIPELINE[: projects.PIPELINE.index("@fl.model")].replace(
        TABLE, '@fl.table(partition="day", lookback="1h", columns=["load"])'
    )
    (root / "pipeline.py").write_text(tables + PLAIN)
    with Workspace.open(root) as workspace:
        report = workspace.apply()
        assert report.failure is None, report.to_text()
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "small"))


def planned(root: Path) -> Plan:
    with Workspace.open(root) as workspace:
        return workspace.plan()


def applied(root: Path) -> list[str]:
    """Bring it up to date; gives the tables that ran."""
    with Workspace.open(root) as workspace:
        report = workspace.apply()
        assert report.failure is None, report.to_text()
        assert report.refused == ()
    return sorted(step.asset for step in report.steps if step.operation != "ingest")


def change(root: Path, column: int, file: str = "part0.csv", *, day: str = "2024-01-03") -> None:
    """Another value in one column of one row."""
    path = root / "data" / file
    lines = path.read_text().splitlines()
    row = next(i for i, line in enumerate(lines) if line.startswith(f"a,{day}T10"))
    cells = lines[row].split(",")
    cells[column] = "33"
    lines[row] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n")


LOAD, TEMP = 2, 3


def test_a_function_gets_key_time_and_the_columns_that_it_declares(project: Path) -> None:
    with Workspace.open(project) as workspace:
        assert set(workspace.query("loads").column("columns").to_pylist()) == {"device,at,load"}
        assert workspace.query("features").column_names == ["device", "at", "load", "hour"]


def test_a_change_in_another_column_runs_only_who_reads_it(project: Path) -> None:
    change(project, TEMP)
    with Workspace.open(project) as workspace:
        before = workspace.snapshot("readings").semantic
    assert applied(project) == ["whole"]
    with Workspace.open(project) as workspace:
        assert workspace.snapshot("readings").semantic != before, "the source did change"
    assert planned(project).work == ()


def test_a_change_in_a_declared_column_runs_its_readers_on_its_day(project: Path) -> None:
    change(project, LOAD)
    with Workspace.open(project) as workspace:
        workspace.apply()
        (run,) = [step for step in workspace.log()["generations"] if "features@2" in step["moved"]]
        assert {"features@2", "loads@2", "whole@2"} <= set(run["moved"])
        changed = workspace.query("features", where=["load = 33"])
    assert changed.num_rows == 1


def test_a_day_is_computed_again_for_the_columns_that_are_read_only(project: Path) -> None:
    change(project, TEMP, day="2024-01-03")
    change(project, LOAD, "part1.csv", day="2024-01-10")
    with Workspace.open(project) as workspace:
        before = workspace.snapshot("features")
        workspace.apply()
        after = workspace.snapshot("features")
        old, new = (workspace.lake.leaves(snapshot).by_day() for snapshot in (before, after))
    assert [day for day in new if new[day] != old.get(day)] == [19732], "10 January 2024"


def test_another_list_of_columns_is_another_definition(project: Path) -> None:
    text = (project / "pipeline.py").read_text()
    (project / "pipeline.py").write_text(text.replace('(columns=["load"])', '(columns=["load", "temp_c"])'))
    (step,) = planned(project).work
    assert step.asset == "loads"
    told = "columns readings.load -> readings.load, readings.temp_c"
    assert told in [reason.text for reason in step.reasons]


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ('columns=["loads"]', "did you mean load?"),
        ('columns={"reading": ["load"]}', "did you mean readings?"),
        ('columns="load"', "names columns"),
        ("columns=[]", "names columns"),
    ],
)
def test_columns_that_are_not_there_are_refused_with_the_nearest(project: Path, written: str, says: str) -> None:
    text = (project / "pipeline.py").read_text()
    (project / "pipeline.py").write_text(text.replace('@fl.table(columns=["load"])', f"@fl.table({written})"))
    with Workspace.open(project) as workspace, pytest.raises(CodeError) as caught:
        workspace.plan()
    assert says in str(caught.value)
    assert caught.value.where.startswith("pipeline.py:")


def test_columns_of_a_computed_table_are_told_by_the_plan_and_refused_by_apply(project: Path) -> None:
    more = """

@fl.table(columns={"features": ["hours"]})
def late(features: pd.DataFrame, readings: pd.DataFrame) -> pd.DataFrame:
    return features
"""
    (project / "pipeline.py").write_text((project / "pipeline.py").read_text() + more)
    assert planned(project).warnings == ("late cannot be computed: features has no column hours; did you mean hour?",)
    with Workspace.open(project) as workspace:
        failure = workspace.apply().failure
    assert isinstance(failure, NotFoundError)
    assert "did you mean hour?" in str(failure)


def test_one_list_for_several_inputs_is_refused(project: Path) -> None:
    more = """

@fl.table(columns=["load"])
def late(features: pd.DataFrame, readings: pd.DataFrame) -> pd.DataFrame:
    return features
"""
    (project / "pipeline.py").write_text((project / "pipeline.py").read_text() + more)
    with Workspace.open(project) as workspace, pytest.raises(CodeError, match="does not say whose"):
        workspace.plan()


# ---- the same rows in another layout


def test_a_file_that_was_split_in_two_runs_nothing_after_it(project: Path) -> None:
    path = project / "data" / "part0.csv"
    lines = path.read_text().splitlines()
    half = len(lines) // 2
    path.write_text("\n".join(lines[:half]) + "\n")
    (project / "data" / "part0b.csv").write_text("\n".join([lines[0], *lines[half:]]) + "\n")
    with Workspace.open(project) as workspace:
        before = workspace.snapshot("readings")
        assert [step.outcome for step in workspace.apply().steps if step.operation != "ingest"] == []
        after = workspace.snapshot("readings")
    assert (after.semantic, after.number > before.number) == (before.semantic, True)
    assert planned(project).work == ()


def test_parquet_files_of_the_same_rows_run_nothing_after_them(project: Path) -> None:
    (project / "parquet").mkdir()
    for path in sorted((project / "data").glob("*.csv")):
        rows = pl.read_csv(path, try_parse_dates=True)
        rows.write_parquet(project / "parquet" / f"{path.stem}.parquet")
    settings = (project / "filiera.toml").read_text()
    settings = settings.replace('from = "data/*.csv"', 'from = "parquet/*.parquet"\nfile_format = "parquet"')
    (project / "filiera.toml").write_text(settings)
    with Workspace.open(project) as workspace:
        before = workspace.snapshot("readings")
        report = workspace.apply()
        assert report.refused == ()
        assert [step.asset for step in report.steps] == ["readings"]
        assert workspace.snapshot("readings").semantic == before.semantic
    assert planned(project).work == ()


def test_compaction_runs_nothing_after_it(project: Path) -> None:
    settings = (project / "filiera.toml").read_text()
    (project / "filiera.toml").write_text(settings.replace('files = "replace"', 'files = "append"'))
    with (project / "data" / "part1.csv").open("a") as file:
        file.write(projects.rows(14, 1).partition("\n")[2])
    assert applied(project) == ["features", "loads", "whole"]
    with Workspace.open(project) as workspace:
        before = [workspace.snapshot(name) for name in ("readings", "features")]
        for snapshot in before:
            workspace.lake.compact(snapshot.table, actor="tests")
        after = [workspace.lake.snapshot(snapshot.table) for snapshot in before]
    assert [snapshot.semantic for snapshot in after] == [snapshot.semantic for snapshot in before]
    assert [snapshot.number - 1 for snapshot in after] == [snapshot.number for snapshot in before]
    assert planned(project).work == ()
    assert applied(project) == []
