"""A plan as text for people."""

from __future__ import annotations

from filiera.core.plan import Action, Plan, Step

_ORDER = (Action.RUN, Action.MAYBE, Action.HOLD)
_SHOWN = 6  #: reasons a step
_NAMED = 12  #: assets in one line


def plan_text(plan: Plan) -> str:
    """What changed, what runs and why, what is reused, and the price."""
    lines = [f"  {word:8}{text}" for word, text in _changes(plan)]
    steps = [step for action in _ORDER for step in plan.steps if step.action is action]
    lines += [line for step in steps for line in _step(step)]
    for action in (Action.RESTORE, Action.REUSE):
        names = [step.asset for step in plan.steps if step.action is action]
        if names:
            lines.append(f"  {action.value:8}{_names(names)}")
    lines += [f"  study   {step.asset} {step.detail}" for step in _going_on(plan)]
    lines += [f"  note    {text}" for text in plan.warnings]
    if plan.up_to_date:
        return "\n".join(["nothing to do", *lines])
    return "\n".join([*lines, f"  {_price(plan)}; plan {plan.key.removeprefix('sha256:')[:8]}"])


def _names(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _going_on(plan: Plan) -> list[Step]:
    return [step for step in plan.steps if step.action in (Action.REUSE, Action.RESTORE) and step.detail]


def _price(plan: Plan) -> str:
    if not plan.work:
        more = " but studies that may continue, at a price of their own" if _going_on(plan) else ""
        return f"nothing runs{more}: earlier results stand again"
    likely = f" (p90 {plan.cost_p90}, {_time(plan.seconds_p90)})" if plan.seconds_p90 is not None else ""
    expected = f"expected {plan.cost}, {_time(plan.seconds)}{likely}"
    guesses = " (guesses: fewer than three earlier runs)" if any(step.guess for step in plan.work) else ""
    return f"{expected}; worst {plan.worst_cost}, {_time(plan.worst_seconds)}{guesses}"


def _changes(plan: Plan) -> list[tuple[str, str]]:
    """Each reason once, by dimension; conditions of maybe and thresholds are told with their step."""
    seen: dict[tuple[str, str], None] = {}
    for step in plan.steps:
        for reason in step.reasons:
            if not reason.text.startswith(("if ", "waits", "never", "stale")):
                text = reason.text if step.operation == "ingest" else f"{step.asset}: {reason.text}"
                seen.setdefault((reason.dimension.value, text), None)
    return list(seen)


def _step(step: Step) -> list[str]:
    figures = ""
    if step.action is not Action.HOLD:
        likely = f" ({step.probability:.0%} likely)" if step.action is Action.MAYBE else ""
        figures = f"{likely}  {_time(step.seconds)}, {step.cost}"
    reasons = "; ".join(reason.text for reason in step.reasons[:_SHOWN])
    told = reasons if reasons.startswith("if ") else f"because {reasons}"
    why = f"  {told}" if step.operation != "ingest" and reasons else ""
    detail = f" [{step.detail}]" if step.detail else ""
    return [f"  {step.action.value:8}{step.operation} {step.asset}{detail}{figures}{why}"]


def _time(seconds: float) -> str:
    """`0:05` or `1:02:03`."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
