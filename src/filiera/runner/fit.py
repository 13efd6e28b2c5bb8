"""Tasks that fit: one trial over its windows, the final fit, and a look at a model before any training.

The user's function of an *estimator form* gets an empty frame of the features for its table parameter and gives an
unfitted estimator, which is fitted here. Of a *trainer form* it gets `train` and `valid` (features and target) and
gives a fitted model; `valid` is the newest fifth of the training rows, so the tested rows stay unseen. Each window
starts from a fresh call.

What is copied. The rows lie once in sealed memory, in float64 and sorted by time, and every trial maps them. For an
estimator they are one block of features and one of the target; for a trainer one block of rows, each with its
features and its target, of which features and target are views.

    form        frame            features          with the target (trainer)
    estimator   numpy, pandas    a view            -
    estimator   polars, pyarrow  fitted as pandas: a view
    trainer     numpy, pandas    a view            a view; the target is the last column
    trainer     polars, pyarrow  one copy a call   one copy a call: they keep columns apart

Views cannot be written to. A window in time is a slice. A fold is every row but those of one range: its training rows
are picked by index, which is one copy of them a fit, whatever the frame. What an estimator copies inside (another
type, another order, its own bins) is its own; HistGradientBoosting reads float64 as it lies and stores its bins in a
byte a value.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from filiera.core.asset import Model, Parameter
from filiera.errors import WorkError
from filiera.runner.definitions import load_function
from filiera.runner.matrix import Floats, Matrix, Rows, Window, pack, read_matrix, unpack
from filiera.runner.package import dump_model, package_format, runtime_of
from filiera.runner.score import score

VALID_SHARE = 0.2
Emit = Callable[[Any], None]


def fit_arguments(model: Model, settings: Mapping[str, Any], windows: Sequence[Window]) -> dict[str, Any]:
    """Arguments of the tasks here."""
    return {
        "module": model.code.module,
        "name": model.code.name,
        "form": model.form,
        "parameter": model.inputs[0].asset,
        "frame": model.inputs[0].frame.value,
        "settings": dict(settings),
        "seed": model.seed,
        "score": model.score,
        "windows": [window.to_json() for window in windows],
        "features": list(model.features),
    }


def default_settings(space: Sequence[Parameter]) -> dict[str, Any]:
    """The middle of every range (of its logarithm, where that is searched) and the first of every choice."""
    return {parameter.name: middle(parameter) for parameter in space}


def middle(parameter: Parameter) -> Any:
    """The middle of a range, or the first of a choice."""
    if parameter.kind in ("choice", "fixed"):
        return parameter.choices[0]
    assert parameter.low is not None
    assert parameter.high is not None
    found = (parameter.low * parameter.high) ** 0.5 if parameter.log else (parameter.low + parameter.high) / 2
    return round(found) if parameter.kind == "integer" else found


@dataclass(frozen=True, slots=True)
class JoinedMatrix(Matrix):
    """Rows for a trainer: `x` and `y` are views of one block."""

    xy: Floats  #: shape (rows, features + 1), C order; the target is the last column


def map_rows(buffer: bytes | memoryview) -> Matrix:
    """The training rows in a buffer, of either layout.

    A buffer for a trainer has a block `xy`, float64 (rows, features + 1) in C order, in place of `x` and `y`.
    """
    header, blocks = unpack(buffer)
    if "xy" not in blocks:
        return read_matrix(buffer)
    rows = blocks["xy"]
    return JoinedMatrix(rows[:, :-1], rows[:, -1], blocks["time"], blocks["key"], blocks["device"], header, rows)


def probe(arguments: Mapping[str, Any], _inputs: Sequence[memoryview], _emit: Emit) -> dict[str, Any]:
    """Task: what the model could be packaged as, before any training.

    Args:
        arguments: as of `fit_trial`; `features` instead of a matrix.

    Returns:
        `format` and `reason` ("" when it can be released); of a trainer form the format "" without a reason: it is
        known after the first fit only.
    """
    if arguments["form"] == "trainer":
        return {"format": "", "reason": "", "note": "a function that fits by itself shows its type after the first fit"}
    names = list(arguments["features"])
    estimator = _estimator(arguments, np.empty((0, len(names))), names)
    form, reason = package_format(estimator)
    return {"format": form, "reason": reason, "note": ""}


def fit_trial(arguments: Mapping[str, Any], inputs: Sequence[memoryview], _emit: Emit) -> dict[str, Any]:
    """Task: fit and score one configuration on every window.

    Args:
        arguments: `module`, `name` and `form` of the function; `parameter`, the name of its table parameter; `frame`
            it wants; `settings`; `seed`; `score` ("mae" or "rmse"); `windows` as of `Window.to_json`.
        inputs: the training rows.

    Raises:
        WorkError: the function gave None, or something that cannot fit or predict, or a prediction is no finite
            number.
    """
    matrix = map_rows(inputs[0])
    scores = []
    warnings: set[str] = set()
    for values in arguments["windows"]:
        train, test = matrix.split(Window(*values))
        model = _fit(arguments, matrix, train, warnings)
        scores.append(score(arguments["score"], matrix.y[test], _predict_rows(arguments, model, matrix, test)))
    return {"score": float(np.mean(scores)), "window_scores": scores, "warnings": sorted(warnings)}


def refit(arguments: Mapping[str, Any], inputs: Sequence[memoryview], emit: Emit) -> dict[str, Any]:
    """Task: fit the chosen settings on the newest rows, and tell what each window's fit said of rows it had not seen.

    Emits the predictions (blocks `row`, `time`, `key` and `prediction`, layout of `filiera.runner.matrix`), then the
    package where there is one.

    Args:
        arguments: as of `fit_trial`, and `range`: low and high of the final fit.
        inputs: the training rows.
        emit: takes the predictions, then the package.
    """
    matrix = map_rows(inputs[0])
    warnings: set[str] = set()
    rows, predictions, scores = [], [], []
    for values in arguments["windows"]:
        train, test = matrix.split(Window(*values))
        predictions.append(_predict_rows(arguments, _fit(arguments, matrix, train, warnings), matrix, test))
        rows.append(np.arange(test.start, test.stop))
        scores.append(score(arguments["score"], matrix.y[test], predictions[-1]))
    _emit_predictions(matrix, rows, predictions, emit)
    low, high = arguments["range"]
    newest: Rows = matrix.between(low, high) if matrix.header["time"] else slice(0, len(matrix.y))
    form, data, reason = dump_model(_fit(arguments, matrix, newest, warnings))
    if form:
        emit(data)
    return {
        "format": form,
        "reason": reason,
        "inputs": _seen(matrix, newest),
        "rows": len(matrix.y[newest]),
        "train_low_us": low,
        "train_high_us": high,
        "window_scores": scores,
        "runtime": runtime_of(form),
        "warnings": sorted(warnings),
    }


def predict_frame(model: Any, frame: Any) -> Floats:
    """One finite number a row.

    Raises:
        WorkError: the model gives another count of rows, or a value that is no finite number.
    """
    if type(model).__module__.partition(".")[0] == "xgboost" and hasattr(model, "inplace_predict"):
        found = model.inplace_predict(np.asarray(frame, np.float64))
    elif type(model).__module__.partition(".")[0] == "lightgbm" and not hasattr(model, "get_params"):
        found = model.predict(np.asarray(frame, np.float64))
    else:
        found = model.predict(frame)
    try:
        values: Floats = np.asarray(found, np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise WorkError("train.bad_predictions", "predict gave no numbers", found=type(found).__name__) from error
    if len(values) != len(frame):
        raise WorkError(
            "train.bad_predictions",
            "predict gave another number of rows",
            expected=str(len(frame)),
            found=str(len(values)),
        )
    wrong = int((~np.isfinite(values)).sum())
    if wrong:
        raise WorkError(
            "train.not_finite", "a prediction is no finite number", found=f"{wrong} of {len(values)}",
            next="look at missing values, or at a learning rate that is too high",
        )  # fmt: skip
    return values


def frame_of(kind: str, x: Floats, names: Sequence[str]) -> Any:
    """Features in the form a function wants; for pandas and numpy a view, not a copy."""
    if kind == "numpy":
        return x
    if kind == "polars":
        import polars as pl

        return pl.from_numpy(x, schema=list(names))
    if kind == "pyarrow":
        import pyarrow as pa

        return pa.table({name: x[:, place] for place, name in enumerate(names)})
    import pandas as pd

    return pd.DataFrame(x, columns=list(names), copy=False)


def _fit(arguments: Mapping[str, Any], matrix: Matrix, rows: Rows, warnings: set[str]) -> Any:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    _seed_all(arguments["seed"])
    with threadpool_limits(1):
        if arguments["form"] == "trainer":
            return _trained(arguments, matrix, rows)
        estimator = _estimator(arguments, matrix.x[:0], matrix.features)
        x = frame_of(_estimator_frame(arguments), matrix.x[rows], matrix.features)
        warnings.update(_early_stopping(estimator, len(x)))
        return estimator.fit(x, matrix.y[rows])


def _estimator(arguments: Mapping[str, Any], empty: Floats, names: Sequence[str]) -> Any:
    function = load_function(arguments["module"], arguments["name"])
    placeholder = {arguments["parameter"]: frame_of(arguments["frame"], empty, names)}
    estimator = function(**placeholder, **arguments["settings"])
    if estimator is None:
        raise _returned_none(arguments)
    if not hasattr(estimator, "fit") or isinstance(estimator, type):
        raise WorkError(
            "train.no_estimator", f"model function {arguments['name']} gave no estimator",
            expected="an unfitted estimator with fit and predict", found=type(estimator).__name__,
        )  # fmt: skip
    _settle(estimator, arguments["seed"])
    return estimator


def _settle(estimator: Any, seed: int) -> None:
    """Every source of chance gets the study's seed, every pool of threads becomes one."""
    if not hasattr(estimator, "get_params"):
        return
    fixed = {}
    for name in estimator.get_params(deep=True):
        last = name.rpartition("__")[2]
        if last == "random_state":
            fixed[name] = seed
        elif last == "n_jobs":
            fixed[name] = 1
    estimator.set_params(**fixed)


