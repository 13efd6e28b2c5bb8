"""Troubles are told once, shown until they end, and tried again later and later."""

from __future__ import annotations

import logging

import pytest

from filiera.clock import FixedClock
from filiera.errors import UnavailableError
from filiera.server.metrics import Metrics
from filiera.server.trouble import Backoff, Troubles


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(5_000_000)


@pytest.fixture
def troubles(told: list[str], clock: FixedClock) -> Troubles:
    return Troubles(clock, told.append)


def test_an_error_is_told_once_and_shown_since_its_first_time(
    troubles: Troubles, told: list[str], clock: FixedClock
) -> None:
    for _ in range(3):
        with troubles.watching("rows"):
            raise UnavailableError("ledger.unavailable", "the ledger could not be written")
        clock.us += 1_000_000
    assert told == ["rows: ledger.unavailable the ledger could not be written"]
    (item,) = troubles.current()
    assert item.to_json() == {
        "part": "rows",
        "error": "ledger.unavailable the ledger could not be written",
        "since": "1970-01-01T00:00:05Z",
    }


def test_what_works_again_is_told_and_shown_no_more(troubles: Troubles, told: list[str]) -> None:
    with troubles.watching("rows"):
        raise ValueError("first\nsecond")
    with troubles.watching("rows"):
        pass
    assert told == ["rows: ValueError first", "rows: works again"]
    assert troubles.current() == []


def test_an_error_that_nobody_foresaw_leaves_its_traceback_in_the_log_once(
    troubles: Troubles, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            with troubles.watching("rows"):
                raise ZeroDivisionError("by zero")
        with troubles.watching("head"):
            raise UnavailableError("a.b", "foreseen")
    assert caplog.text.count("Traceback") == 1


def test_a_process_that_shall_end_is_not_held_up(troubles: Troubles) -> None:
    with pytest.raises(KeyboardInterrupt), troubles.watching("rows"):
        raise KeyboardInterrupt


def test_prometheus_sees_since_when(troubles: Troubles) -> None:
    metrics = Metrics(troubles)
    with troubles.watching("head"):
        pass
    troubles.report("rows", ValueError("x"))
    text = metrics.text().decode()
    assert 'filiera_trouble_since_seconds{part="head"} 0.0' in text
    assert 'filiera_trouble_since_seconds{part="rows"} 5.0' in text
    troubles.forget("rows")
    assert 'part="rows"' not in metrics.text().decode()


def test_the_next_attempt_comes_later_and_later_but_comes() -> None:
    now = [0.0]
    retry = Backoff(lambda: now[0])
    waits = []
    for _ in range(9):
        assert retry.due
        retry.failed()
        before = now[0]
        while not retry.due:
            now[0] += 1
        waits.append(now[0] - before)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    retry.worked()
    retry.failed()
    now[0] += 1
    assert retry.due
