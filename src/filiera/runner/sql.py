"""Run a table that is written in SQL: settings become literals, inputs become tables of polars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from filiera.errors import CodeError, WorkError


def literal(name: str, value: Any) -> str:
    """One setting as a literal of SQL: a single term, whatever stands beside it.

    A float keeps its exponent, since `0.1` would be a decimal; a negative number stands in brackets, since `a -:b`
    would become a comment.

    >>> literal("least", -1.5), literal("place", "it's")
    ('(-1.5e0)', "'it''s'")

    Raises:
        CodeError: no value that SQL can hold.
    """
    if value is None or isinstance(value, bool):
        return {None: "NULL", True: "TRUE", False: "FALSE"}[value]
    if isinstance(value, int | float) and math.isfinite(value):
        text = repr(value) if isinstance(value, int) or "e" in repr(value) else f"{value!r}e0"
        return f"({text})" if text.startswith("-") else text
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, list | tuple) and value:
        return "(" + ", ".join(literal(name, each) for each in value) + ")"
    raise CodeError(
        "code.setting", f"setting `{name}` cannot stand in SQL", found=repr(value)[:80],
        expected="a text, finite number, boolean, None, or a list of these that is not empty",
    )  # fmt: skip


def bound(query: Sequence[str], settings: Mapping[str, Any]) -> str:
    """The text that runs: of `query` every second entry is the name of a setting."""
    return "".join(literal(part, settings[part]) if at % 2 else part for at, part in enumerate(query))


def rows(query: Sequence[str], settings: Mapping[str, Any], inputs: Mapping[str, pa.Table], name: str) -> pa.Table:
    """The rows of a table written in SQL.

    Categories are texts in SQL; a text that has the name of a category comes out as a category again.

    Args:
        query: as of `bound`.
        settings: values by name.
        inputs: by the name under which the query reads them.
        name: of the table.

    Raises:
        WorkError: the query fails on these rows.
    """
    import polars as pl
    from polars.exceptions import PolarsError

    categories = {field.name for table in inputs.values() for field in table.schema
                  if pa.types.is_dictionary(field.type)}  # fmt: skip
    frames = {asset: pl.from_arrow(_with_texts(table)) for asset, table in inputs.items()}
    try:
        found = pl.SQLContext(frames).execute(bound(query, settings), eager=True)
    except PolarsError as error:
        raise WorkError(
            "table.sql", f"the query of {name} failed: {str(error).splitlines()[0]}", next="mend the query",
        ) from error  # fmt: skip
    again = [pl.col(c).cast(pl.Categorical) for c in found.columns if c in categories and found[c].dtype == pl.String]
    floats = [pl.col(c).cast(pl.Float64) for c, kind in found.schema.items() if kind == pl.Decimal]
    return found.with_columns(*again, *floats).to_arrow()


def _with_texts(table: pa.Table) -> pa.Table:
    kinds = [pa.string() if pa.types.is_dictionary(field.type) else field.type for field in table.schema]
    return table.cast(pa.schema(list(zip(table.column_names, kinds, strict=True))))