def _trained(arguments: Mapping[str, Any], matrix: Matrix, rows: Rows) -> Any:
    index = np.arange(len(matrix.y))[rows]
    edge = len(index) - max(1, int(len(index) * VALID_SHARE))
    parts = {"train": rows_between(rows, index, 0, edge), "valid": rows_between(rows, index, edge, len(index))}
    frames = {name: _with_target(arguments["frame"], matrix, part) for name, part in parts.items()}
    function = load_function(arguments["module"], arguments["name"])
    if arguments["parameter"] in inspect.signature(function).parameters:  # it names the table; the rows are in train
        frames[arguments["parameter"]] = frame_of(arguments["frame"], matrix.x[:0], matrix.features)
    model = function(**frames, **arguments["settings"])
    if model is None:
        raise _returned_none(arguments)
    if not hasattr(model, "predict"):
        raise WorkError(
            "train.no_model", f"model function {arguments['name']} gave nothing that predicts",
            expected="a fitted model with predict", found=type(model).__name__,
        )  # fmt: skip
    return model


def rows_between(rows: Rows, index: Any, low: int, high: int) -> Rows:
    """Part of some rows, as a slice where they are one."""
    return (
        slice(int(index[low]), int(index[high - 1]) + 1) if isinstance(rows, slice) and high > low else index[low:high]
    )


