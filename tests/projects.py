"""Small projects for tests: 2,000 rows of two devices, one table, one quick model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SETTINGS = """
[project]
name = "small"
owner = "tests"
purposes = ["testing"]

[source.readings]
from = "data/*.csv"
device = "device"
time = "at"

[source.readings.columns]
device = { type = "category" }
at     = { type = "time" }
load   = { unit = "kW", range = [0, 100] }
temp_c = { unit = "degC", range = [-40, 60], optional = true }
"""

PIPELINE = """
import pandas as pd
from sklearn.tree import DecisionTreeRegressor

import filiera as fl


@fl.table(partition="day", lookback="1h")
def features(readings: pd.DataFrame) -> pd.DataFrame:
    return readings.assign(hour=readings["at"].dt.hour.astype("float64"))


@fl.model(predicts="load", inputs=["temp_c", "hour"], trials=3, split=fl.backtest(windows=2, train="20d", test="7d"))
def usage(features, *, depth=fl.between(3, 9)):
    return DecisionTreeRegressor(max_depth=depth)
"""


def rows(first_day: int, days: int) -> str:
    """CSV rows every hour of two devices; one value out of range a day, one optional cell out of range a day."""
    lines = ["device,at,load,temp_c"]
    for day in range(first_day, first_day + days):
        for hour in range(24):
            for number, device in enumerate(("a", "b")):
                temp = (day * 7 + hour * 3 + number) % 30
                load = 10 + (temp - 15) ** 2 / 6 + abs(hour - 12) + number + (day * 13 + hour * 7) % 3
                if hour == 5 and device == "a":
                    load = 500.0
                if hour == 6 and device == "b":
                    temp = 999
                when = f"2024-{1 + day // 28:02}-{1 + day % 28:02}T{hour:02}:00:00Z"
                lines.append(f"{device},{when},{load},{temp}")
    return "\n".join(lines) + "\n"


def make(root: Path, *, days: int = 42, files: int = 3) -> Path:
    """A project that is initialised but not applied."""
    (root / "data").mkdir(parents=True)
    (root / "filiera.toml").write_text(SETTINGS)
    (root / "pipeline.py").write_text(PIPELINE)
    per = days // files
    for number in range(files):
        (root / "data" / f"part{number}.csv").write_text(rows(number * per, per))
    from filiera.workspace import Workspace

    Workspace.create(root)[0].close()
    return root


def filiera(*words: str, project: Path, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would."""
    command = [sys.executable, "-m", "filiera", "--project", str(project), *words]
    done = subprocess.run(command, capture_output=True, text=True, input=stdin, env=dict(os.environ), timeout=300)
    if check and done.returncode:
        raise AssertionError(f"{words} gave {done.returncode}\n{done.stdout}\n{done.stderr}")
    assert "Traceback" not in done.stderr, done.stderr
    return done
