"""When a step that failed is tried again: later and later, then no more until a person acts or its key changes."""

from __future__ import annotations

from collections.abc import Sequence

from filiera.clock import US_PER_S
from filiera.core.event import Failure

FIRST_US = 60 * US_PER_S
#: A step that failed so often under one key is left alone.
MOST_FAILURES = 3


def retry_us(failure: Failure) -> int | None:
    """When a step may be tried again; None = not by itself.

    >>> retry_us(Failure(asset="a", key="k", times=2, last_us=0, error=""))
    120000000
    """
    if failure.times >= MOST_FAILURES:
        return None
    return failure.last_us + (FIRST_US << (failure.times - 1))


def blocked(failures: Sequence[Failure], now_us: int) -> dict[tuple[str, str], str]:
    """Steps that must not be tried now, by asset and key, and why."""
    found = {}
    for failure in failures:
        again_us = retry_us(failure)
        if again_us is None:
            found[failure.asset, failure.key] = f"failed {failure.times} times, parked: {failure.error}"
        elif now_us < again_us:
            wait_s = (again_us - now_us) // US_PER_S
            found[failure.asset, failure.key] = f"failed, tried again in {wait_s} s: {failure.error}"
    return found
