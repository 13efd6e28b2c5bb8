"""Which days of a partitioned table are new or changed.

A day of the table depends on that day of its inputs and on the days that the lookback reaches, and on models and
tables without time as a whole. So a new day computes one day, and a late row computes its day and those after it
within the lookback.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from filiera.clock import US_PER_DAY

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def part_digests(daily: Sequence[Mapping[int, str]], whole: Sequence[str], lookback_us: int) -> dict[str, str]:
    """Input digest of each day of a table.

    Args:
        daily: digest by day (days since 1970) of each input that has a time.
        whole: semantic digests of the inputs that have none.
        lookback_us: rounded up to whole days.
    """
    reach = lookback_days(lookback_us)
    present = {day for leaves in daily for day in leaves}
    found = {}
    for day in sorted({later for start in present for later in range(start, start + reach + 1)} & _until(present)):
        hasher = hashlib.sha256("\0".join(whole).encode())
        for leaves in daily:
            hasher.update(b"|")
            for earlier in range(day - reach, day + 1):
                hasher.update(f"{earlier - day}:{leaves.get(earlier, '')};".encode())
        found[str(day)] = hasher.hexdigest()[:32]
    return found


def _until(days: set[int]) -> set[int]:
    return set(range(min(days), max(days) + 1)) if days else set()


def lookback_days(lookback_us: int) -> int:
    """Whole days that a lookback reaches.

    >>> lookback_days(3_600_000_000)
    1
    """
    return -(-lookback_us // US_PER_DAY)


def changed_days(now: Mapping[str, str], before: Mapping[str, str]) -> list[int]:
    """Days whose input differs, and days that are gone."""
    names = {day for day in {*now, *before} if now.get(day) != before.get(day)}
    return sorted(int(day) for day in names)


def slices(days: Iterable[int]) -> list[tuple[int, int]]:
    """Runs of days as (low_us, high_us), cut at the first of each month so that a part stays small."""
    found: list[tuple[int, int]] = []
    for day in sorted(days):
        low, high = day * US_PER_DAY, (day + 1) * US_PER_DAY
        if found and found[-1][1] == low and (_EPOCH + timedelta(days=day)).day != 1:
            found[-1] = (found[-1][0], high)
        else:
            found.append((low, high))
    return found
