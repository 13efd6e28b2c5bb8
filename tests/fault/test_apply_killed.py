"""apply killed by SIGKILL at any instant and run again gives what an undisturbed run gives (F01, F02, F42, A33)."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import projects
from filiera.ledger import sources, studies
from filiera.workspace import Workspace

KILLS = 25  #: a group; four groups run side by side


def outcome(root: Path) -> dict[str, Any]:
    """Everything that must be equal: digests of tables, quarantined records, trials, the model."""
    with Workspace.open(root) as workspace:
        tables = {name: workspace.snapshot(name).semantic for name in ("readings", "features")}
        with workspace.ledger.reading() as connection:
            counts = sources.count_rows(connection, "readings")
            trials = [
                t for s in studies.list_studies(connection, "usage") for t in studies.list_trials(connection, s.id)
            ]
        poor = {
            (i["path"], r["record"], r["reason"], r["raw"])
            for i in workspace.quarantine(examples=10**6)
            for r in i["examples"]
        }
        assert workspace.verify_audit().ok
        return {
            "tables": tables,
            "counts": (counts.rows_read, counts.accepted, counts.quarantined, counts.duplicates),
            "quarantine": poor,
            "trials": {(t.number, repr(sorted(t.settings.items())), t.state.value, t.score) for t in trials},
            "models": [version.digest for version in workspace.models()],
        }


def start(root: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "filiera", "--project", str(root), "apply"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))


@pytest.mark.slow
@pytest.mark.parametrize("group", range(4))
def test_F01_F02_F42_apply_killed_at_random_instants_ends_like_an_undisturbed_run(tmp_path: Path, group: int) -> None:
    template = projects.make(tmp_path / "template")
    calm = tmp_path / "calm"
    shutil.copytree(template, calm)
    began = time.monotonic()
    assert start(calm).wait(timeout=300) == 0
    length_s, expected = time.monotonic() - began, outcome(calm)
    assert expected["counts"][1] > 1900
    assert len(expected["trials"]) == 3
    chance, killed, round_number = random.Random(group), 0, 0
    while killed < KILLS:
        round_number += 1
        root = tmp_path / f"round{round_number}"
        shutil.copytree(template, root)
        while True:
            process = start(root)
            try:
                code = process.wait(timeout=chance.uniform(0.3, length_s))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
                if killed < KILLS:
                    continue
                code = start(root).wait(timeout=300)
            assert code == 0
            break
        assert outcome(root) == expected
        shutil.rmtree(root)
