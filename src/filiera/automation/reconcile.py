"""The reconciler: what came of the events that nobody decided about yet, one transaction per environment.

1. Events since the cursor; none, or an intent at work: nothing to decide now.
2. Not due yet: wait until it is quiet.
3. Brought about by runs of the same environment only: recorded, not acted on.
4. The plan, made just now; steps that failed a moment ago are left out, and steps that need a person.
5. Cursor, intent and audit entry commit together, or none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from filiera.automation.backoff import blocked
from filiera.automation.debounce import due_us
from filiera.automation.policy import Verdict, judge, needs_person
from filiera.automation.target import Ready, Target
from filiera.core.event import Decision, Event, EventKind, Failure, Intent, Outcome
from filiera.core.generation import PROD, Generation
from filiera.core.money import Money
from filiera.core.plan import Plan
from filiera.core.snapshot import Snapshot
from filiera.digest import digest_json
from filiera.dimensions.context import Context
from filiera.dimensions.waiting import pending
from filiera.errors import ConflictError, UsageError
from filiera.ledger import environments, events, intents, snapshots, traces

MONTH_US = 30 * 86_400_000_000


@dataclass(frozen=True, slots=True)
class Proposal:
    """A verdict, and the intent that follows from it; None for a skip."""

    verdict: Verdict
    intent: Intent | None = None


def reconcile(context: Context, target: Target) -> Decision | None:
    """Decide about the new events of an environment; None when there is nothing to decide now.

    Raises:
        FilieraError: the plan cannot be made; no event was lost, and the next call looks at them again.
    """
    environment = target.environment
    with context.ledger.reading() as connection:
        cursor = events.cursor(connection, environment)
        rows = events.after(connection, cursor)
        at_work = intents.in_state(connection, *intents.OPEN, environment=environment)
        acted_on = [event for event in rows if environment not in events.cause_chain(connection, event)]
    due = due_us(rows, target.debounce)
    if due is None or at_work or context.clock.now_us() < due:
        return None
    if not acted_on:
        text = f"{environment} brought this about by itself: looked at no further"
        proposal = Proposal(Verdict(Outcome.SKIPPED, "loop", text))
    else:
        proposal = propose(context, target)
    return _commit(context, target, proposal, cursor, rows)


def propose(context: Context, target: Target) -> Proposal:
    """What should be done in an environment now; changes nothing."""
    if not target.rules.on:
        text = f"nothing runs by itself in {target.environment}: filiera.toml has no [automation]"
        return Proposal(Verdict(Outcome.SKIPPED, "off", text))
    try:
        ready = target.ready(context)
        if ready is None:
            return Proposal(Verdict(Outcome.SKIPPED, "nothing", "nothing is released"))
        return _proposal(context, target, ready)
    except UsageError as error:
        if target.environment == PROD:
            raise  # released code worked when it was released
        return Proposal(Verdict(Outcome.SKIPPED, "error", f"{error.where or error.code}: {error.message}"))


def _proposal(context: Context, target: Target, ready: Ready) -> Proposal:
    now_us = context.clock.now_us()
    found = standing_failures(context, target.environment)
    stopped = blocked(found, now_us)
    everything = ready.plan(frozenset())
    failing = {step.asset: stopped[step.asset, step.key] for step in everything.work
               if step.key is not None and (step.asset, step.key) in stopped}  # fmt: skip
    due = ready.plan(frozenset(failing)) if failing else everything
    held = frozenset(step.asset for step in needs_person(due, target.rules) if step.operation != "ingest")
    part = ready.plan(frozenset(failing) | held) if held else due
    if failing and due.up_to_date:
        text = "; ".join(f"{asset}: {why}" for asset, why in failing.items())
        return Proposal(Verdict(Outcome.SKIPPED, "parked", text))
    verdict = judge(due, part, target.rules, _spent(context))
    if part.up_to_date and (newer := behind(context, ready.head)):  # nothing to compute, but to stand on
        rows = ", ".join(f"{item.table} snapshot {item.number}" for item in newer)
        verdict = Verdict(Outcome.PLANNED, reason=f"stands on {rows}")
    if verdict.outcome is Outcome.SKIPPED:
        return Proposal(verdict)
    waits = verdict.outcome is Outcome.WAITS
    plan, left_out = (due, frozenset(failing)) if waits else (part, frozenset(failing) | held)
    key = _world_key(context, ready, plan, left_out)
    if ("", key) in stopped:
        return Proposal(Verdict(Outcome.SKIPPED, "parked", stopped["", key]))
    intent = Intent(
        environment=target.environment,
        key=key,
        state="waiting" if waits else "pending",
        reason=verdict.reason,
        left_out=tuple(sorted(left_out)),
        plan=plan.to_json(),
    )
    return Proposal(verdict, intent)


def standing_failures(context: Context, environment: str) -> list[Failure]:
    """Failures since a person acted last."""
    with context.ledger.reading() as connection:
        hand = events.newest_of(connection, EventKind.HAND)
        return intents.failures(connection, environment, hand.created_us if hand else -1)


def behind(context: Context, head: Generation | None) -> list[Snapshot]:
    """Sources with other rows than those that a generation stands on."""
    found = []
    with context.ledger.reading() as connection:
        for name in context.settings.sources if head is not None else ():
            assert head is not None
            newest = snapshots.latest(connection, name)
            trace = traces.get(connection, head.assets[name]) if name in head.assets else None
            if newest is not None and (trace is None or trace.output_semantic != newest.semantic):
                found.append(newest)
    return found


def _spent(context: Context) -> Money:
    with context.ledger.reading() as connection:
        nano = environments.total_spend(connection, context.clock.now_us() - MONTH_US)
    return Money(nano, context.prices.currency)


def _world_key(context: Context, ready: Ready, plan: Plan, left_out: frozenset[str]) -> str:
    """Identity of a plan in the world that it was made in: the head, the rows and the files that wait."""
    world = {}
    for name in context.settings.sources:
        snapshot = context.lake.latest(name)
        world[name] = [snapshot.id if snapshot else None, pending(context, name).digest]
    body = {
        "plan": plan.key,
        "head": ready.head.id if ready.head else None,
        "sources": world,
        "left_out": sorted(left_out),
    }
    return digest_json("intent", 1, body)


def _commit(
    context: Context, target: Target, proposal: Proposal, cursor: int, rows: Sequence[Event]
) -> Decision | None:
    verdict = proposal.verdict
    decision = Decision(
        environment=target.environment,
        after=cursor,
        through=rows[-1].number,
        outcome=verdict.outcome,
        code=verdict.code,
        reason=verdict.reason,
    )
    try:
        with context.ledger.commit(
            actor=context.principal, action=f"events.{verdict.outcome.value}", object=target.environment
        ) as tx:
            if verdict.code == "nothing":
                intents.replace_waiting(tx, target.environment, "")  # somebody did it meanwhile
            if proposal.intent is not None:
                intents.replace_waiting(tx, target.environment, proposal.intent.key)
                number, new = intents.put(tx, proposal.intent)
                decision = replace(decision, intent=number)
                if not new:
                    decision = replace(decision, code="again", reason=f"the same as intent {number}")
            events.decide(tx, decision)
            tx.details.update(
                after=cursor, through=decision.through, code=decision.code, reason=decision.reason,
                intent=decision.intent,
            )  # fmt: skip
    except ConflictError:
        return None  # another process decided about the same events
    return decision
