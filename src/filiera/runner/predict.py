"""Predict: load a checked package in a child process and ask it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from filiera.errors import UnavailableError
from filiera.runner.package import schema_of, strange_parts

Values = npt.NDArray[np.float64]
#: Packages of these libraries are only read by the version that wrote them.
LIBRARIES = ("numpy", "scikit-learn", "skops", "lightgbm", "xgboost")


def runtime_of(kind: str) -> dict[str, str]:
    """The versions that a package of this format needs, as they are here."""
    from importlib.metadata import version

    names = {"skops": ("numpy", "scikit-learn", "skops"), "lightgbm": ("lightgbm",), "xgboost": ("xgboost-cpu",)}
    found = {name: version(name) for name in names.get(kind, ())}
    return {"python": ".".join(platform.python_version_tuple()[:2])} | found


def runtime(arguments: Mapping[str, Any], _inputs: Sequence[memoryview], _emit: Callable[[Any], None]) -> dict[str, str]:
    """Task: the versions that a package of `format` needs."""
    return runtime_of(arguments["format"])


def load(package: bytes, kind: str, needed: Mapping[str, str]) -> Any:
    """A model from its package.

    Raises:
        UnavailableError: the runtime differs from the one the package was written with, or a type is not on the list.
    """
    here = runtime_of(kind)
    if dict(needed) != here:
        differs = ", ".join(f"{n} {needed.get(n)} here {here.get(n)}" for n in sorted({*needed, *here}) if needed.get(n) != here.get(n))
        raise UnavailableError(
            "model.runtime", "this runtime is not the one the model was made with", found=differs,
            next="serve it with its own runtime, or train and release it again",
        )
    if kind == "lightgbm":
        import lightgbm

        return lightgbm.Booster(model_str=package.decode())
    if kind == "xgboost":
        return _load_xgboost(package)
    schema = schema_of(package)
    strange = sorted(strange_parts(schema))
    if strange:
        raise UnavailableError("model.unsafe", "the package holds types that are not on the list", found=strange[0])
    import skops.io

    return skops.io.loads(package, trusted=sorted(_named(schema)))


def _named(schema: Any) -> set[str]:
    """Types of a schema that was checked against the list."""
    if isinstance(schema, list):
        return set().union(*(_named(value) for value in schema)) if schema else set()
    if not isinstance(schema, dict):
        return set()
    own = {f"{schema['__module__']}.{schema['__class__']}"} if "__class__" in schema else set()
    return own.union(*(_named(value) for value in schema.values()))


def _load_xgboost(package: bytes) -> Any:
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(bytearray(package))
    return booster


def ask(model: Any, kind: str, values: Values) -> Values:
    """One prediction a row; `values` has shape (rows, features)."""
    if kind == "xgboost":
        import xgboost

        return np.asarray(model.predict(xgboost.DMatrix(values)), np.float64)
    return np.asarray(model.predict(values), np.float64).reshape(-1)


@lru_cache(maxsize=4)
def _cached(package: bytes, kind: str, needed: tuple[tuple[str, str], ...]) -> Any:
    return load(package, kind, dict(needed))


def predict(
    arguments: Mapping[str, Any], inputs: Sequence[memoryview], _emit: Callable[[Any], None]
) -> dict[str, Any]:
    """Task: ask a model.

    Args:
        arguments: `format`, `runtime` and `width`, the number of features.
        inputs: the package, and the rows as float64 in C order.
    """
    needed = tuple(sorted(arguments["runtime"].items()))
    model = _cached(bytes(inputs[0]), arguments["format"], needed)
    values = np.frombuffer(inputs[1], np.float64).reshape(-1, arguments["width"])
    return {"predictions": ask(model, arguments["format"], values).tolist()}


class LoadedModel:
    """What a table function gets for a `fl.Model` parameter.

    Rows with a time before the model's last training instant get the out-of-window prediction of their key, null
    where there is none; later rows get the model's own. So no value is ever in-sample.
    """

    def __init__(self, arguments: Mapping[str, Any], inputs: Sequence[memoryview]) -> None:
        self._arguments = arguments
        self._model = load(bytes(inputs[0]), arguments["format"], arguments["runtime"])
        self._honest = np.frombuffer(inputs[1], np.float32)
        lanes = np.frombuffer(inputs[2], np.uint64).reshape(-1, 2)
        self._order = np.argsort(lanes[:, 0], kind="stable")
        self._keys = lanes[self._order]

    def predict(self, frame: Any) -> Any:
        """One prediction a row of a pandas frame, as a series with its index."""
        import pandas as pd

        a = self._arguments
        values = np.column_stack([_codes(frame[n], a["categories"].get(n)) for n in a["features"]])
        predicted = ask(self._model, a["format"], values) if len(frame) else np.zeros(0)
        if a["time"] is not None and a["train_high_us"] is not None:
            times = pd.to_datetime(frame[a["time"]], utc=True).astype("datetime64[us, UTC]").astype("int64").to_numpy()
            known = times < a["train_high_us"]
            predicted = np.where(known, self._out_of_window(frame), predicted)
        return pd.Series(predicted, index=frame.index)

    def _out_of_window(self, frame: Any) -> Values:
        import pyarrow as pa

        from filiera.lake.semantic import hash_rows

        key = self._arguments["key"]
        table = pa.Table.from_pandas(frame[key], preserve_index=False)
        lanes = hash_rows(table, key, None).key
        place = np.minimum(np.searchsorted(self._keys[:, 0], lanes[:, 0]), max(len(self._keys) - 1, 0))
        if not len(self._keys):
            return np.full(len(frame), np.nan)
        same = np.all(self._keys[place] == lanes, axis=1)
        return np.where(same, self._honest[self._order[place]], np.nan).astype(np.float64)


def _codes(column: Any, categories: Sequence[str] | None) -> Values:
    if not categories:
        return np.asarray(column.astype("float64"), np.float64)
    place = {word: float(index) for index, word in enumerate(categories)}
    return np.array([place.get(word, np.nan) for word in column.astype(object)], np.float64)

