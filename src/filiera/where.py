"""Conditions on rows: a small typed grammar, never code.

COLUMN OP VALUE      OP is = != < <= > >=
COLUMN is null       COLUMN is not null
COLUMN in (A, B)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from filiera.clock import parse_rfc3339
from filiera.errors import UsageError, nearest

if TYPE_CHECKING:
    import pyarrow as pa

OPERATORS = ("=", "!=", "<=", ">=", "<", ">")
_COMPARISON = re.compile(r"^\s*([a-z][a-z0-9_]*)\s*(<=|>=|!=|=|<|>)\s*(.+?)\s*$")
_NULL = re.compile(r"^\s*([a-z][a-z0-9_]*)\s+is\s+(not\s+)?null\s*$", re.IGNORECASE)
_IN = re.compile(r"^\s*([a-z][a-z0-9_]*)\s+in\s*\((.+)\)\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on one column."""

    column: str
    operator: str  #: one of OPERATORS, "null", "not null" or "in"
    values: tuple[str, ...]  #: as they were written


def parse_where(text: str) -> Condition:
    """Read one condition.

    >>> parse_where("power_kw > 100")
    Condition(column='power_kw', operator='>', values=('100',))

    Raises:
        UsageError: it is none of the forms.
    """
    if match := _NULL.match(text):
        return Condition(match[1], "not null" if match[2] else "null", ())
    if match := _IN.match(text):
        return Condition(match[1], "in", tuple(_unquoted(part) for part in match[2].split(",")))
    if match := _COMPARISON.match(text):
        return Condition(match[1], match[2], (_unquoted(match[3]),))
    raise UsageError(
        "where.form",
        f"`{text}` is no condition",
        expected="COLUMN OP VALUE, COLUMN is null, or COLUMN in (A, B)",
        next=f"OP is one of {' '.join(OPERATORS)}",
    )


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def apply_where(table: pa.Table, conditions: Sequence[Condition]) -> pa.Table:
    """The rows that meet every condition; a null meets none but `is null`.

    Raises:
        UsageError: an unknown column, or a value that is none of the column's type.
    """
    for condition in conditions:
        if condition.column not in table.column_names:
            raise UsageError(
                "where.column", f"no column {condition.column}", next=nearest(condition.column, table.column_names)
            )
        table = table.filter(_mask(table.column(condition.column), condition))
    return table


def _mask(column: pa.ChunkedArray, condition: Condition) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if condition.operator in ("null", "not null"):
        return pc.is_null(column) if condition.operator == "null" else pc.is_valid(column)
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    values = [_value(column.type, text, condition) for text in condition.values]
    if condition.operator == "in":
        return pc.is_in(column, value_set=pa.array(values, column.type))
    compare = {
        "=": pc.equal, "!=": pc.not_equal, "<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal,
    }[condition.operator]  # fmt: skip
    return compare(column, pa.scalar(values[0], column.type))


def _value(kind: pa.DataType, text: str, condition: Condition) -> Any:
    import pyarrow as pa

    try:
        if pa.types.is_timestamp(kind):
            return parse_rfc3339(text)
        if pa.types.is_boolean(kind):
            return {"true": True, "false": False}[text.lower()]
        if pa.types.is_integer(kind):
            return int(text)
        return float(text) if pa.types.is_floating(kind) else text
    except (ValueError, KeyError) as error:
        raise UsageError(
            "where.value", f"`{text}` is no value of column {condition.column}", expected=str(kind), found=repr(text)
        ) from error
