"""Fit: one trial over all windows, the final fit, and the out-of-window predictions, on the mapped matrix.

Every task maps the same rows read-only; a window is a slice of them.
"""

from __future__ import annotations

import importlib
import json
import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from filiera.errors import CodeError, WorkError
from filiera.runner.package import dump_model, package_format

Values = npt.NDArray[np.float64]
Emit = Callable[[Any], None]


class Rows:
    """The mapped training rows: `values`, `target`, `times` as read-only views."""

    def __init__(self, view: memoryview) -> None:
        size = int.from_bytes(view[:8], "little")
        header = json.loads(bytes(view[8 : 8 + size]))
        rows, self.features = header["rows"], header["features"]
        start, width = -(-(8 + size) // 64) * 64, len(header["features"])
        end = start + rows * width * 8
        self.values = np.frombuffer(view[start:end], np.float64).reshape(rows, width)
        self.target = np.frombuffer(view[end : end + rows * 8], np.float64)
        self.times = np.frombuffer(view[end + rows * 8 : end + rows * 16], np.int64)

    def frame(self, rows: slice | npt.NDArray[np.int64], target: str) -> Any:
        """A pandas frame of some rows: a view of the matrix for a slice, with the target as last column."""
        import pandas as pd

        frame = pd.DataFrame(self.values[rows], columns=self.features, copy=False)
        frame[target] = self.target[rows]
        return frame


def fit_trial(arguments: Mapping[str, Any], inputs: Sequence[memoryview], _emit: Emit) -> dict[str, Any]:
    """Task: score one configuration on every window.

    Args:
        arguments: `module`, `name`, `form`, `settings`, `target`, `score`, `seed`, and `windows` as row indices
            (train low, train high, test low, test high) or `folds` as a count with fold codes in the second input.
        inputs: the shared rows, and for folds the fold of each row.
    """
    rows = Rows(inputs[0])
    scores = []
    for train, test in divisions(arguments, inputs):
        predicted = _fit(arguments, rows, train, test)[1]
        scores.append(_score(arguments["score"], rows.target[test], predicted))
    return {"window_scores": scores, "score": float(np.mean(scores))}


def refit(arguments: Mapping[str, Any], inputs: Sequence[memoryview], emit: Emit) -> dict[str, Any]:
    """Task: fit the chosen settings on the newest rows, and emit the package, then the out-of-window predictions.

    The second output is float32, one value a row: what the model of each window said of that window's rows; NaN for
    rows in no window.
    """
    rows = Rows(inputs[0])
    honest = np.full(len(rows.target), np.nan, np.float32)
    for train, test in divisions(arguments, inputs):
        honest[test] = _fit(arguments, rows, train, test)[1]
    low, high = arguments["refit"]
    model = _fit(arguments, rows, slice(low, high), None)[0]
    kind, reason = package_format(model)
    if kind:
        emit(dump_model(model, kind))
    emit(honest.tobytes())
    return {"format": kind, "releasable": reason, "type": f"{type(model).__module__}.{type(model).__qualname__}"}


def probe(arguments: Mapping[str, Any], _inputs: Sequence[memoryview], _emit: Emit) -> dict[str, Any]:
    """Task: build the estimator once, unfitted: can what it becomes be released, and is it repeatable?"""
    if arguments["form"] == "trainer":
        return {"format": "", "reason": "", "warnings": []}
    estimator = _estimator(arguments)
    kind, reason = package_format(estimator)
    notes = []
    stopping = getattr(estimator, "early_stopping", False)
    if stopping is True or stopping == "auto":
        notes.append("early stopping validates on rows drawn at random in time; early_stopping=False is exact")
    return {"format": kind, "reason": reason, "warnings": notes}


def divisions(
    arguments: Mapping[str, Any], inputs: Sequence[memoryview]
) -> list[tuple[slice | npt.NDArray[np.int64], slice | npt.NDArray[np.int64]]]:
    """Training and test rows of each window: slices in time, index arrays for folds."""
    if "folds" in arguments:
        codes = np.frombuffer(inputs[1], np.int64)
        return [(np.flatnonzero(codes != fold), np.flatnonzero(codes == fold)) for fold in range(arguments["folds"])]
    return [(slice(a, b), slice(c, d)) for a, b, c, d in arguments["windows"]]


def _fit(
    arguments: Mapping[str, Any],
    rows: Rows,
    train: slice | npt.NDArray[np.int64],
    test: slice | npt.NDArray[np.int64] | None,
) -> tuple[Any, Values | None]:
    random.seed(arguments["seed"])
    np.random.seed(arguments["seed"] % 2**32)  # noqa: NPY002 - libraries still draw from the global generator
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a library's advice in a trial is the user's to read in a notebook
        if arguments["form"] == "trainer":
            valid = test if test is not None else train
            model = _function(arguments)(
                **arguments["settings"],
                train=rows.frame(train, arguments["target"]),
                valid=rows.frame(valid, arguments["target"]),
                **_placeholder(arguments),
            )
        else:
            model = _estimator(arguments)
            model.fit(rows.values[train], rows.target[train])
        if not hasattr(model, "predict"):
            raise CodeError(
                "code.no_model", f"{arguments['name']} returned {_described(model)}",
                expected="an estimator with fit and predict, such as HistGradientBoostingRegressor(...)",
            )
        return model, None if test is None else _predict(model, rows, test, arguments)


def _predict(model: Any, rows: Rows, test: slice | npt.NDArray[np.int64], arguments: Mapping[str, Any]) -> Values:
    values = rows.values[test]
    if arguments["form"] == "trainer":
        values = rows.frame(test, arguments["target"]).drop(columns=arguments["target"])
    predicted = np.asarray(model.predict(values), np.float64).reshape(-1)
    if len(predicted) != len(rows.target[test]) or not np.isfinite(predicted).all():
        raise WorkError("train.not_finite", "the model predicts something else than one finite number a row")
    return predicted


def _estimator(arguments: Mapping[str, Any]) -> Any:
    estimator = _function(arguments)(**arguments["settings"], **_placeholder(arguments))
    if estimator is None or not hasattr(estimator, "fit"):
        raise CodeError(
            "code.no_model", f"{arguments['name']} returned {_described(estimator)}",
            expected="an unfitted estimator, such as HistGradientBoostingRegressor(...)",
            next="a missing `return` is the usual cause",
        )
    if hasattr(estimator, "get_params"):
        states = [n for n in estimator.get_params(deep=True) if n == "random_state" or n.endswith("__random_state")]
        estimator.set_params(**dict.fromkeys(states, arguments["seed"]))
    return estimator


def _described(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _placeholder(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The table parameter of a model function: a frame with the columns and no rows. Rows come by fit only."""
    import pandas as pd

    return {arguments["port"]: pd.DataFrame(columns=arguments["features"], dtype=float)}


def _function(arguments: Mapping[str, Any]) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(importlib.import_module(arguments["module"]), arguments["name"])
    return function


def _score(kind: str, actual: Values, predicted: Values | None) -> float:
    assert predicted is not None
    errors = predicted - actual
    return float(np.mean(np.abs(errors))) if kind == "mae" else float(np.sqrt(np.mean(errors**2)))
