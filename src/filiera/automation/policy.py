"""What may run by itself, up to which price, and what waits for a person. Pure: a plan in, a verdict out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from filiera.core.event import Outcome
from filiera.core.money import Money
from filiera.core.plan import Action, Plan, Step
from filiera.settings import Automation

#: `prod` follows new rows whatever `[automation]` says: same definitions, same model, and the contract is its gate.
FOLLOW = Automation(on=True)
_WORK = (Action.RUN.value, Action.MAYBE.value)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a plan."""

    outcome: Outcome
    code: str = ""
    reason: str = ""


def needs_person(plan: Plan, rules: Automation) -> tuple[Step, ...]:
    """Steps of a plan that do not run by themselves."""
    may = {"ingest": rules.ingest, "compute": rules.compute, "train": rules.train}
    return tuple(step for step in plan.work if not may.get(step.operation, False))


def judge(whole: Plan, part: Plan, rules: Automation, spent: Money) -> Verdict:
    """Whether a plan runs by itself.

    Args:
        whole: everything that is due.
        part: the same without what does not run by itself; this is what would run.
        rules: `[automation]`.
        spent: in the last 30 days.
    """
    if whole.up_to_date:
        return Verdict(Outcome.SKIPPED, "nothing", "nothing to run")
    if not rules.on:
        return Verdict(Outcome.SKIPPED, "off", f"{_names(whole)} due; nothing runs by itself without [automation]")
    held = needs_person(whole, rules)
    if part.up_to_date or any(step.operation == "ingest" for step in held):
        return Verdict(Outcome.WAITS, reason=f"{_told(held)} waits for a person")
    price = part.worst_cost
    if rules.up_to is not None and price > rules.up_to:
        return Verdict(Outcome.WAITS, reason=f"may cost {price}, more than up_to = {rules.up_to}")
    if rules.month is not None and price.nano > 0 and spent + price > rules.month:
        reason = f"may cost {price}, and {spent} of {rules.month} are spent in 30 days"
        return Verdict(Outcome.SKIPPED, "budget", reason)
    return Verdict(Outcome.PLANNED, reason=f"{_names(part)}, at most {price}")


def covers(agreed: Mapping[str, Any], now: Plan) -> bool:
    """Whether what is due now is part of what was agreed to, by the same definitions, and costs no more.

    Args:
        agreed: `filiera.plan/1`.
        now: made a moment ago.
    """
    steps = [step for step in agreed["steps"] if step["action"] in _WORK]
    known = {(step["asset"], step["operation"], step["definition"]) for step in steps}
    worst = agreed["worst_cost"]
    within = now.worst_cost <= Money.of(f"{worst['amount']} {worst['currency']}")
    return within and all((step.asset, step.operation, step.definition) in known for step in now.work)


def _names(plan: Plan) -> str:
    restored = tuple(step for step in plan.steps if step.action is Action.RESTORE)
    return "; ".join(text for text in (_told(plan.work), _told(restored, "restore")) if text)


def _told(steps: tuple[Step, ...], word: str = "") -> str:
    return ", ".join(f"{word or step.operation} {step.asset}" for step in steps)
