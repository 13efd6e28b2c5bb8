"""When a burst of events is worked at."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from filiera.automation.debounce import due_us, rules_of
from filiera.clock import US_PER_S
from filiera.core.event import Debounce, Event, EventKind
from filiera.settings import Automation

S = US_PER_S
RULES = {EventKind.DATA: Debounce(60 * S, 900 * S), EventKind.CODE: Debounce(10 * S, 120 * S)}


def event(kind: EventKind, at_us: int) -> Event:
    return Event(source="x", source_id=str(at_us), kind=kind, created_us=at_us)


times = st.integers(0, 10_000 * S)
found = st.lists(st.builds(event, st.sampled_from(list(EventKind)), times), max_size=20)
one_kind = st.lists(st.builds(event, st.just(EventKind.DATA), times), min_size=1, max_size=20)


def test_nothing_happened_so_nothing_is_due() -> None:
    assert due_us([], RULES) is None


@given(found, st.randoms(use_true_random=False))
def test_order_and_repeats_do_not_matter(events: list[Event], chance: random.Random) -> None:
    mixed = events * 3
    chance.shuffle(mixed)
    assert due_us(mixed, RULES) == due_us(events, RULES)


@given(one_kind, st.integers(0, 5_000 * S))
def test_a_later_event_of_a_kind_never_brings_its_time_forward(events: list[Event], after_us: int) -> None:
    before = due_us(events, RULES)
    later = event(EventKind.DATA, max(item.created_us for item in events) + after_us)
    after = due_us([*events, later], RULES)
    assert before is not None
    assert after is not None
    assert after >= before


@given(one_kind)
def test_a_burst_is_due_when_it_is_quiet_and_at_the_latest_after_the_longest_wait(events: list[Event]) -> None:
    due = due_us(events, RULES)
    first, last = min(e.created_us for e in events), max(e.created_us for e in events)
    assert due is not None
    assert due <= first + 900 * S
    assert due == last + 60 * S or (due == first + 900 * S and last + 60 * S > due)


@given(found.filter(bool))
def test_the_kind_that_is_due_first_takes_the_others_along(events: list[Event]) -> None:
    alone = [due_us([e for e in events if e.kind is kind], RULES) for kind in {e.kind for e in events}]
    assert due_us(events, RULES) == min(item for item in alone if item is not None)


@given(found, times)
def test_a_person_a_schedule_and_a_retry_are_due_at_once(events: list[Event], at_us: int) -> None:
    for kind in (EventKind.HAND, EventKind.SCHEDULE, EventKind.RETRY, EventKind.REST, EventKind.START):
        due = due_us([*events, event(kind, at_us)], RULES)
        assert due is not None
        assert due <= at_us


def test_edits_that_never_stop_are_worked_at_after_two_minutes() -> None:
    rules = rules_of(Automation())
    worked, waiting = [], []
    for second in range(600):
        waiting.append(event(EventKind.CODE, second * S))
        due = due_us(waiting, rules)
        if due is not None and due <= second * S:
            worked.append(second)
            waiting = []
    assert worked == [120, 241, 362, 483]


def test_a_longest_wait_that_is_shorter_than_the_quiet_time_still_waits_for_quiet_once() -> None:
    rules = {EventKind.DATA: Debounce(60 * S, 5 * S)}
    one = event(EventKind.DATA, 0)
    assert due_us([one], rules) == 60 * S
    assert due_us([one, replace(one, created_us=50 * S)], rules) == 60 * S
