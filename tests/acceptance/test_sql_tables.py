"""Tables in SQL in a real project: what an edit, a changed column and an added column run again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import projects
from filiera.core.plan import Action, Plan
from filiera.errors import CodeError, WorkError
from filiera.workspace import Workspace

PIPELINE = '''
import pandas as pd

import filiera as fl

loads = fl.sql(
    """
    SELECT at, device, load * :by AS load  -- scaled
    FROM readings
    WHERE (load > :least)
    """,
    by=1.5, least=12.01, partition="day",
)
days = fl.sql(
    "SELECT device, DATE_TRUNC('day', at) AS at, AVG(load) AS mean FROM loads GROUP BY ALL", partition="day"
)
whole = fl.sql("SELECT * FROM readings")


@fl.table
def hours(days: pd.DataFrame) -> pd.DataFrame:
    return days.assign(hour=days["at"].dt.hour.astype("float64"))


both = fl.sql("SELECT h.at, h.device, h.mean, r.load FROM hours h JOIN readings r USING (at, device)")
'''
LOAD, TEMP = 2, 3


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = projects.make(tmp_path_factory.mktemp("template") / "small", days=6, files=2)
    settings = (root / "filiera.toml").read_text()
    settings = settings.replace('time = "at"\n', 'time = "at"\non_conflict = "newest"\nfiles = "replace"\n')
    (root / "filiera.toml").write_text(settings)
    (root / "pipeline.py").write_text(PIPELINE)
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
    with Workspace.open(root) as workspace:
        report = workspace.apply()
        assert report.failure is None, report.to_text()
        assert report.refused == ()
    return sorted(step.asset for step in report.steps if step.operation != "ingest")


def edit(root: Path, old: str, new: str, file: str = "pipeline.py") -> None:
    text = (root / file).read_text()
    assert old in text
    (root / file).write_text(text.replace(old, new))


def change(root: Path, column: int, value: str) -> None:
    """Another value in one column of one row."""
    path = root / "data" / "part0.csv"
    lines = path.read_text().splitlines()
    row = next(i for i, line in enumerate(lines) if line.startswith("a,2024-01-03T10"))
    cells = lines[row].split(",")
    cells[column] = value
    lines[row] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n")


def test_rows_are_what_the_queries_say(project: Path) -> None:
    with Workspace.open(project) as workspace:
        readings, loads, both = (workspace.query(name).to_pandas() for name in ("readings", "loads", "both"))
        days = workspace.query("days").to_pandas()
    kept = readings[readings["load"] > 12]
    assert loads["load"].tolist() == pytest.approx((kept["load"] * 1.5).tolist())
    wanted = kept.assign(at=kept["at"].dt.floor("D")).groupby(["at", "device"], observed=True)["load"].mean() * 1.5
    assert days["mean"].tolist() == pytest.approx(wanted.tolist())
    assert str(days["device"].dtype) == "category"
    assert both.columns.tolist() == ["at", "device", "mean", "load"]
    assert len(both) == len(days)


def test_layout_comments_letter_case_and_brackets_run_nothing(project: Path) -> None:
    edit(project, "  -- scaled", "")
    edit(project, "WHERE (load > :least)", "where load>:least")
    edit(project, "AVG(load)", "avg((load))")
    assert planned(project).work == ()
    assert applied(project) == []


def test_another_query_runs_its_table_and_says_why(project: Path) -> None:
    edit(project, "load > :", "load >= :")
    (first, *later) = planned(project).work
    assert (first.asset, first.action, [reason.text for reason in first.reasons]) == (
        "loads", Action.RUN, ["query of loads changed"],
    )  # fmt: skip
    assert {step.action for step in later} == {Action.MAYBE}
    assert applied(project) == ["loads"], "12.01 is nobody's load: what is below is not reached"
    edit(project, ">=", ">")
    assert {step.asset: step.action for step in planned(project).steps}["loads"] is Action.RESTORE
    assert applied(project) == []


def test_another_setting_runs_its_table_in_the_file_and_for_one_run(project: Path) -> None:
    with Workspace.open(project) as workspace:
        (step, *_) = workspace.plan(overrides={"loads.least": 20}).work
    assert [reason.text for reason in step.reasons] == ["least 12.01 -> 20"]
    edit(project, "least=12.01", "least=20")
    assert applied(project) == ["both", "days", "hours", "loads"]


def test_a_setting_cannot_change_the_query(project: Path) -> None:
    more = """
