"""Time as an argument: whoever needs the time is handed a clock."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

US_PER_S = 1_000_000
US_PER_DAY = 86_400 * US_PER_S


class Clock(Protocol):
    """Tells the time; tests hand over one that stands still or jumps."""

    def now_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1_000


@dataclass(slots=True)
class FixedClock:
    """A clock for tests: it shows `us` and moves only when told."""

    us: int

    def now_us(self) -> int:
        """The microseconds it was set to."""
        return self.us


def rfc3339(us: int) -> str:
    """Text of an instant, UTC, with `Z`. Source: RFC 3339, section 5.6.

    >>> rfc3339(1_393_632_000_000_000)
    '2014-03-01T00:00:00Z'
    """
    whole, rest = divmod(us, US_PER_S)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:06d}Z" if rest else f"{text}Z"


def parse_rfc3339(text: str) -> int:
    """Microseconds UTC of a year, a month, a date or an instant; a text without offset is read as UTC.

    >>> parse_rfc3339("2014-03-01") == parse_rfc3339("2014-03")
    True
    >>> parse_rfc3339("2014-03-01")
    1393632000000000

    Raises:
        ValueError: not a date or time of ISO 8601.
    """
    whole = {4: "-01-01", 7: "-01"}.get(len(text), "")
    instant = datetime.fromisoformat(text + whole)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    delta = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * US_PER_S + delta.microseconds
