"""An apply that has nothing to do answers from memory, and one that has anything to do never does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import projects
from filiera.workspace import Workspace

APPLY = """
import json, sys
from filiera.cli import main
sys.argv = ["filiera", "--project", sys.argv[1], "apply", "--json"]
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def settle(root: Path) -> None:
    """Make the files look old: what was changed in the last two seconds is never trusted."""
    for path in (root / "filiera.toml", root / "pipeline.py", *(root / "data").iterdir()):
        os.utime(path, ns=(0, path.stat().st_mtime_ns // 10))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that is up to date."""
    root = projects.make(tmp_path_factory.mktemp("template") / "small")
    settle(root)
    projects.filiera("apply", project=root)
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    root = Path(shutil.copytree(template, tmp_path / "small"))
    projects.filiera("apply", project=root)  # its files have other names and inodes than the template's
    return root


def apply(root: Path) -> tuple[dict[str, object], bool]:
    """The report of an apply, and whether it came from memory."""
    done = subprocess.run([sys.executable, "-c", APPLY, str(root)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout), "sqlalchemy" not in json.loads(done.stderr.splitlines()[-1])


def edit(root: Path, old: str, new: str, name: str = "pipeline.py") -> None:
    text = (root / name).read_text()
    assert text.count(old) == 1
    (root / name).write_text(text.replace(old, new))


def test_an_idle_apply_answers_from_memory_and_says_what_a_whole_one_says(project: Path) -> None:
    report, remembered = apply(project)
    assert remembered
    with Workspace.open(project) as workspace:
        whole = workspace.apply().to_json()
    assert report == whole | {"seconds": 0.0}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("pipeline.py", "import pandas as pd\n", "import pandas as pd  # frames\n"),  # the generation keeps the code
        ("pipeline.py", "dt.hour.astype", "dt.dayofweek.astype"),
        ("filiera.toml", 'owner = "tests"', 'owner = "others"'),  # rules are accepted by an apply
        ("filiera.toml", "range = [-40, 60]", "range = [-30, 60]"),
    ],
)
def test_after_an_edit_an_apply_looks_again_even_where_a_plan_finds_no_work(
    project: Path, name: str, old: str, new: str
) -> None:
    edit(project, old, new, name)
    settle(project)
    projects.filiera("plan", project=project)
    assert not apply(project)[1]
    assert apply(project)[1]


def test_a_revert_moves_the_environment_back_before_it_is_remembered(project: Path) -> None:
    before = json.loads(projects.filiera("status", "--json", project=project).stdout)["environments"]
    edit(project, "dt.hour.astype", "dt.dayofweek.astype")
    apply(project)
    edit(project, "dt.dayofweek.astype", "dt.hour.astype")
    settle(project)
    projects.filiera("plan", project=project)
    report, remembered = apply(project)
    assert not remembered
    assert report["steps"] == []
    assert report["generation"] == before[0]["generation"] + 2


def test_new_rows_more_trials_and_a_gated_environment_are_never_answered_from_memory(project: Path) -> None:
    (project / "data" / "later.csv").write_text(projects.rows(42, 1))
    report, remembered = apply(project)
    assert not remembered
    assert [step["asset"] for step in report["steps"]][:2] == ["readings", "features"]  # type: ignore[attr-defined]
    settle(project)
    projects.filiera("apply", project=project)
    assert "features" not in projects.filiera("apply", "--trials", "4", project=project).stdout
    assert projects.filiera("apply", "--environment", "prod", project=project, check=False).returncode == 7
    assert projects.filiera("apply", "--environment", "../dev", project=project, check=False).returncode == 8
