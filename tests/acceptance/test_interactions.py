"""Where two rules meet: what each does right alone must not let a result stand whose true inputs changed."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import projects
from filiera.clock import SystemClock
from filiera.code.libraries import site_folders
from filiera.dimensions import stamp
from filiera.errors import GateError
from filiera.workspace import Workspace

HEAD = projects.PIPELINE[: projects.PIPELINE.index("@fl.model")]
MODEL = projects.PIPELINE[projects.PIPELINE.index("@fl.model") :]
FROM_READINGS = 'return readings.assign(hour=readings["at"].dt.hour.astype("float64"))'
CLEANED = """
@fl.table
def cleaned(readings: pd.DataFrame, *, shift=0.0) -> pd.DataFrame:
    return readings.assign(temp_c=readings["temp_c"] + shift)


"""
LONG = (
    HEAD.replace("@fl.table", CLEANED.lstrip() + "@fl.table")
    .replace("features(readings", "features(cleaned")
    .replace(FROM_READINGS, FROM_READINGS.replace("readings", "cleaned"))
    + MODEL
)
SAID = """
@fl.table
def said(usage: fl.Model, features: pd.DataFrame) -> pd.DataFrame:
    return features[["device", "at"]].assign(said=usage.predict(features))
"""
COLD = """
@fl.table(partition="day")
def cold(features: pd.DataFrame) -> pd.DataFrame:
    return features[["device", "at"]].assign(cold=(~features["warm"]).astype("float64"))
"""
FIRST = """
@fl.table(key=["place"])
def first(features: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"place": [0], "sum": [float(np.nansum(features[:, 0]))]})
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = projects.make(tmp_path / "small")
    for path in (root / "data").iterdir():
        os.utime(path, ns=(0, 0))  # what was written two seconds ago is never trusted
    return root


def write(root: Path, pipeline: str) -> None:
    (root / "pipeline.py").write_text(pipeline)


def edit(root: Path, old: str, new: str, file: str = "pipeline.py") -> None:
    text = (root / file).read_text()
    assert text.count(old) == 1
    (root / file).write_text(text.replace(old, new))


def applied(root: Path, **options: object) -> list[str]:
    """Bring dev up to date; gives the tables and models that ran."""
    with Workspace.open(root) as workspace:
        report = workspace.apply(**options)  # type: ignore[arg-type]
        assert report.failure is None, report.to_text()
    return [step.asset for step in report.steps if step.operation != "ingest" and step.outcome == "done"]


def read(root: Path, table: str) -> pd.DataFrame:
    with Workspace.open(root) as workspace:
        return workspace.read(table)


def refused(root: Path, label: str) -> str:
    with Workspace.open(root) as workspace:
        with pytest.raises(GateError) as caught:
            workspace.release(label)
        assert workspace.head() is None
    return next(check.evidence for check in caught.value.checks if check.name == "fresh inputs")


def test_a_version_is_not_released_with_tables_of_other_definitions(project: Path) -> None:
    """An earlier version would be asked with features that it never saw."""
    applied(project)
    edit(project, '.dt.hour.astype("float64")', '.dt.hour.astype("float64") * 100')
    applied(project)
    assert "trained with other definitions: features: pipeline.features changed" in refused(project, "usage@1")


def test_a_version_of_settings_for_one_run_is_not_released_with_tables_of_the_plain_ones(project: Path) -> None:
    write(project, LONG)
    assert applied(project) == ["cleaned", "features", "usage"]
    assert applied(project, overrides={"cleaned.shift": 7.0}) == ["cleaned", "features", "usage"]
    assert applied(project) == []
    assert "cleaned: shift 7.0 -> 0.0" in refused(project, "usage@2")
    with Workspace.open(project) as workspace:
        assert workspace.release("usage@1")["version"] == "usage@1"


def test_a_changed_definition_far_above_the_model_is_not_fresh(project: Path) -> None:
    """Of the tables that the model reads the plan knows only that their input may change."""
    write(project, LONG)
    applied(project)
    edit(project, "shift=0.0", "shift=50.0")
    assert "cleaned: shift 0.0 -> 50.0" in refused(project, "usage")


def test_a_reader_of_a_model_runs_when_only_its_out_of_window_predictions_are_other(project: Path) -> None:
    write(project, projects.PIPELINE.replace("windows=2", "windows=1").replace("fl.between(3, 9)", "5") + SAID)
    applied(project)
    few = read(project, "said")["said"].notna().sum()
    edit(project, "windows=1", "windows=3")
    assert applied(project) == ["usage", "said"]
    with Workspace.open(project) as workspace:
        new, old = workspace.models("usage")
    assert new.digest == old.digest, "else this test tells nothing"
    assert read(project, "said")["said"].notna().sum() > few


