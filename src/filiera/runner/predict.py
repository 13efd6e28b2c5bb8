"""Predictions of packaged models: as a parameter of a table, of training rows, and for the serving worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from filiera.errors import UsageError, nearest
from filiera.runner.fit import frame_of, predict_frame
from filiera.runner.matrix import Floats, Window, hash_keys, pack, read_matrix, unpack
from filiera.runner.package import load_package

Emit = Callable[[Any], None]
_loaded: dict[str, Any] = {}  #: the newest packages of this process, by digest
MOST_LOADED = 4


class PackagedModel:
    """A model version as a table function sees it: `predict(frame)`, never in-sample.

    Args:
        model: the loaded package.
        facts: `inputs` (name, type, categories), `train_high_us`, `key` (without the time), `time`.
        predictions: buffer of out-of-window predictions, or None.
    """

    def __init__(self, model: Any, facts: Mapping[str, Any], predictions: bytes | memoryview | None = None) -> None:
        self._model = model
        self._facts = facts
        self._known = _known(predictions, timed=facts["time"] is not None) if predictions is not None else None

    def predict(self, frame: Any) -> Floats:
        """One prediction a row, shape (rows,), in the target's unit.

        Rows before the end of the training get what a fit that had not seen them said; NaN where there is none. Without
        a time, rows whose key was trained on get what the fit of another fold said.

        Raises:
            UsageError: an input, the time or a key column is missing.
        """
        columns = _columns(frame)
        count = len(next(iter(columns.values()))) if columns else 0
        if self._facts["time"] is None:
            return self._predict_timeless(columns, count)
        times = _times(columns, self._facts["time"])
        later = times >= self._facts["train_high_us"]
        found: Floats = np.full(count, np.nan)
        if later.any():
            found[later] = self.predict_inputs({name: values[later] for name, values in columns.items()})
        if self._known is not None and not later.all():
            earlier = np.flatnonzero(~later)
            hashes = self._hashes({name: values[earlier] for name, values in columns.items()}, len(earlier))
            found[earlier] = _look_up(self._known, times[earlier], hashes)
        return found

    def _predict_timeless(self, columns: Mapping[str, Any], count: int) -> Floats:
        found: Floats = np.full(count, np.nan)
        if self._known is not None:
            found = _look_up(self._known, np.zeros(count, np.int64), self._hashes(columns, count))
        fresh = np.isnan(found)  # predictions of folds are finite, so these rows were not trained on
        if fresh.any():
            found[fresh] = self.predict_inputs({name: values[fresh] for name, values in columns.items()})
        return found

    def _hashes(self, columns: Mapping[str, Any], count: int) -> npt.NDArray[np.uint64]:
        keys = [_column(columns, name) for name in self._facts["key"]]
        return hash_keys(keys) if keys else np.zeros(count, np.uint64)

    def predict_inputs(self, columns: Mapping[str, Any]) -> Floats:
        """The package's own answer, whenever the rows are from; for rows that have no time."""
        x = np.column_stack([_input(columns, column) for column in self._facts["inputs"]])
        names = [column["name"] for column in self._facts["inputs"]]
        return predict_frame(self._model, frame_of(_frame_kind(self._model), x, names))


def load_model(
    package: bytes | memoryview, facts: Mapping[str, Any], predictions: bytes | memoryview | None = None
) -> PackagedModel:
    """The model of a package, checked.

    Args:
        package: bytes of record.
        facts: `format`, `runtime`, `inputs`, `train_high_us`, `key`, `time`.
        predictions: buffer of out-of-window predictions.
    """
    return PackagedModel(load_package(package, facts["format"], facts["runtime"]), facts, predictions)


def predict(arguments: Mapping[str, Any], inputs: Sequence[memoryview], _emit: Emit) -> dict[str, Any]:
    """Task: predictions for plain records, for the serving worker; the package stays loaded between calls.

    Args:
        arguments: `digest` of the package, `facts` as of `load_model`, and `records`, a list of name -> value.
        inputs: the package.
    """
    model = _loaded.get(arguments["digest"])
    if model is None:
        model = load_model(bytes(inputs[0]), arguments["facts"])
        while len(_loaded) >= MOST_LOADED:
            del _loaded[next(iter(_loaded))]
        _loaded[arguments["digest"]] = model
    names = [column["name"] for column in arguments["facts"]["inputs"]]
    records = arguments["records"]
    columns = {name: np.array([record.get(name) for record in records], object) for name in names}
    return {"predictions": [float(value) for value in model.predict_inputs(columns)] if records else []}


