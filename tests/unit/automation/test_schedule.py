"""Ticks: a restart neither skips nor doubles one, and missed ones collapse."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automations import AT_ONCE, BEGIN_US, Up, copy
from filiera.clock import US_PER_DAY, US_PER_S, parse_rfc3339, rfc3339
from filiera.core.event import EventKind
from filiera.core.schedule import Schedule, length_us

texts = st.sampled_from(["every 1min", "every 1h", "every 7h", "daily 06:00", "daily 23:59 Europe/Paris",
                         "daily 02:30 Europe/Paris", "daily 00:00 America/Lima",
                         "daily 2:30 Australia/Lord_Howe"])  # fmt: skip
instants = st.integers(0, 4_000_000_000 * US_PER_S)


@given(texts, instants)
def test_a_tick_is_not_after_now_and_is_its_own_last_tick(text: str, now_us: int) -> None:
    schedule = Schedule.of(text)
    tick = schedule.last_tick_us(now_us)
    assert tick <= now_us
    assert schedule.last_tick_us(tick) == tick
    assert now_us - tick < (schedule.every_us or 25 * 3600 * US_PER_S + US_PER_DAY)


@given(texts, instants, st.integers(0, 3 * US_PER_DAY))
def test_ticks_never_go_back(text: str, now_us: int, later_us: int) -> None:
    schedule = Schedule.of(text)
    assert schedule.last_tick_us(now_us) <= schedule.last_tick_us(now_us + later_us)


def test_a_daily_tick_comes_once_a_day_through_a_change_of_clocks() -> None:
    schedule = Schedule.of("daily 02:30 Europe/Paris")
    begin = parse_rfc3339("2024-03-29")
    ticks = {schedule.last_tick_us(begin + minutes * 60 * US_PER_S) for minutes in range(4 * 24 * 60)}
    days = sorted(rfc3339(tick) for tick in ticks)
    assert days == ["2024-03-28T01:30:00Z", "2024-03-29T01:30:00Z", "2024-03-30T01:30:00Z", "2024-03-31T01:30:00Z",
                    "2024-04-01T00:30:00Z"]  # fmt: skip


@pytest.mark.parametrize("text", ["", "hourly", "every", "every 30s", "every 1 fortnight", "daily", "daily 25:00",
                                  "daily 06:00 Mars/Base", "daily 06:60", "every 400d"])  # fmt: skip
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"it is|is no time zone"):
        Schedule.of(text)


def test_lengths() -> None:
    assert [length_us(text) // US_PER_S for text in ("10s", "15 min", "2h", "1d", "1w")] == [
        10, 900, 7200, 86_400, 604_800,
    ]  # fmt: skip


def ticks(up: Up) -> list[str]:
    return [event.source_id for event in up.events() if event.kind is EventKind.SCHEDULE]


def test_a_restart_neither_skips_nor_doubles_a_tick_and_missed_ones_collapse(template: Path, tmp_path: Path) -> None:
    root = copy(template, tmp_path / "p", AT_ONCE + 'schedule = "every 1h"\n')
    for minutes in (0, 1, 59, 61, 62, 5 * 60 + 1, 5 * 60 + 2):  # opened anew each time
        up = Up.open(root, BEGIN_US + minutes * 60 * US_PER_S)
        assert up.turn(started=True).failure is None
        told = ticks(up)
        codes = up.codes()
        up.workspace.close()
    noon = [rfc3339(BEGIN_US + hours * 3600 * US_PER_S) for hours in (0, 1, 5)]
    assert told == noon
    assert codes == ["nothing"] * 3, "start, code and settings came with the first tick"