def test_days_are_not_kept_when_equal_values_have_another_type(project: Path) -> None:
    warm = 'return readings.assign(warm=readings["temp_c"] > 20, '
    write(project, HEAD.replace("return readings.assign(", warm) + COLD)
    applied(project)
    edit(project, 'readings["temp_c"] > 20', '(readings["temp_c"] > 20).astype("int64")')
    assert applied(project) == ["features", "cold"]
    warm_is = read(project, "features")["warm"]
    assert np.array_equal(read(project, "cold")["cold"], (~warm_is).astype("float64"))


def test_a_matrix_is_made_again_when_its_columns_change_places(project: Path) -> None:
    write(project, HEAD.replace("import pandas", "import numpy as np\nimport pandas") + FIRST)
    applied(project)
    assert read(project, "first")["sum"].item() == pytest.approx(read(project, "features")["load"].sum())
    edit(project, FROM_READINGS, f'{FROM_READINGS}[["device", "at", "temp_c", "load", "hour"]]')
    assert applied(project) == ["features", "first"]
    assert read(project, "first")["sum"].item() == pytest.approx(read(project, "features")["temp_c"].sum())


def test_a_threshold_holds_nothing_back_when_a_column_is_masked(project: Path) -> None:
    """No row is new, but a function sees nulls now: what it made of the values must not stand."""
    write(project, HEAD.replace("return readings.assign(", 'return readings.assign(twice=readings["load"] * 2, '))
    with (project / "filiera.toml").open("a") as file:
        file.write('\n[table.features]\nhold_until = "10%"\n')
    applied(project)
    edit(project, "range = [0, 100] }", 'range = [0, 100], class = "personal" }', "filiera.toml")
    assert applied(project) == ["features"]
    assert read(project, "features")["twice"].isna().all()


def rewritten(path: Path, change: Callable[[str], str]) -> None:
    """Another content of the same size, inode and time of writing, as `cp -p` or `touch -r` leave it."""
    before = path.stat()
    path.write_text(change(path.read_text()))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)


def remembered(root: Path) -> bool:
    return stamp.recall(root, "dev", SystemClock().now_us()) is not None


def remember(root: Path) -> None:
    """Make a plan that is remembered."""
    for path in root.iterdir():
        os.utime(path, ns=(0, 0))
    with Workspace.open(root) as workspace:
        workspace.plan_answer()
    assert remembered(root)


def test_a_rewritten_file_with_its_old_time_is_read_again(project: Path) -> None:
    write(project, HEAD)
    edit(project, 'time = "at"\n', 'time = "at"\non_conflict = "newest"\n', "filiera.toml")
    applied(project)
    before = read(project, "features")["load"].sum()
    remember(project)
    rewritten(project / "data" / "part0.csv", lambda text: re.sub(r"(?m)^(a,2024-01-01T10.*Z,)\d", r"\g<1>9", text))
    assert not remembered(project)
    assert applied(project) == ["features"]
    assert read(project, "features")["load"].sum() > before


def test_code_with_its_old_time_is_planned_again(project: Path) -> None:
    write(project, HEAD)
    applied(project)
    remember(project)
    rewritten(project / "pipeline.py", lambda text: text.replace("hour.astype", "day .astype"))
    assert not remembered(project)


def test_a_ledger_that_was_put_back_is_another_although_its_entries_count_the_same(project: Path) -> None:
    write(project, HEAD)
    applied(project)
    ledger = project / ".filiera" / "ledger.db"
    shutil.copy(ledger, project.parent / "saved.db")
    with Workspace.open(project) as workspace:
        workspace.add_event("one way")
    remember(project)
    shutil.copy(project.parent / "saved.db", ledger)
    with Workspace.open(project) as workspace:
        workspace.add_event("another way")
    assert not remembered(project)


def test_libraries_of_the_system_are_watched_where_an_environment_sees_them(tmp_path: Path) -> None:
    inside, system = tmp_path / "env", tmp_path / "usr"
    for folder in (inside / "lib/python3.11/site-packages", system / "lib/python3/dist-packages"):
        folder.mkdir(parents=True)
    (inside / "pyvenv.cfg").write_text(f"home = {system}/bin\ninclude-system-site-packages = false\n")
    assert site_folders(inside / "bin" / "python") == [inside / "lib/python3.11/site-packages"]
    (inside / "pyvenv.cfg").write_text(f"home = {system}/bin\ninclude-system-site-packages = true\n")
    assert site_folders(inside / "bin" / "python")[1:] == [system / "lib/python3/dist-packages"]


