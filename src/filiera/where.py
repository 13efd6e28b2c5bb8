"""Conditions on rows: a small typed grammar, never code.

COLUMN OP VALUE      OP is = != < <= > >=
COLUMN is null       COLUMN is not null
COLUMN in (A, B)

A value with blanks, commas or brackets stands in quotes, single or double.
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
_VALUE = r"""(?:'[^']*'|"[^"]*"|[^\s'"(),=<>!]+)"""
_COMPARISON = re.compile(rf"^\s*(\w+)\s*(<=|>=|!=|=|<|>)\s*({_VALUE})\s*$")
_NULL = re.compile(r"^\s*(\w+)\s+is\s+(not\s+)?null\s*$", re.IGNORECASE)
_IN = re.compile(rf"^\s*(\w+)\s+in\s*\(\s*({_VALUE}(?:\s*,\s*{_VALUE})*)\s*\)\s*$", re.IGNORECASE)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_JOINED = re.compile(r"\s(and|or)\s", re.IGNORECASE)
_BLANK_VALUE = re.compile(r"^\s*\w+\s*(<=|>=|!=|=|<|>)\s*[^\s'\"=<>!]+\s+\S")


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
        return Condition(match[1], "in", tuple(_unquoted(part) for part in re.findall(_VALUE, match[2])))
    if match := _COMPARISON.match(text):
        return Condition(match[1], match[2], (_unquoted(match[3]),))
    raise UsageError(
        "where.form",
        f"`{text}` is no condition",
        expected="COLUMN OP VALUE, COLUMN is null, or COLUMN in (A, B)",
        next=_advice(text),
    )


def _advice(text: str) -> str:
    """What to do about a text that is no condition, for the mistakes that people make most."""
    if joined := _JOINED.search(_QUOTED.sub("''", text)):
        if joined[1].lower() == "and":
            return "one condition at a time: repeat --where, and rows must meet all of them"
        return "there is no `or`: for several values of one column write COLUMN in (A, B), else ask twice"
    if _BLANK_VALUE.match(text):
        return "a value with blanks stands in quotes, such as at >= '2024-01-31 10:00'"
    return f"OP is one of {' '.join(OPERATORS)}"


def _unquoted(text: str) -> str:
    return text[1:-1] if text[0] in "'\"" else text


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
    values = pa.array([_value(column.type, text, condition) for text in condition.values], column.type)
    if condition.operator == "in":
        return pc.is_in(column, value_set=values)
    compare = {
        "=": pc.equal, "!=": pc.not_equal, "<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal,
    }[condition.operator]  # fmt: skip
    return compare(column, values[0])


def _value(kind: pa.DataType, text: str, condition: Condition) -> Any:
    """What a text says, as a value of a column's type."""
    import pyarrow as pa

    try:
        if pa.types.is_timestamp(kind):
            return pa.scalar(parse_rfc3339(text), pa.timestamp("us", "UTC")).cast(kind).as_py()
        if pa.types.is_boolean(kind):
            return {"true": True, "false": False}[text.lower()]
        return pa.scalar(text).cast(kind).as_py()
    except (ValueError, KeyError, OverflowError, pa.ArrowException) as error:
        raise UsageError(
            "where.value",
            f"`{text}` is no value of column {condition.column}",
            expected=_described(kind),
            found=repr(text),
        ) from error


def _described(kind: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return "a time such as 2024-01-31 or '2024-01-31 10:00'"
    if pa.types.is_boolean(kind):
        return "true or false"
    if pa.types.is_integer(kind):
        return "a whole number"
    return "a number" if pa.types.is_floating(kind) else str(kind)
