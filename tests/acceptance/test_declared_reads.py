"""What code reads beside its inputs: declared files and variables, and reads that nobody declared, planted for real."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

import projects
from filiera.clock import SystemClock
from filiera.core.plan import Action, Plan
from filiera.dimensions import stamp
from filiera.errors import CodeError, GateError, WorkError
from filiera.explain import why_text
from filiera.workspace import Workspace

BODY = '    return readings.assign(hour=readings["at"].dt.hour.astype("float64"))'
CALENDAR = """
@fl.table(files=["holidays.csv"], variables=["REGION"])
def calendar(readings: pd.DataFrame) -> pd.DataFrame:
    import os
    from pathlib import Path
    days = len(pd.read_csv("holidays.csv")) + len(pd.read_csv(Path(__file__).parent / "holidays.csv"))
    return readings.assign(days=float(days), region=os.environ.get("REGION", "none"))
"""
NOTE = (
    "features read weights.json, which is not declared: it is checked at every plan; "
    'declare it with files=["weights.json"]'
)
LOOKS = """    try:
        more = float(open("weights.json").read())
    except FileNotFoundError:
        more = 0.0
"""


@pytest.fixture(scope="module")
def initial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that is initialised, with some files beside its code."""
    root = projects.make(tmp_path_factory.mktemp("initial") / "small")
    (root / "holidays.csv").write_text("day\n2024-01-01\n")
    (root / "weights.json").write_text("1.5")
    (root / "params").mkdir()
    (root / "params" / "a.json").write_text("1")
    return root


@pytest.fixture
def project(initial: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(initial, tmp_path / "small"))


def write(root: Path, *changes: tuple[str, str], more: str = "") -> None:
    text = projects.PIPELINE
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (root / "pipeline.py").write_text(text + more)


def opened(root: Path, **variables: str) -> Workspace:
    return Workspace.open(root, environ={**os.environ, **variables})


def applied(root: Path, **variables: str) -> list[str]:
    """Bring it up to date; gives the assets that ran."""
    with opened(root, **variables) as workspace:
        report = workspace.apply()
        assert report.failure is None, report.to_text()
    return [step.asset for step in report.steps]


def planned(root: Path, **variables: str) -> Plan:
    with opened(root, **variables) as workspace:
        return workspace.plan()


def reasons(plan: Plan) -> dict[str, list[str]]:
    """Why each step runs or may run."""
    return {step.asset: [reason.text for reason in step.reasons] for step in plan.work}


def failure(root: Path, **variables: str) -> WorkError:
    with opened(root, **variables) as workspace:
        error = workspace.apply().failure
    assert isinstance(error, WorkError)
    return error


# ---- declared files


def test_a_changed_file_runs_exactly_its_readers_and_a_revert_runs_nothing(project: Path) -> None:
    write(project, more=CALENDAR)
    assert sorted(applied(project)) == ["calendar", "features", "readings", "usage"]
    (project / "holidays.csv").write_text("day\n2024-01-01\n2024-12-25\n")
    assert reasons(planned(project)) == {"calendar": ["holidays.csv changed"]}
    assert applied(project) == ["calendar"]
    with opened(project) as workspace:
        assert set(workspace.query("calendar").column("days").to_pylist()) == {4.0}
        assert "  read    holidays.csv, variable REGION" in why_text(workspace.why("calendar")).splitlines()
    (project / "holidays.csv").write_text("day\n2024-01-01\n")
    assert applied(project) == []


def test_a_file_that_nobody_declares_changes_nothing(project: Path) -> None:
    write(project, more=CALENDAR)
    applied(project)
    (project / "weights.json").write_text("2.5")
    (project / "params" / "b.json").write_text("2")
    assert planned(project).work == ()