named = fl.sql("SELECT at, device FROM readings WHERE device = :name", name="a")
"""
    (project / "pipeline.py").write_text(PIPELINE + more)
    with Workspace.open(project) as workspace:
        workspace.apply()
        assert set(workspace.query("named").column("device").to_pylist()) == {"a"}
        report = workspace.apply(overrides={"named.name": "a' OR device = 'b"})
        assert report.failure is None
        assert workspace.query("named").num_rows == 0


def test_a_change_in_a_column_that_a_query_does_not_read_runs_others_only(project: Path) -> None:
    change(project, TEMP, "17")
    assert applied(project) == ["whole"]


def test_a_change_in_a_column_that_a_query_reads_runs_its_day(project: Path) -> None:
    change(project, LOAD, "77")
    with Workspace.open(project) as workspace:
        before = workspace.lake.leaves(workspace.snapshot("loads")).by_day()
        assert workspace.apply().failure is None
        after = workspace.lake.leaves(workspace.snapshot("loads")).by_day()
        assert 77 * 1.5 in workspace.query("loads").column("load").to_pylist()
    assert [day for day in after if after[day] != before[day]] == [19725], "3 January 2024"


def test_an_added_column_stops_at_the_queries_that_do_not_read_it(project: Path) -> None:
    edit(project, "temp_c = {", 'wind_ms = { unit = "m/s", optional = true }\ntemp_c = {', "filiera.toml")
    for path in sorted((project / "data").glob("*.csv")):
        head, *lines = path.read_text().splitlines()
        path.write_text("\n".join([head + ",wind_ms", *(line + ",7" for line in lines)]) + "\n")
    assert applied(project) == ["whole"]
    with Workspace.open(project) as workspace:
        assert "wind_ms" in workspace.query("whole").column_names
        assert workspace.query("whole").column("wind_ms").to_pylist()[0] == 7
    assert planned(project).work == ()


@pytest.mark.parametrize(
    ("old", "new", "says", "place"),
    [
        ("FROM readings\n    W", "FROM reading\n    W", "did you mean readings?", "line 3, column 10 of the query"),
        ("load * :by", "laod * :by", "did you mean load?", "line 2, column 24 of the query"),
        ("WHERE (load", "WERE (load", "is not understood at", "line 4, column"),
        ("by=1.5, least=12.01", "by=1.5", "`:least` has no value", "line 4, column 19 of the query"),
    ],
)  # fmt: skip
def test_a_bad_query_is_refused_by_the_plan_with_its_place(
    project: Path, old: str, new: str, says: str, place: str
) -> None:
    edit(project, old, new)
    with Workspace.open(project) as workspace, pytest.raises(CodeError) as caught:
        workspace.plan()
    assert says in str(caught.value)
    assert caught.value.where.startswith("pipeline.py:6, ")
    assert place in caught.value.where
    done = projects.filiera("plan", project=project, check=False)
    assert done.returncode == 2
    assert "pipeline.py:6" in done.stderr


def test_a_query_that_fails_on_the_rows_is_told_by_the_run(project: Path) -> None:
    edit(project, '"SELECT * FROM readings"', '"SELECT at, device, CAST(device AS INT) AS x FROM readings"')
    with Workspace.open(project) as workspace:
        failure = workspace.apply().failure
    assert isinstance(failure, WorkError)
    assert "the query of whole failed" in str(failure)


def test_a_window_that_looks_beyond_its_day_is_refused(project: Path) -> None:
    edit(project, "load * :by AS load", "SUM(load * :by) OVER (PARTITION BY device ORDER BY at) AS load")
    with Workspace.open(project) as workspace:
        failure = workspace.apply().failure
    assert isinstance(failure, WorkError)
    assert failure.code.startswith("table."), failure.code


def test_a_table_in_sql_is_made_again_from_the_ledger(project: Path) -> None:
    with Workspace.open(project) as workspace:
        assert [workspace.reproduce(label)["outcome"] for label in ("loads", "both")] == ["equal", "equal"]
