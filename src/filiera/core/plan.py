"""A plan: what changed in which dimension, what follows from it, and its price. Data only; `dimensions` makes it."""

from __future__ import annotations

import html
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from filiera.clock import rfc3339
from filiera.core.money import Money
from filiera.digest import digest


class Dimension(StrEnum):
    """Where a change comes from."""

    DATA = "data"
    CODE = "code"
    MODEL = "model"  #: settings, search space, split, seed, score
    RUNTIME = "runtime"  #: interpreter and libraries


class Action(StrEnum):
    """What apply will do with an asset."""

    RUN = "run"  #: its key has no trace: it must be computed
    MAYBE = "maybe"  #: an input will be computed first; whether this follows depends on what comes out
    HOLD = "hold"  #: stale, but a rule or a missing condition keeps it as it is
    RESTORE = "restore"  #: an earlier trace answers for its key: it stands again, and nothing runs
    REUSE = "reuse"  #: the trace that stands answers for its key


@dataclass(frozen=True, slots=True)
class Reason:
    """One difference between what is and what the three dimensions say should be."""

    dimension: Dimension
    text: str

    def to_json(self) -> dict[str, Any]:
        """Both fields."""
        return {"dimension": self.dimension.value, "text": self.text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What happens with one asset, and what that takes."""

    asset: str
    operation: str  #: "ingest", "compute" or "train"
    action: Action
    reasons: tuple[Reason, ...] = ()
    detail: str = ""  #: such as "61 of 245 days" or "up to 30 trials, champion's settings first"
    key: str | None = None  #: digest of everything the output depends on; None while an input is unknown
    definition: str | None = None  #: digest of its code and settings, of a step that may run
    probability: float = 1.0  #: share 0-1 that it runs
    seconds_p10: float = 0.0
    seconds: float = 0.0  #: expected, if it runs
    seconds_p90: float = 0.0
    cost: Money | None = None  #: expected, if it runs
    cost_p90: Money | None = None
    guess: bool = False  #: fewer than three earlier runs stand behind the figures

    def to_json(self) -> dict[str, Any]:
        """The step as data; durations in seconds, shares 0-1."""
        return {
            "asset": self.asset,
            "operation": self.operation,
            "action": self.action.value,
            "reasons": [reason.to_json() for reason in self.reasons],
            "detail": self.detail,
            "key": self.key,
            "definition": self.definition,
            "probability": self.probability,
            "p10_s": round(self.seconds_p10, 3),
            "expected_s": round(self.seconds, 3),
            "p90_s": round(self.seconds_p90, 3),
            "cost": self.cost.to_json() if self.cost else None,
            "cost_p90": self.cost_p90.to_json() if self.cost_p90 else None,
            "guess": self.guess,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The least work that brings an environment up to date; it changes nothing by itself."""

    environment: str
    currency: str
    steps: tuple[Step, ...]
    warnings: tuple[str, ...] = ()
    created_us: int = 0
    seconds_p90: float | None = None  #: of all work together, drawn at random; None = nothing to draw, or too much
    cost_p90: Money | None = None

    @property
    def up_to_date(self) -> bool:
        """Nothing runs, and nothing moves."""
        return not any(step.action in (Action.RUN, Action.MAYBE, Action.RESTORE) for step in self.steps)

    @property
    def work(self) -> tuple[Step, ...]:
        """The steps that run or may run."""
        return tuple(step for step in self.steps if step.action in (Action.RUN, Action.MAYBE))

    @property
    def seconds(self) -> float:
        """Expected seconds, weighted by probability."""
        return sum(step.seconds * step.probability for step in self.work)

    @property
    def cost(self) -> Money:
        """Expected money, weighted by probability."""
        nano = sum(step.cost.nano * step.probability for step in self.work if step.cost)
        return Money(round(nano), self.currency)

    @property
    def worst_cost(self) -> Money:
        """Money if everything that may run does, at its 90th percentile."""
        return Money(sum(step.cost_p90.nano for step in self.work if step.cost_p90), self.currency)

    @property
    def worst_seconds(self) -> float:
        """Seconds if everything that may run does, at its 90th percentile."""
        return sum(step.seconds_p90 for step in self.work)

    @property
    def key(self) -> str:
        """Identity of the plan: equal when the same work follows from the same inputs for the same reasons."""
        lines = [self.environment]
        for s in self.steps:
            texts = [reason.text for reason in s.reasons]
            lines.append("\t".join((s.asset, s.action.value, s.key or "", s.definition or "", *texts)))
        return digest("plan", 2, "\n".join(lines).encode())

    def __str__(self) -> str:
        from filiera.core.plan_text import plan_text

        return plan_text(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def to_json(self) -> dict[str, Any]:
        """The plan as data, `filiera.plan/1`."""
        return {
            "schema": "filiera.plan/1",
            "environment": self.environment,
            "key": self.key,
            "created": rfc3339(self.created_us),
            "work": bool(self.work),
            "up_to_date": self.up_to_date,
            "expected_s": round(self.seconds, 3),
            "p90_s": None if self.seconds_p90 is None else round(self.seconds_p90, 3),
            "worst_s": round(self.worst_seconds, 3),
            "expected_cost": self.cost.to_json(),
            "p90_cost": self.cost_p90.to_json() if self.cost_p90 else None,
            "worst_cost": self.worst_cost.to_json(),
            "steps": [step.to_json() for step in self.steps],
            "warnings": list(self.warnings),
        }