def test_a_pattern_stands_for_the_files_that_fit_it(project: Path) -> None:
    declared = (
        '@fl.table(partition="day", lookback="1h")',
        '@fl.table(partition="day", lookback="1h", files=["params/*.json"])',
    )
    body = BODY.replace('"float64"', '"float64") + sum(float(p.read_text()) for p in Path("params").iterdir()')
    write(project, ("import pandas as pd\n", "import pandas as pd\nfrom pathlib import Path\n"), declared, (BODY, body))
    applied(project)
    assert planned(project).warnings == ()
    (project / "params" / "b.json").write_text("2")
    (project / "params" / "c.txt").write_text("not one of them")
    assert reasons(planned(project))["features"] == ["params/b.json added", "params/ changed"]
    applied(project)
    with opened(project) as workspace:
        assert min(workspace.query("features").column("hour").to_pylist()) == 3.0
    (project / "params" / "a.json").unlink()
    assert reasons(planned(project))["features"] == ["params/a.json gone", "params/ changed"]


def test_a_model_keeps_its_files_and_trains_again_when_they_change(project: Path) -> None:
    write(
        project,
        ("trials=3,", 'trials=3, files=["weights.json"],'),
        ("max_depth=depth", 'max_depth=depth, min_samples_leaf=int(float(open("weights.json").read()))'),
    )
    applied(project)
    (project / "weights.json").write_text("60")
    assert reasons(planned(project)) == {"usage": ["weights.json changed"]}
    assert applied(project) == ["usage"]
    with opened(project) as workspace:
        assert [version.number for version in workspace.models("usage")] == [2, 1]
        assert workspace.models("usage")[0].metrics["value"] != workspace.models("usage")[1].metrics["value"]


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ('["holiday.csv"]', "did you mean holidays.csv?"),
        ('["params/*.toml"]', "no file fits `params/*.toml`"),
        ('["/etc/passwd"]', "cannot be a declared file"),
        ('["../small/holidays.csv"]', "cannot be a declared file"),
        ('[".filiera/ledger.db"]', "cannot be a declared file"),
        ("[NAME]", "is read before the code runs, so it is written out"),
        ('"holidays.csv"', "is read before the code runs, so it is written out"),
    ],
)
def test_what_cannot_be_declared_is_refused_with_its_place(project: Path, declared: str, says: str) -> None:
    write(project, more='\nNAME = "holidays.csv"\n' + CALENDAR.replace('["holidays.csv"]', declared))
    with opened(project) as workspace, pytest.raises(CodeError) as caught:
        workspace.plan()
    assert says in str(caught.value)
    assert caught.value.where.startswith("pipeline.py:")


