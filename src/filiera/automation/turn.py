"""One turn of `filiera up`: look for events, decide about them, do what may be done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from filiera.automation.reconcile import reconcile
from filiera.automation.target import Target, targets
from filiera.automation.watch import Memory, look, started
from filiera.automation.work import RENEW_S, Worked, carry_out, claim
from filiera.collect.file import Standing
from filiera.core.event import Outcome
from filiera.dimensions.context import Context
from filiera.dimensions.ingest import ingest_source
from filiera.dimensions.waiting import candidates
from filiera.errors import ConflictError, FilieraError, WorkError
from filiera.ledger import events, intents


@dataclass(slots=True)
class Turn:
    """What happened."""

    texts: list[str] = field(default_factory=list)  #: a line each, for the person at the terminal
    failure: FilieraError | None = None  #: what does not work: the first of several

    @contextmanager
    def part(self) -> Iterator[None]:
        """Run the body; what is wrong with it holds up nothing else."""
        try:
            yield
        except FilieraError as error:
            self.failure = self.failure or error


def turn(
    context: Context,
    worker: str,
    lock: AbstractContextManager[None],
    *,
    up_since_us: int | None = None,
    memory: Memory | None = None,
    renew_s: float | None = RENEW_S,
) -> Turn:
    """Look, decide, and work. What cannot be looked at or planned now loses no event: the next turn goes on.

    Args:
        context: the open project.
        worker: names this process in claims.
        lock: of applies; while somebody else has it, nothing is worked at.
        up_since_us: when `up` began; None = it did not.
        memory: of earlier turns; it only saves time.
        renew_s: seconds between renewals of a lease; None = never.
    """
    found, goals = Turn(), targets(context.settings.automation)
    if up_since_us is not None:
        events.record_new(context.ledger, [started(up_since_us)], context.principal)
    for collector in look(context, goals, memory or Memory()):
        with found.part():
            events.record_new(context.ledger, list(collector()), context.principal)
    for goal in goals:
        with found.part():
            _decide(context, goal, found)
    try:
        with lock:
            _work(context, goals, worker, found, renew_s)
    except ConflictError as error:
        if error.code != "apply.running":
            raise
        return found  # a person's apply or release is at it; what is pending waits
    found.failure = found.failure or _standing_failure(context, goals)
    return found


def _decide(context: Context, goal: Target, found: Turn) -> None:
    decision = reconcile(context, goal)
    if decision is not None and decision.outcome is Outcome.WAITS and not decision.code:
        advice = f"`filiera events approve {decision.intent}` lets it run"
        found.texts.append(f"{goal.environment}: {decision.reason}; {advice}")


def _work(context: Context, goals: Sequence[Target], worker: str, found: Turn, renew_s: float | None) -> None:
    with found.part():
        _note_touched(context)
    for goal in goals:
        with found.part():
            intent = claim(context, goal, worker)
            if intent is not None:
                found.texts.append(_told(carry_out(context, goal, intent, renew_s=renew_s)))


def _told(worked: Worked) -> str:
    how = "" if worked.state == "done" else f"{worked.state}: "
    return f"{worked.intent.environment}: {how}{worked.text}"


def _note_touched(context: Context) -> None:
    """Files with another time and the same bytes are noted, or they would be read again at every look."""
    for name, source in context.settings.sources.items():
        touched = [i for i in candidates(context, name) if i.standing is Standing.TOUCHED]
        if touched:
            ingest_source(context, source, touched)


def _standing_failure(context: Context, goals: Sequence[Target]) -> FilieraError | None:
    """The newest work of an environment that failed, until other work of it is done or nothing is due any more."""
    for goal in goals:
        with context.ledger.reading() as connection:
            ended = intents.in_state(connection, "done", "failed", environment=goal.environment)
            last = events.last_decision(connection, goal.environment)
        if ended and ended[-1].state == "failed" and not (last and last.code == "nothing"):
            text = (ended[-1].result or {}).get("text", "")
            return WorkError(
                "automation.failed", f"{goal.environment}: {text}", next="`filiera events` shows when it is tried again"
            )
    return None
