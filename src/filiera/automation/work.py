"""The worker: claims an intent by a lease, does it, and publishes only while the lease is its own.

Work may be done twice, its effect comes once: a step is found again by its key, and a generation is published in the
transaction that checks the fence. Who lost the lease publishes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from filiera.automation.policy import covers
from filiera.automation.target import Target
from filiera.clock import US_PER_S
from filiera.core.event import Event, EventKind, Intent
from filiera.dimensions.apply import ApplyReport
from filiera.dimensions.context import Context
from filiera.errors import ConflictError, FilieraError
from filiera.ledger import events, intents
from filiera.ledger.journal import Tx

LEASE_S = 60
RENEW_S = 20.0


@dataclass(frozen=True, slots=True)
class Worked:
    """What came of an intent."""

    intent: Intent
    state: str  #: "done", "failed", "stale" (the world moved: it is planned again) or "lost"
    text: str = ""
    report: ApplyReport | None = None


@dataclass(slots=True)
class _End:
    state: str
    result: dict[str, Any]
    failures: list[tuple[str, str, str]] = field(default_factory=list)  #: asset, key, error
    rest: bool = False  #: something is left to look at


def claim(context: Context, target: Target, worker: str) -> Intent | None:
    """Take the oldest intent of an environment that is free; None when there is none."""
    now_us = context.clock.now_us()
    with context.ledger.reading() as connection:
        found = intents.in_state(connection, *intents.OPEN, environment=target.environment)
    free = next((intent for intent in found if intents.claimable(intent, now_us)), None)
    if free is None:
        return None
    try:
        with context.ledger.commit(actor=context.principal, action="intent.claim", object=_name(free)) as tx:
            taken = intents.claim(tx, free.number, worker, LEASE_S * US_PER_S)
            tx.details.update(worker=worker, fence=taken.fence)
    except ConflictError:
        return None  # another worker was first
    return taken


def carry_out(context: Context, target: Target, intent: Intent, *, renew_s: float | None = RENEW_S) -> Worked:
    """Do what an intent says, if it still is what is due.

    Args:
        context: the open project.
        target: its environment.
        intent: claimed.
        renew_s: seconds between renewals of the lease; None = never.

    Raises:
        Exception: what nobody foresaw; the intent has failed then.
    """
    left_out, made = frozenset(intent.left_out), list[int]()

    def publish(tx: Tx, generation: int) -> None:
        intents.publish(tx, intent, generation)
        made.append(generation)

    try:
        with _holding(context, intent, renew_s):
            ready = target.ready(context)
            if ready is None or not covers(intent.plan, ready.plan(left_out)):
                text = "what is due now is not what was planned: it is planned again"
                return _end(context, intent, _End("stale", {"text": text}, rest=True))
            report = ready.run(left_out, publish)
    except ConflictError as error:
        if error.code == "intent.lost":
            return Worked(intent, "lost", str(error))
        return _end(context, intent, _End("stale", {"text": error.message}, rest=True))
    except Exception as error:
        text = f"{error.code}: {error.message}" if isinstance(error, FilieraError) else f"{type(error).__name__}"
        _end(context, intent, _End("failed", {"text": text}, [("", intent.key, text)]))
        raise
    return _end(context, intent, _of_report(intent, report, published=bool(made)), report)


def _of_report(intent: Intent, report: ApplyReport, *, published: bool) -> _End:
    done = [step for step in report.steps if step.outcome == "done"]
    failed = [(step.asset, step.key or intent.key, step.text) for step in report.steps if step.outcome == "failed"]
    told = failed or [(step.asset, "", step.text) for step in done]
    result = {
        "text": "; ".join(f"{asset}: {text}" for asset, _, text in told) or "nothing ran: earlier results stand",
        "seconds": round(report.seconds, 3),
        "cost": report.cost.to_json(),
    }
    # what waits for a person is looked at when the rest is done; without any progress that would go round and round
    progress = bool(done) or published
    return _End("failed" if failed else "done", result, failed, rest=bool(intent.left_out) and progress and not failed)


def _end(context: Context, intent: Intent, end: _End, report: ApplyReport | None = None) -> Worked:
    """State, failures and what is left to look at, in one transaction."""
    text = str(end.result["text"])
    try:
        with context.ledger.commit(
            actor=context.principal, action=f"intent.{end.state}", object=_name(intent), details=end.result
        ) as tx:
            intents.finish(tx, intent, end.state, end.result)
            for asset, key, error in end.failures:
                intents.record_failure(tx, intent, asset, key, error)
            if end.rest:
                _record_rest(tx, intent)
    except ConflictError as error:
        return Worked(intent, "lost", str(error), report)
    return Worked(intent, end.state, text, report)


def _record_rest(tx: Tx, intent: Intent) -> None:
    source = f"rest of {intent.environment}"
    events.record(tx, Event(source=source, source_id=f"intent {intent.number}", kind=EventKind.REST))


@contextmanager
def _holding(context: Context, intent: Intent, renew_s: float | None) -> Iterator[None]:
    """Renew the lease as long as the body works."""
    if renew_s is None:
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(target=_renew, args=(context, intent, renew_s, stop), name="renew-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _renew(context: Context, intent: Intent, renew_s: float, stop: threading.Event) -> None:
    """A renewal that fails is tried again; when it never works, the lease runs out and nothing is published."""
    while not stop.wait(renew_s):
        try:
            with context.ledger.commit(actor=context.principal, action="intent.renew", object=_name(intent)) as tx:
                intents.renew(tx, intent, LEASE_S * US_PER_S)
        except ConflictError:
            return
        except FilieraError:
            continue


def _name(intent: Intent) -> str:
    return f"intent {intent.number} of {intent.environment}"
