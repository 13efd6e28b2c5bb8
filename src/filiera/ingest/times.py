"""Times as they are written in files, to microseconds UTC, as polars expressions."""

from __future__ import annotations

import polars as pl

from filiera.core.contract import Column

UTC = pl.Datetime("us", "UTC")
#: ISO 8601 with an offset; the one form that is tried first, because it needs no second look.
WITH_OFFSET = "%Y-%m-%dT%H:%M:%S%.f%#z"

_OFFSET = r"(Z|z|[+-]\d{2}:?\d{2}|[+-]\d{2})$"
_CLOCK = r"T\d{2}:\d{2}.*$"
_NAIVE = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
_MARKS = ("-", "-", "T", ":", ":")  #: between year, month, day, hour, minute, second


def compose(column: Column, texts: list[pl.Expr]) -> pl.Expr:
    """One text of the raw columns of a time: date and time, or year, month, day, hour, minute, second."""
    if len(texts) == 1:
        return texts[0]
    if len(texts) == 2 or column.format is not None:
        return pl.concat_str(texts, separator=" ")
    whole = [text.str.replace(r"\.0+$", "") for text in texts]
    out = whole[0].str.zfill(4)
    for mark, text in zip(_MARKS, whole[1:], strict=False):
        out = out + mark + text.str.zfill(2)
    return out + ":00" if len(texts) == 4 else out


def parse(column: Column, text: pl.Expr, order: list[str]) -> pl.Expr:
    """Datetime UTC, null where the text is no time or no single instant.

    An offset in the text wins over `zone`. A local time that does not exist gives null; one that exists twice gives
    null unless `fold = "order"`, where the first of two equal ones is the earlier.

    Args:
        column: the contract column.
        text: the composed text.
        order: columns that, with the local time, identify a row; only for `fold = "order"`.
    """
    if column.format is not None:
        moment = text.str.to_datetime(column.format, strict=False, time_unit="us")
        return moment.dt.convert_time_zone("UTC") if "%z" in column.format else localise(column, moment, order)
    plain = text.str.replace(r"^(\d{4}-\d{2}-\d{2}) ", "${1}T")
    offset = plain.str.extract(_CLOCK, 0).str.extract(_OFFSET, 1)
    bare = pl.when(offset.is_null()).then(plain).otherwise(plain.str.replace(_OFFSET, ""))
    naive = pl.coalesce([bare.str.to_datetime(form, strict=False, time_unit="us") for form in _NAIVE])
    utc = (naive - _shift(offset)).dt.replace_time_zone("UTC")
    return pl.when(offset.is_not_null()).then(utc).otherwise(localise(column, naive, order))


def _shift(offset: pl.Expr) -> pl.Expr:
    """The offset as a duration; null when it is beyond a day."""
    digits = offset.str.replace(":", "").str.pad_end(5, "0")
    hours = digits.str.slice(1, 2).cast(pl.Int64, strict=False)
    minutes = hours * 60 + digits.str.slice(3, 2).cast(pl.Int64, strict=False)
    signed = pl.when(offset.str.starts_with("-")).then(-minutes).otherwise(minutes)
    checked = pl.when(offset.str.to_uppercase() == "Z").then(0).when(minutes < 24 * 60).then(signed)
    return pl.duration(minutes=checked)


def localise(column: Column, naive: pl.Expr, order: list[str]) -> pl.Expr:
    """Local times of the column's zone as instants; without a zone they are taken as UTC."""
    if column.zone is None:
        return naive.dt.replace_time_zone("UTC")
    if column.fold == "order":
        rank = naive.cum_count().over([naive, *[pl.col(name) for name in order]])
        ambiguous = pl.when(rank > 1).then(pl.lit("latest")).otherwise(pl.lit("earliest"))
        local = naive.dt.replace_time_zone(column.zone, ambiguous=ambiguous, non_existent="null")
    else:
        local = naive.dt.replace_time_zone(column.zone, ambiguous="null", non_existent="null")
    return local.dt.convert_time_zone("UTC")
