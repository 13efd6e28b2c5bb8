"""The study that the memory benchmark watches: study_of_trials.py study TRIALS FOLDER.

What `apply` does after it has read the rows: the matrix in sealed memory, the study in a ledger, trials in processes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from descent import DAY_US, MINUTE_US, NAMES, ROWS, WORKERS, columns, say
from filiera.clock import SystemClock
from filiera.core.asset import Code, Frame, Model, Parameter, Port, Split
from filiera.core.trial import Study
from filiera.dimensions.context import PRELOAD
from filiera.dimensions.training import TrialLog
from filiera.engine.process import ProcessEngine
from filiera.ledger import studies
from filiera.ledger.journal import Ledger
from filiera.train.matrix import share_matrix
from filiera.train.split import windows
from filiera.train.study import StudyOutcome, StudyRequest, run_study
from filiera.train.worth import Rule

MODEL = Model(
    name="descent",
    inputs=(Port("rows", Frame.NUMPY),),
    predicts="y",
    features=tuple(NAMES),
    split=Split(kind="backtest", windows=3, test_us=30 * DAY_US),
    space=(
        Parameter(name="rate", kind="float", low=1e-3, high=0.1, log=True),
        Parameter(name="shrink", kind="float", low=1e-6, high=0.1, log=True),
    ),
    trials=100,
    form="estimator",
    score="mae",
    seed=3,
    code=Code(module="descent", name="descent", digest="", manifest={}),
)
ENDLESS = Rule(value=1e9, best_possible=None)  # no trial is too dear: all of them are made


def table() -> pa.Table:
    times = pa.array(np.arange(ROWS, dtype=np.int64) * MINUTE_US, pa.timestamp("us", "UTC"))
    return pa.table(columns() | {"at": times})


def begin(ledger: Ledger) -> Study:
    with ledger.commit(actor="bench", action="study.begin", object=MODEL.name) as tx:
        study = Study(id=tx.new_id("std"), model=MODEL.name, key="bench", created_us=tx.now_us, workers=WORKERS)
        studies.create_study(tx, study)
    return study


def search(rows: Any, matrix: Any, trials: int, folder: Path) -> StudyOutcome:
    ledger = Ledger.create(folder / "ledger.db", name="bench", currency="EUR", clock=SystemClock(), actor="bench")
    log = TrialLog(ledger, begin(ledger), "bench")
    request = StudyRequest(
        model=MODEL,
        rows=rows,
        windows=windows(MODEL.split, matrix.time),
        bundle=str(Path(__file__).resolve().parent),
        trials=trials,
        lag=WORKERS,
    )
    with ProcessEngine(WORKERS, preload=PRELOAD) as engine:
        return run_study(request, engine, log, rule=lambda _: ENDLESS, price=lambda _: 1)


def main(trials: int, folder: Path) -> None:
    made = table()
    say(phase="prepare")
    rows, matrix = share_matrix(made, MODEL, key=("at",), time="at", device=None)
    del made
    say(phase="trials")
    outcome = search(rows, matrix, trials, folder)
    say(end=sum(trial.score is not None for trial in outcome.trials))


if __name__ == "__main__":
    main(int(sys.argv[2]), Path(sys.argv[3]))