def _with_target(kind: str, matrix: Matrix, rows: Rows) -> Any:
    """Features, and the target as the last column."""
    names = [*matrix.features, matrix.header["target"]]
    if isinstance(matrix, JoinedMatrix):
        return frame_of(kind, matrix.xy[rows], names)
    return frame_of(kind, np.column_stack([matrix.x[rows], matrix.y[rows]]), names)


def _predict_rows(arguments: Mapping[str, Any], model: Any, matrix: Matrix, rows: slice) -> Floats:
    kind = arguments["frame"] if arguments["form"] == "trainer" else _estimator_frame(arguments)
    return predict_frame(model, frame_of(kind, matrix.x[rows], matrix.features))


def _estimator_frame(arguments: Mapping[str, Any]) -> str:
    return "numpy" if arguments["frame"] == "numpy" else "pandas"


def _early_stopping(estimator: Any, rows: int) -> list[str]:
    parameters = estimator.get_params(deep=True) if hasattr(estimator, "get_params") else {}
    found = []
    for name, value in parameters.items():
        if name.rpartition("__")[2] == "early_stopping" and (value is True or (value == "auto" and rows > 10_000)):
            found.append(
                f"{name}={value!r} stops by rows drawn at random in time, which flatters the fit; "
                "write early_stopping=False, or use a function with train and valid"
            )
    return found


def _emit_predictions(matrix: Matrix, rows: list[Any], predictions: list[Floats], emit: Emit) -> None:
    row = np.concatenate(rows).astype(np.int64)
    blocks: dict[str, npt.NDArray[Any]] = {
        "row": row,
        "time": matrix.time[row],
        "key": matrix.key[row],
        "prediction": np.concatenate(predictions).astype(np.float32),
    }
    emit(b"".join(pack({"kind": "predictions", "rows": len(row)}, blocks)))


def _seen(matrix: Matrix, rows: Rows) -> list[dict[str, Any]]:
    """The input schema with the ranges that the final fit saw."""
    inputs = []
    for place, column in enumerate(matrix.header["inputs"]):
        values = matrix.x[rows][:, place]
        known = values[np.isfinite(values)]
        numeric = column["type"] != "category" and len(known) > 0
        low, high = (float(known.min()), float(known.max())) if numeric else (None, None)
        inputs.append({**column, "low": low, "high": high, "nulls": int(len(values) - len(known))})
    return inputs


def _returned_none(arguments: Mapping[str, Any]) -> WorkError:
    return WorkError(
        "train.returned_none", f"model function {arguments['name']} returned None",
        expected="a fitted model" if arguments["form"] == "trainer" else "an unfitted estimator",
        next="is a `return` missing?",
    )  # fmt: skip


def _seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)  # user code may draw from the global generators
