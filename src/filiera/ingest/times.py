"""Times as they are written in files, to microseconds UTC, as polars expressions."""

from __future__ import annotations

import polars as pl

from filiera.core.contract import Column

_OFFSET = r"(Z|z|[+-]\d{2}:?\d{2})$"
_ISO = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
_PARTS = ("-", "-", "T", ":", ":")  #: between year, month, day, hour, minute, second
UTC = pl.Datetime("us", "UTC")


def compose(column: Column, texts: list[pl.Expr]) -> pl.Expr:
    """One text of the raw columns of a time: date and time, or year, month, day, hour, minute, second."""
    if len(texts) == 1:
        return texts[0]
    if len(texts) == 2:
        return pl.concat_str(texts, separator=" ")
    out = texts[0].str.zfill(4)
    for mark, text in zip(_PARTS, texts[1:], strict=False):
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
    if column.format is not None and len(column.origin) == 1:
        if "%z" in column.format:
            return text.str.to_datetime(column.format, strict=False, time_unit="us").dt.convert_time_zone("UTC")
        return _localise(column, text.str.to_datetime(column.format, strict=False, time_unit="us"), order)
    plain = text.str.replace(r"^(\d{4}-\d{2}-\d{2}) ", "${1}T")
    offset = plain.str.extract(_OFFSET, 1)
    naive_text = plain.str.replace(_OFFSET, "")
    naive = pl.coalesce([naive_text.str.to_datetime(form, strict=False, time_unit="us") for form in _ISO])
    digits = offset.str.replace(":", "")
    minutes = digits.str.slice(1, 2).cast(pl.Int64, strict=False) * 60 + digits.str.slice(3, 2).cast(
        pl.Int64, strict=False
    )
    signed = pl.when(offset.str.to_uppercase() == "Z").then(0).when(offset.str.starts_with("-")).then(-minutes)
    shift = pl.duration(minutes=signed.otherwise(minutes))
    return pl.when(offset.is_not_null()).then((naive - shift).dt.replace_time_zone("UTC")).otherwise(
        _localise(column, naive, order)
    )


def _localise(column: Column, naive: pl.Expr, order: list[str]) -> pl.Expr:
    if column.zone is None:
        return naive.dt.replace_time_zone("UTC")
    if column.fold == "order":
        rank = naive.cum_count().over([naive, *[pl.col(name) for name in order]])
        ambiguous: pl.Expr | str = pl.when(rank > 1).then(pl.lit("latest")).otherwise(pl.lit("earliest"))
        local = naive.dt.replace_time_zone(column.zone, ambiguous=ambiguous, non_existent="null")  # type: ignore[arg-type]
    else:
        local = naive.dt.replace_time_zone(column.zone, ambiguous="null", non_existent="null")
    return local.dt.convert_time_zone("UTC")
