"""The same trials without filiera, for the memory benchmark: peer_trials.py copies|memmap TRIALS FOLDER.

copies  multiprocessing: each worker gets its own pickled copy of the rows
memmap  joblib as it comes: large arrays go through a file that the workers map
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time

import joblib
import numpy as np

from descent import DAY_US, MINUTE_US, NAMES, ROWS, WORKERS, BlockDescent, columns, say

MONTH = 30 * DAY_US // MINUTE_US
_mine: list[np.ndarray] = []  #: a worker's own copy


def arrays() -> tuple[np.ndarray, np.ndarray]:
    made = columns()
    return np.column_stack([made[name] for name in NAMES]), made["y"]


def settings(trials: int) -> list[tuple[float, float]]:
    draw = np.random.default_rng(3)
    return [(10 ** draw.uniform(-3, -1), 10 ** draw.uniform(-6, -1)) for _ in range(trials)]


def trial(x: np.ndarray, y: np.ndarray, rate: float, shrink: float) -> float:
    """Three windows of thirty days, each trained on all rows before it, as the study has them."""
    scores = []
    for low in range(ROWS // MONTH * MONTH - 3 * MONTH, ROWS - MONTH, MONTH):
        fitted = BlockDescent(rate, shrink).fit(x[:low], y[:low])
        scores.append(np.abs(fitted.predict(x[low : low + MONTH]) - y[low : low + MONTH]).mean())
    return float(np.mean(scores))


def keep(*rows: np.ndarray) -> None:
    _mine.extend(rows)


def own_trial(of: tuple[float, float]) -> float:
    return trial(*_mine, *of)


def who(_: int) -> int:
    time.sleep(0.5)
    return os.getpid()


def copies(trials: int) -> None:
    rows = arrays()
    say(phase="prepare")
    with multiprocessing.get_context("spawn").Pool(WORKERS, keep, rows) as pool:
        while len(set(pool.map(who, range(2 * WORKERS), 1))) < WORKERS:
            pass  # until every worker has its rows
        say(phase="trials")
        say(end=len(pool.map(own_trial, settings(trials), 1)))


def memmap(trials: int) -> None:
    x, y = arrays()
    say(phase="prepare")
    with joblib.Parallel(n_jobs=WORKERS) as pool:
        pool(joblib.delayed(trial)(x, y, *of) for of in settings(WORKERS))
        say(phase="trials")
        say(end=len(pool(joblib.delayed(trial)(x, y, *of) for of in settings(trials))))


if __name__ == "__main__":
    {"copies": copies, "memmap": memmap}[sys.argv[1]](int(sys.argv[2]))
