"""A table computed in parts must equal the table computed whole: two days are computed alone and compared.

The first and the middle day of the longest part. Alone, a day sees its own rows and the lookback; within its part it
also sees the days around it. A lookback that is too short, a look ahead, or a sum over the whole part shows as a
difference. It is a sample: it finds functions that break the rule as such, not those that break it on rare rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filiera.clock import US_PER_DAY, rfc3339
from filiera.errors import WorkError

#: Sums of floats may differ by the order in which they were added, as a share of the largest value of the column.
TOLERANCE_SHARE = 1e-6


def sample_days(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The days to compute alone, as (low_us, high_us); none where no part is longer than a day.

    >>> sample_days([(0, 5 * 86_400_000_000), (6 * 86_400_000_000, 7 * 86_400_000_000)])
    [(0, 86400000000), (172800000000, 259200000000)]
    """
    low, high = max(spans, key=lambda span: span[1] - span[0], default=(0, 0))
    days = (high - low) // US_PER_DAY
    if days < 2:
        return []
    starts = dict.fromkeys((low, low + days // 2 * US_PER_DAY))
    return [(start, start + US_PER_DAY) for start in starts]


def refuse_difference(name: str, low_us: int, time: str, together: pa.Table, alone: pa.Table) -> None:
    """Compare the rows of one day; both tables sorted, with one schema.

    Raises:
        WorkError: they differ; names the day and a column.
    """
    inside = pc.and_(
        pc.greater_equal(together.column(time), pa.scalar(low_us, together.schema.field(time).type)),
        pc.less(together.column(time), pa.scalar(low_us + US_PER_DAY, together.schema.field(time).type)),
    )
    expected = together.filter(inside)
    column = first_difference(expected, alone)
    if column is None:
        return
    raise WorkError(
        "table.parts_differ",
        f"{name} computed in parts is not {name} computed whole: {column} differs on {rfc3339(low_us)[:10]}",
        expected="a day that depends on its own rows and on the `lookback` before them only",
        found=f"{alone.num_rows} rows when the day is computed alone, {expected.num_rows} within its part",
        next="make `lookback` longer, or drop `partition` so that the table is computed whole",
    )


def first_difference(expected: pa.Table, found: pa.Table) -> str | None:
    """What two tables of one order differ in, but for the rounding of sums; None where they agree."""
    if expected.num_rows != found.num_rows:
        return "the number of rows"
    for name in expected.column_names:
        if not _equal(expected.column(name), found.column(name)):
            return f"column {name}"
    return None


def _equal(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    if not pa.types.is_floating(one.type):
        return bool(one.to_pylist() == other.to_pylist())
    first, second = (column.to_numpy(zero_copy_only=False) for column in (one, other))
    known = np.abs(first[np.isfinite(first)])
    slack = TOLERANCE_SHARE * float(known.max()) if len(known) else 0.0
    return bool(np.allclose(first, second, rtol=0.0, atol=slack, equal_nan=True))
