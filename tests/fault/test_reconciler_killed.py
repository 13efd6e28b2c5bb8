"""`filiera up` killed at any statement: the next one has one publication, no lost event, an unbroken audit chain."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from automations import Up, copy, drop, make_template, release

SCRIPT = Path(__file__).with_name("reconciler.py")
SHARES = 4


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows stand in dev and in prod, both are up to date, and a new file waits."""
    folder = tmp_path_factory.mktemp("killed")
    root = copy(make_template(folder / "template"), folder / "project")
    drop(root, 1)
    up = Up.open(root)
    up.turn(started=True)
    release(up.workspace)
    assert up.turn(later_s=1).texts == []
    assert up.generations() == 1
    up.workspace.close()
    drop(root, 2)
    return root


def killed(project: Path, folder: Path, share: int, of: int) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, SCRIPT, project, folder, str(share), str(of)],
        capture_output=True, text=True, check=False, timeout=3000,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("share", range(1, SHARES + 1))
def test_F02_up_killed_at_every_statement_publishes_once_and_loses_no_event(
    project: Path, tmp_path: Path, share: int
) -> None:
    calm = Up.open(Path(shutil.copytree(project, tmp_path / "calm")))
    for _ in range(4):
        calm.turn(later_s=61)
    expected = calm.state()
    assert expected["generations"] == [2, 2]
    lines = killed(project, tmp_path, share, SHARES)
    assert len(lines) > 50
    assert [line["status"] for line in lines] == [9] * (len(lines) - 1) + [0]
    for line in lines:
        assert line["chain"], line
        assert line["chain_after"], line
        assert all(number <= 2 for number in line["then"]["generations"]), line
        assert line["end"] == expected, line
        assert line["data"] >= 2, line
        assert [text for text in line["intents"] if not text.endswith(("done", "stale"))] == [], line
    assert {tuple(line["then"]["generations"]) for line in lines} >= {(1, 1), (1, 2)}
