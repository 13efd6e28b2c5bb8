"""A contract applied to columns at once: typed values, and one verdict per row.

A null fails a column only where it is needed. In an optional column a value that is no value of its type, out of
range or not finite becomes null and is counted; in a needed column it sends the whole row to quarantine. The verdict
of a row is its first failing column, in contract order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from filiera.core.contract import Column, ColumnType, Contract
from filiera.core.units import conversion
from filiera.ingest import times

_THOUSANDS = r"^[+-]?\d{1,3}(\.\d{3})+(,\d*)?$"
_TRUE, _FALSE = ("true", "t", "yes", "y", "1", "1.0"), ("false", "f", "no", "n", "0", "0.0")
RECORD = "__record"
_REASON, _WHERE = "__reason", "__where"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the contract says of some raw rows."""

    rows: pl.DataFrame  #: contract columns and RECORD, for rows that pass
    refused: pl.DataFrame  #: RECORD, reason, column
    nulled: Mapping[str, int]  #: optional cells set to null, by column


def check(raw: pl.DataFrame, contract: Contract) -> Verdict:
    """Judge raw rows; `raw` has the raw columns as text (or typed, from Parquet) and RECORD."""
    null = list(contract.reading.null)
    texts = [_null_words(name, raw.schema[name], null) for name in raw.columns if name != RECORD]
    frame = raw.with_columns(texts)
    order = [part for name in contract.key if name != contract.time for part in contract.column(name).origin]
    typed, present = [], []
    for column in contract.columns:
        typed.append(_value(column, frame, contract, order).alias(column.name))
        present.append(_present(column, frame.schema).alias(f"__p_{column.name}"))
    frame = frame.select(pl.col(RECORD), *typed, *present)
    problems = {column.name: _problem(column, frame.schema) for column in contract.columns}
    frame = frame.with_columns(expr.alias(f"__x_{name}") for name, expr in problems.items())
    needed = [c.name for c in contract.columns if not _may_be_null(c, contract)]
    text = pl.lit(None, dtype=pl.String)
    reason = pl.coalesce([*(pl.col(f"__x_{name}") for name in needed), text])
    where = pl.coalesce([*(pl.when(pl.col(f"__x_{n}").is_not_null()).then(pl.lit(n)) for n in needed), text])
    frame = frame.with_columns(reason.alias(_REASON), where.alias(_WHERE))
    good = frame.filter(pl.col(_REASON).is_null())
    nulled, clears = _clear_optional(good, contract)
    good = good.with_columns(clears).select(RECORD, *contract.names)
    bad = frame.filter(pl.col(_REASON).is_not_null()).select(
        RECORD, pl.col(_REASON).alias("reason"), pl.col(_WHERE).alias("column")
    )
    return Verdict(good, bad, nulled)


def _may_be_null(column: Column, contract: Contract) -> bool:
    return column.optional and column.name not in contract.key


def _null_words(name: str, kind: pl.DataType, words: list[str]) -> pl.Expr:
    column = pl.col(name)
    if kind != pl.String:
        return column
    stripped = column.str.strip_chars()
    return pl.when(stripped.is_in(words)).then(None).otherwise(stripped).alias(name)


def _present(column: Column, schema: pl.Schema) -> pl.Expr:
    names = [name for name in column.origin if name in schema]
    if not names:
        return pl.lit(False)
    return pl.all_horizontal(pl.col(name).is_not_null() for name in names)


def _value(column: Column, frame: pl.DataFrame, contract: Contract, order: list[str]) -> pl.Expr:
    if any(name not in frame.columns for name in column.origin):
        return pl.lit(None, dtype=_DTYPES[column.type])  # an optional column that the file lacks
    raw, kind = pl.col(column.origin[0]), frame.schema[column.origin[0]]
    if column.type is ColumnType.TIME:
        return _time(column, frame, order)
    if column.type in (ColumnType.TEXT, ColumnType.CATEGORY):
        return raw.cast(pl.String)
    if column.type is ColumnType.BOOLEAN:
        word = raw.cast(pl.String).str.to_lowercase()
        return pl.when(word.is_in(_TRUE)).then(True).when(word.is_in(_FALSE)).then(False)
    if kind == pl.String and contract.reading.decimal == ",":
        raw = _decimal_comma(raw)
    return _number(column, raw)


