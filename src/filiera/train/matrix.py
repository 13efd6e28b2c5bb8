"""The one copy of the training rows that all trials of a study map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filiera.core.asset import Model, Split
from filiera.engine.memory import SharedBuffer
from filiera.errors import ContractError, nearest
from filiera.runner.fit import map_rows
from filiera.runner.matrix import Floats, Matrix, hash_keys, pack


def share_matrix(
    table: pa.Table,
    model: Model,
    *,
    key: Sequence[str],
    time: str | None,
    device: str | None,
    units: Mapping[str, str | None] | None = None,
    joined: bool = False,
) -> tuple[SharedBuffer, Matrix]:
    """Training rows in sealed memory, and this process's read-only views of it.

    Rows without a finite target are left out; the header's `dropped` counts them. The caller closes the buffer.

    Args:
        table: sorted by (time, key).
        model: its features and its target.
        key: columns that identify a row; may contain the time.
        time: the time column; None only for folds.
        device: the column that tells series apart.
        units: by column, for the model's input schema.
        joined: features and target in one block, for the fits of a trainer; `filiera.runner.fit.map_rows` reads it.

    Raises:
        ContractError: a column is missing or is neither number, boolean, category nor text; or no row has a target.
    """
    _check_columns(table, model)
    target = _numbers(table, model.predicts)
    kept = np.isfinite(target)
    if not kept.any():
        raise ContractError(
            "train.no_target", f"no row has a value of {model.predicts}", found=f"{table.num_rows} rows"
        )
    if not kept.all():
        table, target = table.filter(pa.array(kept)), target[kept]
    identity = [name for name in key if name != time]
    keys = hash_keys([table[name].to_pandas() for name in identity]) if identity else np.zeros(len(target), np.uint64)
    times = _times(table, time) if time else _folds(keys, model.split)
    order = None if np.all(times[1:] >= times[:-1]) else np.argsort(times, kind="stable")
    x, inputs = _features(table, model.features, units or {}, spare=int(joined))
    blocks: dict[str, npt.NDArray[Any]] = {"time": times, "key": keys, "device": _devices(table, device)}
    blocks |= {"xy": _with_last(x, target)} if joined else {"x": x, "y": target}
    if order is not None:
        blocks = {name: block[order] for name, block in blocks.items()}
    header = {
        "inputs": inputs,
        "target": model.predicts,
        "rows": len(target),
        "dropped": int((~kept).sum()),
        "key": identity,
        "time": time,
    }
    buffer = SharedBuffer.create(pack(header, blocks))
    return buffer, map_rows(buffer.view())


def _check_columns(table: pa.Table, model: Model) -> None:
    for name in (model.predicts, *model.features):
        if name not in table.column_names:
            raise ContractError(
                "train.column_missing",
                f"model {model.name} needs column {name}, which {model.inputs[0].asset} has not",
                found=", ".join(table.column_names), next=nearest(name, table.column_names),
            )  # fmt: skip


def _numbers(table: pa.Table, name: str) -> Floats:
    column = table[name]
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)):
        raise ContractError(
            "train.target_type", f"column {name} cannot be predicted", expected="a number", found=str(column.type)
        )
    return _floats(column)


def _floats(column: pa.ChunkedArray) -> Floats:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if pa.types.is_integer(column.type):
        column = pc.cast(column, pa.float64(), safe=False)
    values: Floats = np.asarray(column.combine_chunks().to_numpy(zero_copy_only=False), np.float64)
    return values


def _features(
    table: pa.Table, names: Sequence[str], units: Mapping[str, str | None], *, spare: int
) -> tuple[Floats, list[dict[str, Any]]]:
    """The features, with `spare` columns behind them that are not filled yet, and what is known of each."""
    x = np.empty((table.num_rows, len(names) + spare), np.float64)
    inputs = []
    for place, name in enumerate(names):
        column = table[name]
        kind, categories = "float", None
        if (
            pa.types.is_dictionary(column.type)
            or pa.types.is_string(column.type)
            or pa.types.is_large_string(column.type)
        ):
            kind = "category"
            x[:, place], categories = _codes(column)
        elif pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
            kind = {True: "boolean"}.get(pa.types.is_boolean(column.type), "float")
            x[:, place] = _floats(column)
        else:
            raise ContractError(
                "train.feature_type", f"input {name} cannot be learned from", found=str(column.type),
                expected="a number, boolean, category or text",
            )  # fmt: skip
        inputs.append({"name": name, "type": kind, "unit": units.get(name), "categories": categories})
    return x, inputs


def _with_last(x: Floats, target: Floats) -> Floats:
    x[:, -1] = target
    return x


def _codes(column: pa.ChunkedArray) -> tuple[Floats, list[str]]:
    """Place of each value in the sorted list of values; NaN for null."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    values = sorted(value for value in pc.unique(column).to_pylist() if value is not None)
    places = pc.index_in(column, value_set=pa.array(values, column.type))
    return _floats(places), [str(value) for value in values]


def _times(table: pa.Table, name: str) -> npt.NDArray[np.int64]:
    column = table[name].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).combine_chunks()
    times: npt.NDArray[np.int64] = np.asarray(column.to_numpy(zero_copy_only=False), np.int64)
    return times


def _devices(table: pa.Table, name: str | None) -> npt.NDArray[np.int32]:
    if name is None or name not in table.column_names:
        return np.zeros(table.num_rows, np.int32)
    return np.nan_to_num(_codes(table[name].cast(pa.string()))[0], nan=-1).astype(np.int32)


def _folds(keys: npt.NDArray[np.uint64], split: Split) -> npt.NDArray[np.int64]:
    return (keys % np.uint64(split.windows)).astype(np.int64)
