"""A plan: what changed in which dimension, what follows from it, and its price. Data only; `dimensions` makes it."""

from __future__ import annotations

import html
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from filiera.clock import rfc3339
from filiera.core.money import Money
from filiera.digest import digest_json


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
    REUSE = "reuse"  #: a trace answers for its key


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
    probability: float = 1.0  #: share 0-1 that it runs
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
            "probability": self.probability,
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
        """Identity of the plan: equal when the same work follows for the same reasons."""
        steps = [[s.asset, s.operation, s.action.value, s.key, [r.to_json() for r in s.reasons]] for s in self.steps]
        return digest_json("plan", 1, {"environment": self.environment, "steps": steps})

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
            "expected_s": round(self.seconds, 3),
            "worst_s": round(self.worst_seconds, 3),
            "expected_cost": self.cost.to_json(),
            "worst_cost": self.worst_cost.to_json(),
            "steps": [step.to_json() for step in self.steps],
            "warnings": list(self.warnings),
        }
