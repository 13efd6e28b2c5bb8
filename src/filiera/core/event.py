"""Events, what was decided about them, and intents. Data only; `automation` makes and reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class EventKind(StrEnum):
    """Why something may be due."""

    DATA = "data"  #: a source has new or changed files, or rows that an environment does not stand on
    CODE = "code"  #: the code in the folder, or the commit of a git ref, is another
    SETTINGS = "settings"  #: `filiera.toml` means something else
    SCHEDULE = "schedule"
    DRIFT = "drift"  #: inputs of a released model moved away from those it was trained on
    HAND = "hand"  #: a person said so
    START = "start"  #: `filiera up` began
    RETRY = "retry"  #: a step that failed may be tried again
    REST = "rest"  #: an intent ended and left something to look at


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that may have changed. It carries no work: what is to be done is what the plan says."""

    source: str  #: where it comes from, such as "source readings", "code" or "schedule every 1h"
    source_id: str  #: what it is there; the same thing told twice is one event
    kind: EventKind
    body: Mapping[str, Any] = field(default_factory=dict)
    cause: int | None = None  #: number of the intent that brought it about
    number: int = 0  #: 0 = not recorded yet
    created_us: int = 0


class Outcome(StrEnum):
    """What came of events."""

    PLANNED = "planned"  #: an intent will carry the plan out
    WAITS = "waits"  #: an intent waits for a person
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What came of the events `after` < number <= `through` in one environment."""

    environment: str
    after: int
    through: int
    outcome: Outcome
    code: str = ""  #: of a skip: "nothing", "off", "budget", "parked", "loop", "error" or "again"
    reason: str = ""
    intent: int | None = None
    created_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A plan that is to be carried out by itself."""

    environment: str
    key: str  #: of the plan and of the world that it was made in
    state: str  #: "pending", "waiting" (for a person), "running", "done", "failed", "stale" or "replaced"
    reason: str = ""  #: why it waits
    left_out: tuple[str, ...] = ()  #: assets that wait for a person, or for their next attempt
    plan: Mapping[str, Any] = field(default_factory=dict)  #: `filiera.plan/1`
    approved_by: str | None = None
    worker: str | None = None
    fence: int = 0  #: grows by one at every claim; only its newest holder may publish
    lease_until_us: int = 0
    generation: int | None = None  #: that it published
    result: Mapping[str, Any] | None = None
    number: int = 0
    created_us: int = 0
    ended_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How often a step failed under one key."""

    asset: str  #: "" = the work as a whole
    key: str
    times: int  #: since a person acted last
    last_us: int
    error: str


@dataclass(frozen=True, slots=True)
class Debounce:
    """When a burst of events is worked at: when it is quiet, and at the latest after `max_wait_us`."""

    quiet_us: int = 0
    max_wait_us: int = 0
