"""How far the data of an asset moved since it was made: stale is not the same as due."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from filiera.lake.semantic import Leaves


def new_share(then: Leaves, now: Leaves, columns: Sequence[str], *, only_added: bool) -> float:
    """Share 0-1 of rows that are new, changed or gone.

    Where rows are only added, what a day grew by counts; else every row of a day that is another, since those that
    were there before may have changed as well.

    Args:
        then: what the asset read when it was made.
        now: what it would read.
        columns: that it can notice.
        only_added: the input never changes or loses a row.
    """
    before, after = then.by_day(columns), now.by_day(columns)
    rows_then = dict(zip(then.days.tolist(), then.rows.tolist(), strict=True))
    rows_now = dict(zip(now.days.tolist(), now.rows.tolist(), strict=True))
    moved = 0
    for day in before.keys() | after.keys():
        if before.get(day) != after.get(day):
            old, new = rows_then.get(day, 0), rows_now.get(day, 0)
            moved += (only_added and abs(new - old)) or max(new, old)
    return moved / max(int(np.sum(now.rows)), 1)