def test_a_link_that_leads_out_of_the_project_is_refused(project: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("day\n")
    (project / "holidays.csv").unlink()
    (project / "holidays.csv").symlink_to(tmp_path / "secret")
    write(project, more=CALENDAR)
    with opened(project) as workspace, pytest.raises(CodeError, match="leads out of the project"):
        workspace.plan()


def test_prod_keeps_the_files_that_it_was_released_with(project: Path) -> None:
    write(project, more=CALENDAR)
    applied(project)
    with opened(project) as workspace:
        workspace.release("usage")
    (project / "holidays.csv").write_text("day\n2024-01-01\n2024-12-25\n")
    (project / "data" / "later.csv").write_text(projects.rows(42, 1))
    with opened(project) as workspace:
        report = workspace.follow()
        assert report is not None
        assert {step.asset: step.outcome for step in report.steps}["calendar"] == "done"
        assert set(workspace.query("calendar", environment="prod").column("days").to_pylist()) == {2.0}


# ---- declared variables


def test_a_variable_reaches_its_readers_and_its_change_runs_exactly_them(project: Path) -> None:
    write(project, more=CALENDAR)
    applied(project, REGION="north")
    with opened(project, REGION="north") as workspace:
        assert set(workspace.query("calendar").column("region").to_pylist()) == {"north"}
        assert workspace.plan().work == ()
    assert reasons(planned(project, REGION="south")) == {"calendar": ["variable REGION changed"]}
    assert reasons(planned(project)) == {"calendar": ["variable REGION changed"]}
    assert applied(project, REGION="south") == ["calendar"]
    assert applied(project, REGION="north") == []


def test_the_value_of_a_variable_is_stored_nowhere(project: Path) -> None:
    write(project, more=CALENDAR.replace('os.environ.get("REGION", "none")', 'float(len(os.environ["REGION"]))'))
    applied(project, REGION="zq81-value-xk")
    with opened(project, REGION="zq81-value-xk") as workspace:
        workspace.plan_answer()
        assert set(workspace.query("calendar").column("region").to_pylist()) == {13.0}
    holding = [p for p in (project / ".filiera").rglob("*") if p.is_file() and b"zq81-value-xk" in p.read_bytes()]
    assert holding == []


def test_an_undeclared_variable_does_not_reach_the_code(project: Path) -> None:
    write(project, more=CALENDAR.replace(', variables=["REGION"]', "").replace('.get("REGION", "none")', '["REGION"]'))
    error = failure(project, REGION="north")
    assert error.message == "table calendar: the variable REGION is not declared, or it has no value"
    assert error.next == 'declare it: variables=["REGION"]'


def test_a_variable_that_a_module_reads_belongs_to_those_who_declare_it(project: Path) -> None:
    imports = 'import os\nimport pandas as pd\n\nREGION = os.environ.get("REGION", "none")\n'
    write(
        project, ("import pandas as pd\n", imports), more=CALENDAR.replace('os.environ.get("REGION", "none")', "REGION")
    )
    (project / "pipeline.py").write_text(
        (project / "pipeline.py").read_text().replace(BODY, BODY.replace("hour=", "region=REGION, hour="))
    )
    applied(project, REGION="north")
    with opened(project, REGION="north") as workspace:
        assert set(workspace.query("calendar").column("region").to_pylist()) == {"north"}
        assert set(workspace.query("features").column("region").to_pylist()) == {"none"}, "it declares no variable"


def test_a_variable_of_filiera_cannot_be_declared(project: Path) -> None:
    write(project, more=CALENDAR.replace("REGION", "OMP_NUM_THREADS"))
    with opened(project) as workspace, pytest.raises(CodeError, match="cannot be a declared variable"):
        workspace.plan()


def test_prod_takes_no_new_rows_under_another_value(project: Path) -> None:
    write(project, more=CALENDAR)
    applied(project, REGION="north")
    with opened(project, REGION="north") as workspace:
        workspace.release("usage")
    (project / "data" / "later.csv").write_text(projects.rows(42, 1))
    with opened(project, REGION="south") as workspace, pytest.raises(GateError, match="variable REGION has another"):
        workspace.follow()
    with opened(project, REGION="north") as workspace:
        report = workspace.follow()
        assert report is not None
        assert report.failure is None


def test_a_remembered_plan_looks_at_declared_files_and_variables(project: Path) -> None:
    write(project, more=CALENDAR)
    applied(project, REGION="north")
    for path in (*project.iterdir(), *(project / "data").iterdir(), *(project / "params").iterdir()):
        os.utime(path, ns=(0, 0))  # what was changed two seconds ago is never trusted
    with opened(project, REGION="north") as workspace:
        workspace.plan_answer()
    now_us = SystemClock().now_us()

    def recalled(environ: Mapping[str, str]) -> bool:
        return stamp.recall(project, "dev", now_us, environ) is not None

    assert recalled({"REGION": "north"})
    assert not recalled({"REGION": "south"})
    assert not recalled({})
    (project / "holidays.csv").write_text("day\n")
    assert not recalled({"REGION": "north"})


# ---- reads that nobody declared


def reading(place: str = 'open("weights.json").read()') -> tuple[str, str]:
    """Let the table read a file that is in the bundle since the model declares it."""
    return BODY, BODY.replace('"float64"', f'"float64") + float({place}')


DECLARED_BY_THE_MODEL = ("trials=3,", 'trials=3, files=["weights.json"],')


def test_an_undeclared_read_is_told_and_checked_at_every_plan(project: Path) -> None:
    write(project, DECLARED_BY_THE_MODEL, reading())
    applied(project)
    found = planned(project)
    assert found.work == ()
    assert found.warnings == (NOTE,)
    with opened(project) as workspace:
        assert "  read    weights.json (not declared)" in why_text(workspace.why("features")).splitlines()
    (project / "weights.json").write_text("2.5")
    assert reasons(planned(project))["features"] == ["weights.json changed"]
    assert applied(project) == ["features", "usage"]
    with opened(project) as workspace:
        assert min(workspace.query("features").column("hour").to_pylist()) == 2.5
    assert planned(project).work == ()
    (project / "weights.json").write_text("1.5")
    assert applied(project) == [], "a revert finds the trace that read this content"


def test_a_file_that_was_read_and_is_gone_runs_its_reader(project: Path) -> None:
    write(project, DECLARED_BY_THE_MODEL, reading())
    applied(project)
    write(project, reading())
    assert "weights.json changed" in reasons(planned(project))["features"]
    error = failure(project)
    assert error.message == "table features: weights.json is not declared, so the code cannot read it"
    assert 'files=["weights.json"]' in error.next


def test_a_file_that_comes_after_it_was_looked_for_runs_its_reader(project: Path) -> None:
    body = LOOKS + BODY.replace('"float64")', '"float64") + more')
    write(project, (BODY, body))
    applied(project)
    found = planned(project)
    assert (found.work, found.warnings) == ((), ())
    write(project, DECLARED_BY_THE_MODEL, (BODY, body))
    assert "features" in applied(project)
    with opened(project) as workspace:
        assert min(workspace.query("features").column("hour").to_pylist()) == 1.5


def test_a_module_that_uses_did_not_name_is_an_input(project: Path) -> None:
    (project / "plugin.py").write_text("VALUE = 1.0\n")
    (project / "known.py").write_text("VALUE = 2.0\n")
    narrow = '@fl.table(partition="day", lookback="1h")', '@fl.table(partition="day", lookback="1h", uses=["known"])'
    write(project, narrow, reading('__import__("plug" + "in").VALUE'))
    applied(project)
    assert "features read plugin.py, which is not declared" in " ".join(planned(project).warnings)
    (project / "plugin.py").write_text("VALUE = 4.0\n")
    assert reasons(planned(project))["features"] == ["plugin.py changed"]
    applied(project)
    with opened(project) as workspace:
        assert min(workspace.query("features").column("hour").to_pylist()) == 4.0
    assert planned(project).work == ()


def test_a_folder_that_was_listed_is_an_input(project: Path) -> None:
    declared = "trials=3,", 'trials=3, files=["params/*.json"],'
    write(project, declared, reading('len(__import__("os").listdir("params"))'))
    applied(project)
    assert any(text.startswith("features read params/, which is not") for text in planned(project).warnings)
    (project / "params" / "a.json").write_text("3")
    assert "features" not in reasons(planned(project)), "the names are what they were"
    (project / "params" / "b.json").write_text("2")
    assert reasons(planned(project))["features"] == ["params/ changed"]
    applied(project)
    with opened(project) as workspace:
        assert min(workspace.query("features").column("hour").to_pylist()) == 2.0


def test_a_study_that_goes_on_keeps_what_its_earlier_trials_read(project: Path) -> None:
    table = '@fl.table(partition="day", lookback="1h")'
    body = 'max_depth=depth + (int(float(open("weights.json").read())) if depth == 3 else 0)'
    space = "fl.between(3, 9)", "fl.choice(3, 4, 5, 6, 7, 8, 9)"
    declared = table, table.replace('"1h"', '"1h", files=["weights.json"]')
    write(project, declared, space, ("max_depth=depth", body), ("trials=3", "trials=1"))
    applied(project)  # the first trial is the first of the choices
    with opened(project) as workspace:
        assert workspace.study("usage")["trials"][0]["settings"] == {"depth": 3}
    write(project, declared, space, ("max_depth=depth", body), ("trials=3", "trials=6"))
    assert applied(project) == ["usage"]
    with opened(project) as workspace:
        assert len(workspace.models("usage")) == 2, "another trial was better"
    assert any(text.startswith("usage read weights.json, which") for text in planned(project).warnings)


def test_new_days_keep_what_the_days_before_them_read(project: Path) -> None:
    first = 'open("weights.json").read() if readings["at"].min().month == 1 else 0'
    write(project, DECLARED_BY_THE_MODEL, reading(first))
    applied(project)
    (project / "data" / "later.csv").write_text(projects.rows(42, 2))
    assert "features" in applied(project)
    (project / "weights.json").write_text("2.5")
    assert "weights.json changed" in reasons(planned(project))["features"]
    applied(project)
    with opened(project) as workspace:
        assert min(workspace.query("features", until="2024-02-01").column("hour").to_pylist()) == 2.5


def test_a_process_that_kept_a_file_for_one_table_gives_it_to_no_other(project: Path) -> None:
    text = """
from functools import cache

@cache
def weight() -> float:
    return float(open("weights.json").read())

@fl.table(files=["weights.json"])
def aaa(readings: pd.DataFrame) -> pd.DataFrame:
    return readings.assign(weight=weight())

@fl.table
def bbb(readings: pd.DataFrame) -> pd.DataFrame:
    return readings.assign(weight=weight())

@fl.table
def ccc(readings: pd.DataFrame) -> pd.DataFrame:
    return readings
"""
    write(project, more=text)
    applied(project)
    (project / "weights.json").write_text("2.5")
    assert reasons(planned(project)) == {"aaa": ["weights.json changed"], "bbb": ["weights.json changed"]}
    assert applied(project) == ["aaa", "bbb"]
    with opened(project) as workspace:
        assert set(workspace.query("bbb").column("weight").to_pylist()) == {2.5}


def test_what_any_trial_of_a_study_reads_is_an_input_of_the_model(project: Path) -> None:
    table = (
        '@fl.table(partition="day", lookback="1h")',
        '@fl.table(partition="day", lookback="1h", files=["weights.json"])',
    )
    body = 'max_depth=depth + (int(float(open("weights.json").read())) if depth == 6 else 0)'
    write(project, table, ("fl.between(3, 9)", "fl.choice(3, 6)"), ("max_depth=depth", body))
    applied(project)
    assert any(text.startswith("usage read weights.json, which") for text in planned(project).warnings)
    with opened(project) as workspace:
        (winner,) = workspace.models("usage")
    (project / "weights.json").write_text("9.5")
    assert "weights.json changed" in reasons(planned(project))["usage"]
    assert "usage" in applied(project)
    with opened(project) as workspace:
        assert workspace.models("usage")[0].study != winner.study, "scores of another file say nothing"
    assert planned(project).work == ()
    (project / "weights.json").write_text("1.5")
    assert applied(project) == []


# ---- reads that are out of reach


@pytest.mark.parametrize("place", ['open("weights.json").read()', 'open("{root}/weights.json").read()'])
def test_a_read_outside_the_bundle_is_refused_with_the_way_out(project: Path, place: str) -> None:
    write(project, reading(place.format(root=project)))
    error = failure(project)
    assert error.message == "table features: weights.json is not declared, so the code cannot read it"
    assert error.next.startswith('declare it: files=["weights.json"]')
    assert error.where.startswith("pipeline.py:")


def test_a_module_that_reads_an_undeclared_file_is_refused_with_the_way_out(project: Path) -> None:
    write(project, ("import filiera as fl\n", 'import filiera as fl\n\nWEIGHT = open("weights.json").read()\n'))
    with opened(project) as workspace, pytest.raises(CodeError) as caught:
        workspace.plan()
    assert 'declare it: files=["weights.json"]' in caught.value.next


def test_a_module_reads_a_declared_file_when_it_is_imported(project: Path) -> None:
    write(
        project,
        ("import filiera as fl\n", 'import filiera as fl\n\nWEIGHT = float(open("weights.json").read())\n'),
        ('@fl.table(partition="day", lookback="1h")', '@fl.table(files=["weights.json"])'),
        reading("WEIGHT"),
    )
    applied(project)
    assert planned(project).warnings == (NOTE.replace("features", "usage"),), (
        "its module reads the file, so whoever is in it does"
    )
    (project / "weights.json").write_text("2.5")
    assert reasons(planned(project))["features"] == ["weights.json changed"]
    assert {step.asset: step.action for step in planned(project).steps}["usage"] is Action.MAYBE


def test_code_that_writes_beside_its_result_is_told_where_it_may(project: Path) -> None:
    write(project, (BODY, f'    readings.to_csv("debug.csv")\n{BODY}'))
    error = failure(project)
    assert error.message == "table features: the code cannot write debug.csv"
    assert "tempfile" in error.next
