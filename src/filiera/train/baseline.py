"""What needs no model: the bar that a model must beat, scored on the same windows.

Each knows what a model knows: the rows of the window's training range, and the inputs of the tested rows.

    mean         one number: the mean target of the training range
    persistence  the last known target of the same device before the window's training end, held for the window
    seasonal     mean target of the same device at the same hour of the week (of the day, below four weeks of rows)
    linear       least squares on the inputs; missing inputs take their mean
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from filiera.core.trial import Baseline
from filiera.runner.matrix import Floats, Matrix, Rows, Window
from filiera.runner.score import score

HOUR_US = 3_600_000_000
WEEK_HOURS = 168


def baselines(matrix: Matrix, windows: Sequence[Window], score_name: str) -> tuple[Baseline, ...]:
    """Every baseline, the best first."""
    found = []
    for name, predict in _BASELINES.items():
        if windows[0].others and name in ("persistence", "seasonal"):
            continue  # rows without time have neither a last value nor an hour
        scores = [_scored(matrix, window, score_name, predict) for window in windows]
        found.append(Baseline(name=name, score=float(np.mean(scores)), window_scores=tuple(scores)))
    return tuple(sorted(found, key=lambda baseline: (baseline.score, baseline.name)))


Predict = Callable[[Matrix, Rows, slice], Floats]


def _scored(matrix: Matrix, window: Window, score_name: str, predict: Predict) -> float:
    train, test = matrix.split(window)
    return score(score_name, matrix.y[test], predict(matrix, train, test))


def _mean(matrix: Matrix, train: Rows, test: slice) -> Floats:
    return np.full(test.stop - test.start, matrix.y[train].mean())


def _persistence(matrix: Matrix, train: Rows, test: slice) -> Floats:
    device, target = matrix.device[train], matrix.y[train]
    known, newest = np.unique(device[::-1], return_index=True)
    last = dict(zip(known.tolist(), target[::-1][newest].tolist(), strict=True))
    devices, places = np.unique(matrix.device[test], return_inverse=True)
    held: Floats = np.array([last.get(int(code), target.mean()) for code in devices], np.float64)
    return held[places]


def _seasonal(matrix: Matrix, train: Rows, test: slice) -> Floats:
    times = matrix.time[train]
    period = WEEK_HOURS if times[-1] - times[0] >= 4 * WEEK_HOURS * HOUR_US else 24
    width = int(matrix.device.max()) + 2

    def place(rows: Rows) -> npt.NDArray[np.int64]:
        hour = (matrix.time[rows] // HOUR_US) % period
        return (matrix.device[rows].astype(np.int64) + 1) * period + hour

    sums = np.bincount(place(train), matrix.y[train], width * period)
    counts = np.bincount(place(train), minlength=width * period)
    with np.errstate(invalid="ignore"):
        means = np.where(counts > 0, sums / np.maximum(counts, 1), matrix.y[train].mean())
    found: Floats = means[place(test)]
    return found


def _linear(matrix: Matrix, train: Rows, test: slice) -> Floats:
    known = np.isfinite(matrix.x[train])
    counts = known.sum(axis=0)
    centre = np.where(known, matrix.x[train], 0.0).sum(axis=0) / np.maximum(counts, 1)

    def design(rows: Rows) -> Floats:
        values = matrix.x[rows]
        filled = np.where(np.isfinite(values), values, centre) - centre
        return np.column_stack([filled, np.ones(len(filled))])

    weights, *_ = np.linalg.lstsq(design(train), matrix.y[train], rcond=None)
    found: Floats = design(test) @ weights
    return found


_BASELINES: dict[str, Predict] = {
    "mean": _mean,
    "persistence": _persistence,
    "seasonal": _seasonal,
    "linear": _linear,
}