def _number(column: Column, raw: pl.Expr) -> pl.Expr:
    number = raw.cast(pl.Float64, strict=False)
    exact = raw.cast(pl.Int64, strict=False)
    if column.from_unit and column.unit and column.from_unit != column.unit:
        factor, offset = conversion(column.from_unit, column.unit)
        number, exact = number * factor + offset, pl.lit(None, dtype=pl.Int64)
    if column.type is ColumnType.FLOAT:
        return number
    # A text with all its digits is exact; 5.0 is whole too, and 2.5 is no integer.
    return pl.when(number == number.floor()).then(pl.coalesce(exact, number.cast(pl.Int64, strict=False)))


def _decimal_comma(text: pl.Expr) -> pl.Expr:
    """1.234,5 as 1234.5; dots that do not stand between thousands make the cell no number."""
    grouped = text.str.contains(_THOUSANDS)
    number = (
        pl.when(grouped).then(text.str.replace_all(".", "", literal=True)).when(~text.str.contains(r"\.")).then(text)
    )
    return number.str.replace(",", ".", literal=True)


_DTYPES: dict[ColumnType, pl.DataType] = {
    ColumnType.TIME: times.UTC,
    ColumnType.CATEGORY: pl.String(),
    ColumnType.TEXT: pl.String(),
    ColumnType.FLOAT: pl.Float64(),
    ColumnType.INTEGER: pl.Int64(),
    ColumnType.BOOLEAN: pl.Boolean(),
}


def _time(column: Column, frame: pl.DataFrame, order: list[str]) -> pl.Expr:
    kind = frame.schema[column.origin[0]]
    if len(column.origin) == 1 and isinstance(kind, pl.Datetime):
        moment = pl.col(column.origin[0]).cast(pl.Datetime("us", kind.time_zone))
        return times.localise(column, moment, order) if kind.time_zone is None else moment.dt.convert_time_zone("UTC")
    text = times.compose(column, [pl.col(name).cast(pl.String) for name in column.origin])
    if column.format is None and len(column.origin) == 1:
        quick = frame.select(text.str.to_datetime(times.WITH_OFFSET, strict=False, time_unit="us")).to_series()
        if quick.null_count() == frame.get_column(column.origin[0]).null_count():
            return pl.lit(quick)
    return times.parse(column, text, order)


#: A time outside these years is a mistake of the device or of the format.
YEARS = (1900, 2200)


def _problem(column: Column, schema: pl.Schema) -> pl.Expr:
    """The word for what is wrong with each cell, or null; see the module for what follows from it."""
    value, present = pl.col(column.name), pl.col(f"__p_{column.name}")
    kind = "time" if column.type is ColumnType.TIME else "type"
    rules = pl.when(~present).then(pl.lit("null")).when(value.is_null()).then(pl.lit(kind))
    if column.type is ColumnType.TIME:
        rules = rules.when(~value.dt.year().is_between(*YEARS)).then(pl.lit(kind))
    if schema[column.name] == pl.Float64:
        rules = rules.when(~value.is_finite()).then(pl.lit("not_finite"))
    if column.low is not None:
        rules = rules.when(value < column.low).then(pl.lit("range"))
    if column.high is not None:
        rules = rules.when(value > column.high).then(pl.lit("range"))
    if column.values:
        rules = rules.when(~value.is_in(list(column.values))).then(pl.lit("category"))
    return rules.otherwise(None)


def _clear_optional(frame: pl.DataFrame, contract: Contract) -> tuple[dict[str, int], list[pl.Expr]]:
    optional = [column.name for column in contract.columns if _may_be_null(column, contract)]
    if not optional:
        return {}, []
    broken = {name: pl.col(f"__x_{name}").is_not_null() & (pl.col(f"__x_{name}") != "null") for name in optional}
    counted = frame.select(expr.sum().alias(name) for name, expr in broken.items()).row(0, named=True)
    clears = [pl.when(~expr).then(pl.col(name)).alias(name) for name, expr in broken.items()]
    return {name: int(count) for name, count in counted.items() if count}, clears