def test_a_new_package_beside_one_that_is_installed_from_a_folder_is_seen(tmp_path: Path) -> None:
    site, place = tmp_path / "env/lib/python3.11/site-packages", tmp_path / "work"
    (site / "shared-1.0.dist-info").mkdir(parents=True)
    url = f'{{"url": "file://{place}", "dir_info": {{"editable": true}}}}'
    (site / "shared-1.0.dist-info" / "direct_url.json").write_text(url)
    (place / "src" / "shared").mkdir(parents=True)
    (place / "src" / "shared" / "__init__.py").write_text("")
    watched = stamp.library_folders(tmp_path / "env" / "bin" / "python")
    assert {str(place), str(place / "src"), str(place / "src" / "shared")} <= set(watched)


def test_settings_that_were_written_during_an_apply_are_planned(project: Path) -> None:
    """The plan that an apply leaves behind is of the settings that it has read."""
    write(project, HEAD)
    with Workspace.open(project) as workspace:
        workspace.apply()
        edit(project, 'from = "data/*.csv"', 'from = "data/part0.csv"', "filiera.toml")
        for path in project.iterdir():
            os.utime(path, ns=(0, 0))
        workspace.plan_answer()
    assert not remembered(project)
    remember(project)


def test_another_interpreter_in_the_settings_is_the_one_that_runs(project: Path, tmp_path: Path) -> None:
    write(project, HEAD)
    (tmp_path / "env").symlink_to(sys.prefix)
    with Workspace.open(project) as workspace:
        workspace.automate()
        workspace.definitions()
        before = workspace._context.engine
        workspace.automate()
        assert workspace._context.engine is before
        edit(project, "[project]\n", f'[project]\npython = "{tmp_path}/env/bin/python"\n', "filiera.toml")
        workspace.automate()
        assert workspace._context.engine is not before
        assert workspace.apply().failure is None


SITES = """
import pandas as pd

import filiera as fl

COUNT, HEIGHT = 100, 1.0


@fl.table(key=["place"])
def sites(readings: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"place": range(COUNT), "height": [HEIGHT] * COUNT})


@fl.table
def heights(sites: pd.DataFrame) -> pd.DataFrame:
    return sites.assign(twice=sites["height"] * 2)
"""


def test_a_threshold_counts_every_row_where_more_than_new_rows_may_have_come(project: Path) -> None:
    """One row more, and all others changed: that is not one row of a hundred."""
    write(project, SITES)
    with (project / "filiera.toml").open("a") as file:
        file.write('\n[table.heights]\nhold_until = "5%"\n')
    applied(project)
    edit(project, "COUNT, HEIGHT = 100, 1.0", "COUNT, HEIGHT = 101, 9.0")
    assert applied(project) == ["sites", "heights"]
    assert read(project, "heights")["twice"].max() == 18.0


FILTERED = """
LIMIT = 0


@fl.table
def filtered(readings: pd.DataFrame) -> pd.DataFrame:
    return readings[readings["load"] > LIMIT]


"""


@pytest.mark.parametrize("how", ["", '(columns=["load"])', '(partition="day")'])
def test_a_table_follows_an_input_that_has_lost_all_its_rows(project: Path, how: str) -> None:
    later = f"@fl.table{how}\ndef later(filtered: pd.DataFrame) -> pd.DataFrame:\n    return filtered\n"
    write(project, "import pandas as pd\n\nimport filiera as fl\n\n" + FILTERED + later)
    applied(project)
    edit(project, "LIMIT = 0", "LIMIT = 1000")
    assert applied(project) == ["filtered", "later"]
    assert len(read(project, "later")) == 0
    assert applied(project) == []
    edit(project, "LIMIT = 1000", "LIMIT = 50")
    assert applied(project) == ["filtered", "later"]
    assert len(read(project, "later")) == len(read(project, "filtered")) > 0


def test_tables_without_a_row_from_the_start_have_columns_and_a_model_waits_for_rows(project: Path) -> None:
    text = LONG.replace(CLEANED.lstrip(), FILTERED.lstrip()).replace("cleaned", "filtered")
    write(project, text.replace("LIMIT = 0", "LIMIT = 1000"))
    assert applied(project) == ["filtered", "features"]
    assert "hour" in read(project, "features").columns
    with Workspace.open(project) as workspace:
        assert "usage: features has no data yet" in str(workspace.plan())
    edit(project, "LIMIT = 1000", "LIMIT = 0")
    assert applied(project) == ["filtered", "features", "usage"]
