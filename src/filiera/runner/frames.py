"""Rows as the user's function wants them, and its result as rows again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from filiera.errors import WorkError, nearest


def read_ipc(view: memoryview) -> pa.Table:
    """A table from Arrow IPC in mapped memory, without a copy."""
    return pa.ipc.open_file(pa.py_buffer(view)).read_all()


def write_ipc(table: pa.Table) -> pa.Buffer:
    """A table as Arrow IPC."""
    out = pa.BufferOutputStream()
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def to_frame(table: pa.Table, form: str) -> Any:
    """A table in the form of the annotation: pandas, polars, pyarrow or numpy."""
    table = _sorted_categories(table)
    if form == "pyarrow":
        return table
    if form == "polars":
        import polars as pl

        return pl.from_arrow(table)
    if form == "numpy":
        import numpy as np

        return np.column_stack([column.to_numpy(zero_copy_only=False) for column in _numeric(table)])
    return _to_pandas(table)


def _to_pandas(table: pa.Table) -> Any:
    import pandas as pd

    whole = {field.name: pd.Int64Dtype() for field in table.schema
             if pa.types.is_integer(field.type) and table.column(field.name).null_count}  # fmt: skip
    frame = table.drop_columns(list(whole)).to_pandas() if whole else table.to_pandas()
    for name, kind in whole.items():
        frame[name] = pd.array(table.column(name).to_pylist(), dtype=kind)
    return frame[table.column_names]


def _sorted_categories(table: pa.Table) -> pa.Table:
    """Categories in the order of their values, whatever order they came in."""
    import pyarrow.compute as pc

    for index, field in enumerate(table.schema):
        if not pa.types.is_dictionary(field.type):
            continue
        texts = table.column(index).cast(pa.string()).combine_chunks()
        words = pc.unique(texts.drop_null()).sort()
        codes = pc.index_in(texts, value_set=words).cast(pa.int32())
        codes = codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes
        table = table.set_column(index, field.name, pa.DictionaryArray.from_arrays(codes, words))
    return table


def _numeric(table: pa.Table) -> list[pa.ChunkedArray]:
    wanted = [f.name for f in table.schema if pa.types.is_floating(f.type) or pa.types.is_integer(f.type)]
    return [table.column(name).cast(pa.float64()) for name in wanted]


def from_frame(value: Any, name: str) -> tuple[pa.Table, list[str]]:
    """A result as a table with the types of the lake, and warnings.

    Raises:
        WorkError: it is no table, or a column has a type that the lake does not hold.
    """
    notes: list[str] = []
    if value is None:
        raise WorkError("table.none", f"{name} returned None", expected="a table", next="a missing `return` is the usual cause")
    if isinstance(value, pa.Table):
        table = value
    elif type(value).__module__.split(".")[0] == "polars":
        table = (value.collect() if hasattr(value, "collect") else value).to_arrow()
    elif type(value).__module__.split(".")[0] == "pandas":
        import pandas as pd

        if not isinstance(value.index, pd.RangeIndex) and any(value.index.names):
            notes.append(f"{name}: the index {', '.join(map(str, value.index.names))} was dropped; reset_index() keeps it")
        table = pa.Table.from_pandas(value, preserve_index=False)
    else:
        raise WorkError("table.form", f"{name} returned a {type(value).__name__}", expected="a pandas, polars or pyarrow table")
    columns = {field.name: _lake_type(table.column(index), field.name, name) for index, field in enumerate(table.schema)}
    return pa.table(columns), notes


def _lake_type(column: pa.ChunkedArray, name: str, table: str) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us", kind.tz or "UTC")).cast(pa.timestamp("us", "UTC"))
    if pa.types.is_date(kind):
        return column.cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
    if pa.types.is_dictionary(kind):
        return column.cast(pa.string()).dictionary_encode()
    if pa.types.is_floating(kind):
        return column.cast(pa.float64())
    if pa.types.is_boolean(kind):
        return column
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.string())
    if pa.types.is_duration(kind):
        raise WorkError(
            "table.type", f"column {name} of {table} is a duration", next="make it a number, such as seconds"
        )
    raise WorkError(
        "table.type", f"column {name} of {table} holds {kind}", expected="times, numbers, texts, categories, booleans"
    )


def require_key(table: pa.Table, key: Sequence[str], name: str) -> None:
    """Each row of a result has its key, and no two rows have the same.

    Raises:
        WorkError: a key column is missing or has nulls, or a key repeats; shows the first.
    """
    import pyarrow.compute as pc

    for column in key:
        if column not in table.column_names:
            raise WorkError(
                "table.no_key", f"the result of {name} lacks key column {column}", found=", ".join(table.column_names),
                next=f"{nearest(column, table.column_names)} Keep the key columns, or declare key=[...]",
            )
        if table.column(column).null_count:
            raise WorkError("table.null_key", f"key column {column} of {name} has empty values")
    if not key or table.num_rows == 0:
        return
    plain = pa.table({c: table.column(c).cast(pa.string()) if pa.types.is_dictionary(table.column(c).type)
                      else table.column(c) for c in key})  # fmt: skip
    counted = plain.group_by(list(key)).aggregate([([], "count_all")])
    twice = counted.filter(pc.greater(counted.column("count_all"), 1))
    if twice.num_rows:
        first = {column: str(value) for column, value in twice.slice(0, 1).to_pylist()[0].items() if column in key}
        raise WorkError(
            "table.duplicate_key", f"{name} has {twice.num_rows} keys more than once", expected="one row a key",
            found=str(first), next="a merge on too few columns is the usual cause",
        )
