"""Schedules, such as `every 1h` or `daily 06:00 Europe/Paris`, and the last tick before an instant.

A tick is known by its time, so a restart neither skips nor doubles one, and missed ticks collapse into the last.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from filiera.clock import US_PER_DAY, US_PER_S

_UNITS = {"s": US_PER_S, "min": 60 * US_PER_S, "h": 3600 * US_PER_S, "d": US_PER_DAY, "w": 7 * US_PER_DAY}
_LENGTH = re.compile(r"([0-9]{1,9})\s*(s|min|h|d|w)", re.ASCII)
_EVERY = re.compile(r"every\s+(.+)")
_DAILY = re.compile(r"daily\s+([01]?[0-9]|2[0-3]):([0-5][0-9])(?:\s+(\S+))?", re.ASCII)
SHORTEST_US = 60 * US_PER_S
LONGEST_US = 366 * US_PER_DAY


def length_us(text: str) -> int:
    """Microseconds of `10s`, `15min`, `1h`, `2d` or `1w`; at most 366 days.

    >>> length_us("15min")
    900000000

    Raises:
        ValueError: not a length of time, or too long.
    """
    match = _LENGTH.fullmatch(text.strip())
    if not match:
        raise ValueError("it is no length of time")
    found = int(match[1]) * _UNITS[match[2]]
    if found > LONGEST_US:
        raise ValueError("it is longer than 366 days")
    return found


@dataclass(frozen=True, slots=True)
class Schedule:
    """When something is due again and again. Either `every_us` counts, or the time of day."""

    text: str
    every_us: int = 0  #: ticks at the multiples of this since 1970; 0 = daily
    hour: int = 0
    minute: int = 0
    zone: str = "UTC"

    @classmethod
    def of(cls, text: str) -> Schedule:
        """Read `every 1h` or `daily 06:00`, the latter with a time zone where it is not UTC.

        Raises:
            ValueError: neither of the two, an unknown zone, or more often than once a minute.
        """
        if match := _EVERY.fullmatch(text.strip()):
            every_us = length_us(match[1])
            if every_us < SHORTEST_US:
                raise ValueError("it is due more often than once a minute")
            return cls(text, every_us)
        if match := _DAILY.fullmatch(text.strip()):
            zone = match[3] or "UTC"
            if zone not in available_timezones():
                raise ValueError(f"{zone} is no time zone")
            return cls(text, 0, int(match[1]), int(match[2]), zone)
        raise ValueError("it is no schedule")

    def last_tick_us(self, now_us: int) -> int:
        """The newest tick that is not after `now_us`.

        >>> Schedule.of("every 1h").last_tick_us(7_300_000_000)
        7200000000
        """
        if self.every_us:
            return now_us // self.every_us * self.every_us
        day = datetime.fromtimestamp(now_us // US_PER_S, ZoneInfo(self.zone)).date()
        return next(tick for tick in map(self._tick_us, (day, day - timedelta(days=1))) if tick <= now_us)

    def _tick_us(self, day: date) -> int:
        """An hour that a clock change skips ticks when it would have been; one that comes twice, the first time."""
        local = datetime(day.year, day.month, day.day, self.hour, self.minute, tzinfo=ZoneInfo(self.zone))
        return round(local.astimezone(UTC).timestamp()) * US_PER_S
