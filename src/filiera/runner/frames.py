"""Rows as the user's function wants them, and its result as rows again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

import pyarrow as pa

from filiera.errors import WorkError, nearest

#: Types of pandas that hold an empty value beside whole numbers and booleans.
_NULLABLE = {"int64": "Int64", "bool": "boolean"}


def read_ipc(view: memoryview) -> pa.Table:
    """A table from Arrow IPC in mapped memory, without a copy."""
    return pa.ipc.open_file(pa.py_buffer(view)).read_all()


def ipc_writer(table: pa.Table) -> Callable[[BinaryIO], None]:
    """Writes a table as Arrow IPC into a file, without a copy in between."""

    def write(file: BinaryIO) -> None:
        with pa.PythonFile(file, "w") as out, pa.ipc.new_file(out, table.schema) as writer:
            writer.write_table(table)

    return write


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

    whole = {field.name: _NULLABLE[str(field.type)] for field in table.schema
             if str(field.type) in _NULLABLE and table.column(field.name).null_count}  # fmt: skip
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
        raise WorkError(
            "table.none", f"{name} returned None", expected="a table", next="a missing `return` is the usual cause"
        )
    table = _as_arrow(value, name, notes)
    twice = sorted({column for column in table.column_names if table.column_names.count(column) > 1})
    if twice:
        raise WorkError("table.column_twice", f"{name} has column {', '.join(twice)} twice", next="rename or drop one")
    return pa.table({column: _lake_type(table.column(column), column, name) for column in table.column_names}), notes


def _as_arrow(value: Any, name: str, notes: list[str]) -> pa.Table:
    top = type(value).__module__.split(".")[0]
    if isinstance(value, pa.Table):
        return value
    if top == "polars" and type(value).__name__ in ("DataFrame", "LazyFrame"):
        return (value.collect() if hasattr(value, "collect") else value).to_arrow()
    if top == "pandas" and type(value).__name__ == "DataFrame":
        return _from_pandas(value, name, notes)
    raise WorkError(
        "table.form", f"{name} returned a {type(value).__name__}", expected="a pandas, polars or pyarrow table"
    )


def _from_pandas(frame: Any, name: str, notes: list[str]) -> pa.Table:
    counted = all(index is None for index in frame.index.names) and str(frame.index.dtype).startswith("int")
    if not counted:  # row numbers mean nothing; any other index may be a column that was forgotten
        what = ", ".join(str(index) for index in frame.index.names if index is not None) or str(frame.index.dtype)
        notes.append(f"{name}: the index {what} was dropped; reset_index() keeps it")
    if not frame.columns.is_unique:
        twice = ", ".join(sorted({str(column) for column in frame.columns[frame.columns.duplicated()]}))
        raise WorkError("table.column_twice", f"{name} has column {twice} twice", next="rename or drop one")
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        reason = str(error.args[-1]).removeprefix("Conversion failed for ")  # its first part shows a value
        raise WorkError(
            "table.type", f"{name}: {reason}", expected="values of one type in a column", next="convert it with astype"
        ) from error


def _lake_type(column: pa.ChunkedArray, name: str, table: str) -> pa.ChunkedArray:
    """A column in the type that the lake holds its kind in.

    Raises:
        WorkError: the lake holds no such kind, or a value does not fit.
    """
    kind = column.type
    if len(column) == 0 and pa.types.is_null(kind):
        return column  # no rows, so nothing to have a type; `one_schema` gives it the one of other parts
    wanted = _wanted(kind)
    plain = pa.types.is_dictionary(kind) and _wanted(kind.value_type)
    if wanted is None and plain:  # a category of numbers is numbers
        return _lake_type(column.cast(kind.value_type), name, table)
    if wanted is None:
        advice = {"null": "it has no value, so no type: give it one", "duration": "make it a number of seconds"}
        raise WorkError(
            "table.type", f"column {name} of {table} holds {kind}", next=advice.get(str(kind).split("[")[0], ""),
            expected="times, numbers, texts, categories, booleans",
        )  # fmt: skip
    try:
        if pa.types.is_dictionary(wanted):
            return column.cast(pa.string()).dictionary_encode()
        if pa.types.is_timestamp(wanted):
            return column.cast(pa.timestamp("us", getattr(kind, "tz", None))).cast(wanted)
        return column.cast(wanted)
    except pa.ArrowInvalid as error:
        raise WorkError(
            "table.type", f"a value of column {name} of {table} does not fit", expected=str(wanted), found=str(kind),
            next='times are kept to the microsecond: .dt.floor("us")' if pa.types.is_timestamp(wanted) else "",
        ) from error  # fmt: skip


def _wanted(kind: pa.DataType) -> pa.DataType | None:
    is_text = pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return pa.timestamp("us", "UTC")
    if pa.types.is_dictionary(kind):  # one without any word has no type of its own
        is_category = any(is_a(kind.value_type) for is_a in (*is_text, pa.types.is_null))
        return pa.dictionary(pa.int32(), pa.string()) if is_category else None
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_boolean(kind):
        return pa.bool_()
    if pa.types.is_integer(kind):
        return pa.int64()
    return pa.string() if any(is_a(kind) for is_a in is_text) else None


def one_schema(
    parts: Sequence[pa.Table], name: str, *, time: str | None, before: Mapping[str, pa.DataType] | None = None
) -> list[pa.Table]:
    """Parts of one table with the same columns in the same types; parts are computed apart, and pandas types vary.

    Args:
        parts: results of `compute`, not none.
        name: of the table.
        time: its time column.
        before: types of the rows that stay beside these parts.

    Returns:
        Whole numbers become floats where another part has floats. A part without rows has no say.

    Raises:
        WorkError: a part has other columns, or a column of another kind.
    """
    told = [part for part in parts if part.num_rows] or list(parts[:1])
    columns = list(before) if before else told[0].column_names
    for part in told:
        if set(part.column_names) != set(columns):
            odd = sorted(set(part.column_names) ^ set(columns))
            raise WorkError(
                "table.columns_differ", f"parts of {name} have different columns", found=", ".join(odd),
                next="a function gives the same columns for every part; without rows too",
            )  # fmt: skip
    fields = [(column, _one_type(told, column, name, time, before or {})) for column in columns]
    return [_in_schema(part, pa.schema(fields), name) if part.num_rows else pa.schema(fields).empty_table()
            for part in parts]  # fmt: skip


def _one_type(
    parts: Sequence[pa.Table], column: str, name: str, time: str | None, before: Mapping[str, pa.DataType]
) -> pa.DataType:
    if column in before:
        return before[column]
    kinds = {part.schema.field(column).type for part in parts}
    if kinds == {pa.int64(), pa.float64()}:
        return pa.float64()
    if len(kinds) > 1:
        raise _types_differ(column, name, [str(kind) for kind in kinds])
    (kind,) = kinds
    return (pa.timestamp("us", "UTC") if column == time else pa.string()) if pa.types.is_null(kind) else kind


def _in_schema(part: pa.Table, schema: pa.Schema, name: str) -> pa.Table:
    columns = {}
    for field in schema:
        column = part.column(field.name)
        numbers = {column.type, field.type} == {pa.int64(), pa.float64()}
        if column.type != field.type and not numbers:
            raise _types_differ(field.name, name, [str(field.type), str(column.type)])
        try:
            columns[field.name] = column.cast(field.type)
        except pa.ArrowInvalid as error:  # a fraction among whole numbers, or a whole number that a float cannot hold
            raise _types_differ(field.name, name, [str(field.type), str(column.type)]) from error
    return pa.table(columns, schema=schema)


def _types_differ(column: str, name: str, kinds: Sequence[str]) -> WorkError:
    return WorkError(
        "table.types_differ", f"column {column} of {name} is not of one type in all parts",
        found=" and ".join(sorted(kinds)), next="give it a type, such as .astype(float)",
    )  # fmt: skip


def require_columns(table: pa.Table, key: Sequence[str], name: str) -> None:
    """A result has the columns that identify its rows.

    Raises:
        WorkError: one is missing.
    """
    for column in key:
        if column not in table.column_names:
            raise WorkError(
                "table.no_key", f"the result of {name} lacks key column {column}", found=", ".join(table.column_names),
                next=f"{nearest(column, table.column_names)} Keep the key columns, or declare key=[...]",
            )  # fmt: skip


def require_key(table: pa.Table, key: Sequence[str], name: str) -> None:
    """Each row of a result has its key, and no two rows have the same.

    Raises:
        WorkError: a key column is missing or has nulls, or a key repeats; shows the first.
    """
    import pyarrow.compute as pc

    require_columns(table, key, name)
    for column in key:
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
            "table.duplicate_key",
            f"{name} has {twice.num_rows} keys more than once",
            expected="one row a key",
            found=str(first),
            next="a merge on too few columns is the usual cause",
        )
