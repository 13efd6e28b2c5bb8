"""Rows for people: conditions, bounds and a limit, read through the Reader in pieces as small as they may be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filiera.clock import US_PER_DAY, parse_rfc3339
from filiera.core.snapshot import Snapshot
from filiera.errors import DeniedError, UsageError
from filiera.where import Condition, apply_where, parse_where

if TYPE_CHECKING:
    import pyarrow as pa

    from filiera.dimensions.context import Context

#: With a limit, rows are read in pieces of whole days of about so many rows.
PIECE_ROWS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which rows of a snapshot."""

    columns: Sequence[str] | None = None  #: None = all
    where: Sequence[str] = ()  #: conditions such as `power_kw > 100`
    since: str | None = None  #: first time, included
    until: str | None = None  #: last time, excluded
    limit: int | None = None


def query(context: Context, snapshot: Snapshot, question: Question, purpose: str) -> pa.Table:
    """The rows that answer, sorted by (time, key).

    Raises:
        DeniedError: a condition on a masked column.
        NotFoundError: a column does not exist.
        UsageError: a condition or a time has another form.
    """
    conditions = [parse_where(text) for text in question.where]
    _refuse_masked(context, snapshot, conditions)
    wanted = list(dict.fromkeys(snapshot.columns if question.columns is None else question.columns))
    needed = list(dict.fromkeys([*wanted, *(condition.column for condition in conditions)]))
    low, high = _bounds(snapshot, conditions, instant(question.since), instant(question.until))
    found: list[pa.Table] = []
    left = question.limit
    with context.lake.readers.reading(snapshot.table):  # the pieces are of one moment, whatever is freed meanwhile
        for start, end in _pieces(context, snapshot, low, high, question.limit):
            rows = context.reader.read(
                snapshot, principal=context.principal, purpose=purpose, columns=needed, low_us=start, high_us=end
            )
            answer = apply_where(rows, conditions).select(wanted)
            found.append(answer if left is None else answer.slice(0, left))
            if left is not None:
                left -= found[-1].num_rows
                if left <= 0:
                    break
    return _together(found)


def _together(found: list[pa.Table]) -> pa.Table:
    import pyarrow as pa

    return found[0] if len(found) == 1 else pa.concat_tables(found).unify_dictionaries()


def _refuse_masked(context: Context, snapshot: Snapshot, conditions: Sequence[Condition]) -> None:
    names = [condition.column for condition in conditions if condition.column in snapshot.columns]
    hidden = context.reader.hidden(snapshot, names)
    if hidden:
        raise DeniedError(
            "column.masked",
            f"column {hidden[0]} is masked, so it cannot be used in a condition",
            next="leave it out of --where",
        )


def _bounds(
    snapshot: Snapshot, conditions: Sequence[Condition], low: int | None, high: int | None
) -> tuple[int | None, int | None]:
    """The time range outside which no row can answer; conditions are checked on each row all the same."""
    for condition in conditions:
        if condition.column != snapshot.time or condition.operator not in ("=", "<", "<=", ">", ">="):
            continue
        at = instant(condition.values[0])
        assert at is not None
        if condition.operator in ("=", ">", ">="):
            low = at if low is None else max(low, at)
        if condition.operator in ("=", "<", "<="):
            high = at + 1 if high is None else min(high, at + 1)
    return low, high


def _pieces(
    context: Context, snapshot: Snapshot, low: int | None, high: int | None, limit: int | None
) -> Iterator[tuple[int | None, int | None]]:
    """Time ranges that, one after the other, cover the question; one where there is no limit or no time."""
    if limit is None or snapshot.time is None or snapshot.rows <= PIECE_ROWS:
        yield low, high
        return
    leaves = context.lake.leaves(snapshot)
    start, rows = low, 0
    for day, count in zip(leaves.days.tolist(), leaves.rows.tolist(), strict=True):
        end = (day + 1) * US_PER_DAY
        if (low is not None and end <= low) or (high is not None and day * US_PER_DAY >= high):
            continue
        rows += count
        if rows >= PIECE_ROWS:
            yield start, end if high is None else min(end, high)
            start, rows = end, 0
    yield start, high


def instant(text: str | None) -> int | None:
    """Microseconds UTC of what a person wrote; None for None.

    Raises:
        UsageError: it is no time.
    """
    if text is None:
        return None
    try:
        return parse_rfc3339(text)
    except ValueError as error:
        raise UsageError(
            "time.form",
            f"`{text}` is no time",
            expected="2014-10, 2014-10-01 or 2014-10-01T06:00:00+02:00",
            found=repr(text),
        ) from error
