"""When a burst of events is worked at. Pure: the time comes in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from filiera.core.event import Debounce, Event, EventKind
from filiera.settings import Automation

#: Kinds that are due at once: a schedule, a person and what filiera itself looks at again come one at a time.
AT_ONCE = Debounce()


def due_us(events: Sequence[Event], rules: Mapping[EventKind, Debounce]) -> int | None:
    """When the events are due; None when there are none.

    Each kind is due when it was quiet for long enough, and at the latest `max_wait_us` after its first event; the
    kind that is due first takes the others along. More events of a kind never bring its time forward.

    Args:
        events: not decided about yet, in any order.
        rules: by kind; a kind without a rule is due at once.
    """
    times: dict[EventKind, list[int]] = {}
    for event in events:
        times.setdefault(event.kind, []).append(event.created_us)
    due = [_due(found, rules.get(kind, AT_ONCE)) for kind, found in times.items()]
    return min(due, default=None)


def _due(times: Sequence[int], rule: Debounce) -> int:
    return min(min(times) + max(rule.max_wait_us, rule.quiet_us), max(times) + rule.quiet_us)


def rules_of(automation: Automation) -> dict[EventKind, Debounce]:
    """What waits how long in `dev`."""
    return {
        EventKind.DATA: automation.data,
        EventKind.CODE: automation.code,
        EventKind.SETTINGS: automation.code,
    }
