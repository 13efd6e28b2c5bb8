"""Rows, models and matrices for the tests of training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from filiera.core.asset import Code, Frame, Model, Parameter, Port, Split
from filiera.core.trial import Trial, TrialState
from filiera.engine.memory import SharedBuffer
from filiera.runner.matrix import Matrix
from filiera.train.matrix import share_matrix
from filiera.train.search import StudyRequest
from filiera.train.split import windows

DAY_US = 86_400_000_000
HOUR_US = DAY_US // 24
START_US = 16_140 * DAY_US  # 2014-03-11
PIPELINES = str(Path(__file__).parent / "unit" / "runner")
ALPHA = Parameter(name="alpha", kind="float", low=0.01, high=100.0, log=True)


def rows(days: int = 60, *, seed: int = 0, step_us: int = 6 * HOUR_US) -> pa.Table:
    """Two devices; power follows wind, with noise."""
    draw = np.random.default_rng(seed)
    count = days * DAY_US // step_us
    times = np.repeat(START_US + np.arange(count) * step_us, 2)
    wind = draw.gamma(4, 2, 2 * count)
    return pa.table(
        {
            "turbine": pa.array(["a", "b"] * count).dictionary_encode(),
            "at": pa.array(times, pa.timestamp("us", "UTC")),
            "wind": wind,
            "gust": wind * draw.uniform(1.1, 1.6, 2 * count),
            "power": 10 * wind**1.5 + draw.normal(0, 5, 2 * count),
        }
    )


def model(name: str = "ridge", **changes: Any) -> Model:
    values: dict[str, Any] = {
        "name": name,
        "inputs": (Port("rows", Frame.PANDAS),),
        "predicts": "power",
        "features": ("wind", "gust"),
        "split": Split(kind="backtest", windows=3, train_us=20 * DAY_US, test_us=10 * DAY_US, gap_us=DAY_US),
        "space": (ALPHA,),
        "trials": 12,
        "form": "estimator",
        "score": "mae",
        "seed": 3,
        "code": Code(module="pipelines", name=name, digest="", manifest={}),
    }
    return Model(**(values | changes))


def share(
    table: pa.Table, definition: Model, *, joined: bool = False, time: str | None = "at"
) -> tuple[SharedBuffer, Matrix]:
    key = ("turbine", "at") if time else ("turbine", "wind")
    return share_matrix(table, definition, key=key, time=time, device="turbine", units={"wind": "m/s"}, joined=joined)


def request(definition: Model, **changes: Any) -> StudyRequest:
    buffer, matrix = share(rows(), definition)
    values: dict[str, Any] = {
        "model": definition,
        "rows": buffer,
        "windows": windows(definition.split, matrix.time),
        "bundle": PIPELINES,
        "trials": definition.trials,
        "lag": 2,
    }
    return StudyRequest(**(values | changes))


class TrialList:
    """Keeps trials as a ledger does: a start once, an end once."""

    def __init__(self, earlier: Sequence[Trial] = ()) -> None:
        self.trials = {trial.number: trial for trial in earlier}

    def add_trials(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            assert trial.number not in self.trials
            assert trial.state is TrialState.RUNNING
            self.trials[trial.number] = trial

    def finish_trials(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            assert self.trials[trial.number].state is TrialState.RUNNING
            self.trials[trial.number] = trial

    def interrupt_trials(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            assert trial.state is TrialState.RUNNING
            if self.trials[trial.number].state is TrialState.RUNNING:
                self.trials[trial.number] = trial

    def list_trials(self) -> list[Trial]:
        return [self.trials[number] for number in sorted(self.trials)]