def predict_matrix(arguments: Mapping[str, Any], inputs: Sequence[memoryview], emit: Emit) -> dict[str, Any]:
    """Task: what a package says of training rows, for judging a champion, emitted as blocks `row` and `prediction`.

    Args:
        arguments: `facts` as of `load_model`, and `windows`: the rows of their test ranges.
        inputs: the training rows, the package.
        emit: takes the one buffer.

    Raises:
        UsageError: the rows do not have an input of the package any more.
    """
    matrix = read_matrix(inputs[0])
    model = load_model(bytes(inputs[1]), arguments["facts"])
    rows = [matrix.split(Window(*values))[1] for values in arguments["windows"]]
    columns = dict(zip(matrix.features, matrix.x.T, strict=True))
    coded = {column["name"]: column for column in matrix.header["inputs"]}
    for name in {column["name"] for column in arguments["facts"]["inputs"]} & set(coded):
        if coded[name]["type"] == "category":
            words = np.array([*coded[name]["categories"], None], object)
            codes = columns[name]
            columns[name] = words[np.where(np.isfinite(codes), codes, len(words) - 1).astype(int)]
    found = [model.predict_inputs({name: values[part] for name, values in columns.items()}) for part in rows]
    row = np.concatenate([np.arange(part.start, part.stop) for part in rows]).astype(np.int64)
    emit(b"".join(pack({"kind": "predictions", "rows": len(row)}, {"row": row, "prediction": np.concatenate(found)})))
    return {"rows": len(row)}


def _frame_kind(model: Any) -> str:
    return "pandas" if hasattr(model, "feature_names_in_") else "numpy"


def _columns(frame: Any) -> dict[str, Any]:
    """Columns of any frame as arrays."""
    if isinstance(frame, Mapping):
        return {name: np.asarray(values) for name, values in frame.items()}
    if hasattr(frame, "column_names"):  # pyarrow
        return {name: frame[name].to_pandas().to_numpy() for name in frame.column_names}
    return {str(name): frame[name].to_numpy() for name in frame.columns}


def _column(columns: Mapping[str, Any], name: str) -> Any:
    if name not in columns:
        raise UsageError(
            "predict.column_missing",
            f"the rows have no column {name}",
            found=", ".join(columns),
            next=nearest(name, columns),
        )
    return columns[name]


def _input(columns: Mapping[str, Any], column: Mapping[str, Any]) -> Floats:
    values = _column(columns, column["name"])
    if column["type"] == "category":
        codes = {word: float(place) for place, word in enumerate(column["categories"] or [])}
        return np.array(
            [codes.get(str(value), np.nan) if value is not None else np.nan for value in values], np.float64
        )
    try:
        found: Floats = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(
            "predict.column_type", f"column {column['name']} holds no numbers", expected="numbers"
        ) from error
    return found


def _times(columns: Mapping[str, Any], name: str) -> npt.NDArray[np.int64]:
    import pandas as pd

    values = pd.to_datetime(pd.Series(_column(columns, name)), utc=True)
    return np.asarray(values.dt.as_unit("us").astype("int64"), np.int64)


def _known(buffer: bytes | memoryview, *, timed: bool) -> dict[str, npt.NDArray[Any]]:
    """Predictions sorted for looking up; without a time the block `time` holds folds, which tell nothing of a row."""
    _, blocks = unpack(buffer)
    mixed = _mix(blocks["time"] if timed else np.zeros(len(blocks["key"]), np.int64), blocks["key"])
    order = np.argsort(mixed, kind="stable")
    return {"mixed": mixed[order], "prediction": blocks["prediction"][order]}


def _look_up(
    known: Mapping[str, npt.NDArray[Any]], times: npt.NDArray[np.int64], keys: npt.NDArray[np.uint64]
) -> Floats:
    mixed = _mix(times, keys)
    if not len(known["mixed"]):
        return np.full(len(mixed), np.nan)
    place = np.minimum(np.searchsorted(known["mixed"], mixed), len(known["mixed"]) - 1)
    found: Floats = np.where(known["mixed"][place] == mixed, known["prediction"][place].astype(np.float64), np.nan)
    return found


def _mix(times: npt.NDArray[np.int64], keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    mixed = (times.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) ^ keys
    mixed ^= mixed >> np.uint64(29)
    found: npt.NDArray[np.uint64] = mixed * np.uint64(0xBF58476D1CE4E5B9)
    return found
