"""Studies and their trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class TrialState(StrEnum):
    """Where a trial stands; RUNNING ends in one of the others and then never changes."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"  #: the function raised, or gave no finite score
    LOST = "lost"  #: its worker died; the settings are tried once more under a new trial
    CAPPED = "capped"  #: ended because going on cost more than it could still gain, or than the budget holds


class Stop(StrEnum):
    """What ended a study, and so what would make it go on."""

    LIMIT = "limit"  #: all trials that were allowed are done
    SPACE = "space"  #: there is nothing to search
    BUDGET = "budget"  #: no money for another trial and the final fit
    WORTH = "worth"  #: another trial is expected to gain less than it costs
    BROKEN = "broken"  #: nothing came to a score; the next apply tries again


#: Origins of a trial. A trial that repeats another one's settings does not count for the limit of trials.
SEARCH, CHAMPION, DEFAULT, REPEAT = "search", "champion", "default", "repeat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One configuration of a study and what came of it."""

    number: int  #: 0, 1, 2 ... within the study
    settings: Mapping[str, Any]
    state: TrialState
    score: float | None = None  #: mean over the windows, in the target's unit
    window_scores: tuple[float, ...] = ()
    seconds: float = 0.0  #: wall seconds in the worker; of a trial that was interrupted, of every attempt
    cpu_seconds: float = 0.0
    peak_bytes: int = 0  #: private memory at its highest
    cost_nano: int = 0  #: of every attempt
    error: str = ""  #: the failing code's own words, or why it was ended
    origin: str = SEARCH  #: or "champion" (its settings, tried first), "default", "repeat" of a lost or failed one


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What needs no model: mean, persistence, seasonal or linear, scored on the same windows."""

    name: str
    score: float
    window_scores: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A search over one space on one set of rows; trials are keyed below it and may be continued."""

    id: str
    model: str
    key: str
    created_us: int
    workers: int  #: lag of the proposals in fixed order; stored, so that a resumed study proposes the same
    snapshot: str | None = None  #: of its rows, when it began; kept while it is in progress
