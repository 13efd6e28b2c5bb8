"""Table: run the user's table function on one slice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from filiera.errors import WorkError
from filiera.runner.definitions import load_function
from filiera.runner.frames import from_frame, ipc_writer, read_ipc, require_columns, require_key, to_frame
from filiera.runner.predict import load_model
from filiera.runner.sql import rows


def compute(arguments: Mapping[str, Any], inputs: Sequence[memoryview], emit: Callable[[Any], None]) -> dict[str, Any]:
    """Task: the rows of one slice of a table, as Arrow IPC.

    Args:
        arguments: `module`, `name`, `settings`, `query` (of a table in SQL; else empty), `key`, `time`, the slice
            `low_us` and `high_us` (None = whole), and `ports`: for each parameter its `asset`, its `frame`, and for
            models their facts, as of `load_model`.
        inputs: for each table port its rows with the lookback before the slice; for each model port its package and
            its out-of-window predictions.
        emit: takes what writes the rows, sorted by time and key.

    Raises:
        WorkError: the function failed; or its result is no table, lacks key or time, has empty ones, or has a key
            twice.
    """
    name, key = arguments["name"], arguments["key"]
    table, notes = from_frame(_result(arguments, inputs), name)
    require_columns(table, key, name)
    time = _time_of(table, key, arguments["time"])
    if time is None and arguments["low_us"] is not None and table.num_rows:
        raise WorkError(
            "table.no_time", f"the result of {name} has no time column, so it cannot be made in parts",
            expected=arguments["time"] or "a time among its key", found=", ".join(table.column_names),
            next="keep the column, or drop `partition`",
        )  # fmt: skip
    if time is not None:
        _require_time(table, time, name)
        if arguments["low_us"] is not None:
            table = _within(table, time, arguments["low_us"], arguments["high_us"])
    require_key(table, key, name)
    emit(ipc_writer(_sorted(table, [*([time] if time else []), *key])))
    return {"rows": table.num_rows, "time": time, "warnings": notes}


def _result(arguments: Mapping[str, Any], inputs: Sequence[memoryview]) -> Any:
    """What the query or the function gives."""
    if arguments.get("query"):
        assets = [port["asset"] for port in arguments["ports"]]
        read = dict(zip(assets, map(read_ipc, inputs), strict=True))
        return rows(arguments["query"], arguments["settings"], read, arguments["name"])
    return load_function(arguments["module"], arguments["name"])(**_given(arguments, inputs))


def _given(arguments: Mapping[str, Any], inputs: Sequence[memoryview]) -> dict[str, Any]:
    """The parameters of the function."""
    given: dict[str, Any] = dict(arguments["settings"])
    left = list(inputs)
    for port in arguments["ports"]:
        if port["frame"] == "model":
            given[port["asset"]] = load_model(left[0], port["model"], left[1])
            left = left[2:]
        else:
            given[port["asset"]] = to_frame(read_ipc(left.pop(0)), port["frame"])
    return given


def _time_of(table: pa.Table, key: Sequence[str], inherited: str | None) -> str | None:
    """The time column of a result: the one of its input, or the first time among its own key."""
    names = [inherited, *key]
    return next(
        (n for n in names if n in table.column_names and pa.types.is_timestamp(table.schema.field(n).type)), None
    )


def _require_time(table: pa.Table, time: str, name: str) -> None:
    empty = table.column(time).null_count
    if empty:
        raise WorkError(
            "table.null_time",
            f"{empty} rows of {name} have no time in column {time}",
            next="fill or drop them yourself",
        )


def _within(table: pa.Table, time: str, low_us: int, high_us: int) -> pa.Table:
    at = table.column(time)
    bound = pa.scalar(low_us, pa.timestamp("us", "UTC")), pa.scalar(high_us, pa.timestamp("us", "UTC"))
    return table.filter(pc.and_(pc.greater_equal(at, bound[0]), pc.less(at, bound[1])))


def _sorted(table: pa.Table, order: Sequence[str]) -> pa.Table:
    names = list(dict.fromkeys(order))
    if not names:
        return table
    plain = pa.table({n: table.column(n).cast(pa.string()) if pa.types.is_dictionary(table.column(n).type)
                      else table.column(n) for n in names})  # fmt: skip
    indices = pc.sort_indices(plain, sort_keys=[(name, "ascending") for name in names])
    numbers = indices.to_numpy()
    return table if (numbers[1:] > numbers[:-1]).all() else table.take(indices)
