"""Events, each once, and what was decided about them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from filiera.core.event import Decision, Event, EventKind, Outcome
from filiera.errors import ConflictError
from filiera.ledger import tables as t
from filiera.ledger.journal import Ledger, Tx, as_json


def unknown(connection: sa.Connection, events: Iterable[Event]) -> list[Event]:
    """Those that were never recorded, each once."""
    found = {(event.source, event.source_id): event for event in events}
    c = t.event.c
    return [
        event
        for (source, source_id), event in found.items()
        if connection.execute(sa.select(c.number).where(c.source == source, c.source_id == source_id)).first() is None
    ]


def record(tx: Tx, event: Event) -> bool:
    """Record an event; False when it is there already."""
    values = {
        "project": tx.project,
        "source": event.source,
        "source_id": event.source_id,
        "kind": event.kind.value,
        "body": as_json(dict(event.body)),
        "cause": event.cause,
        "created_us": tx.now_us,
    }
    done = tx.connection.execute(insert(t.event).values(values).on_conflict_do_nothing())
    return done.rowcount > 0


def record_new(ledger: Ledger, events: Iterable[Event], actor: str) -> list[Event]:
    """Record those that are new, one transaction each; repeated ones leave no trace at all."""
    with ledger.reading() as connection:
        fresh = unknown(connection, events)
    kept = []
    for event in fresh:
        about = f"{event.source}: {event.source_id}"
        with ledger.commit(actor=actor, action="event.record", object=about) as tx:
            tx.details["kind"] = event.kind.value
            tx.details["new"] = record(tx, event)  # another process may have been first
        if tx.details["new"]:
            kept.append(event)
    return kept


def after(connection: sa.Connection, number: int) -> list[Event]:
    """Events behind a number, in the order they were recorded."""
    query = sa.select(t.event).where(t.event.c.number > number).order_by(t.event.c.number)
    return [_event(row) for row in connection.execute(query).mappings()]


def between(connection: sa.Connection, after: int, through: int) -> list[Event]:
    """Events with after < number <= through."""
    c = t.event.c
    query = sa.select(t.event).where(c.number > after, c.number <= through).order_by(c.number)
    return [_event(row) for row in connection.execute(query).mappings()]


def newest(connection: sa.Connection, limit: int) -> list[Event]:
    """The newest events, newest first."""
    query = sa.select(t.event).order_by(t.event.c.number.desc()).limit(limit)
    return [_event(row) for row in connection.execute(query).mappings()]


def newest_of(connection: sa.Connection, kind: EventKind) -> Event | None:
    """The newest event of a kind."""
    query = sa.select(t.event).where(t.event.c.kind == kind.value).order_by(t.event.c.number.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    return _event(row) if row else None


def cursor(connection: sa.Connection, environment: str) -> int:
    """Number of the last event that was decided about in an environment; 0 = none yet."""
    c = t.decision.c
    found = connection.execute(sa.select(sa.func.max(c.through)).where(c.environment == environment)).scalar()
    return int(found or 0)


def decide(tx: Tx, decision: Decision) -> None:
    """Record what came of some events; this moves the cursor.

    Raises:
        ConflictError: somebody else decided about them meanwhile.
    """
    now = cursor(tx.connection, decision.environment)
    if now != decision.after:
        raise ConflictError(
            "events.decided", "somebody else decided about these events", expected=str(decision.after), found=str(now),
            next="look again",
        )  # fmt: skip
    tx.connection.execute(
        sa.insert(t.decision).values(
            project=tx.project,
            environment=decision.environment,
            after=decision.after,
            through=decision.through,
            outcome=decision.outcome.value,
            code=decision.code,
            reason=decision.reason,
            intent=decision.intent,
            created_us=tx.now_us,
        )
    )


def decisions(connection: sa.Connection, *, since: int = 0, environment: str | None = None) -> list[Decision]:
    """Decisions about events behind the number `since`, newest first."""
    query = sa.select(t.decision).where(t.decision.c.through > since).order_by(t.decision.c.number.desc())
    if environment is not None:
        query = query.where(t.decision.c.environment == environment)
    return [_decision(row) for row in connection.execute(query).mappings()]


def last_decision(connection: sa.Connection, environment: str) -> Decision | None:
    """The newest decision of an environment."""
    c = t.decision.c
    query = sa.select(t.decision).where(c.environment == environment).order_by(c.number.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    return _decision(row) if row else None


def cause_chain(connection: sa.Connection, event: Event) -> set[str]:
    """Environments whose runs brought an event about, through however many steps."""
    environments: set[str] = set()
    seen: set[int] = set()
    waiting = [event.cause]
    while waiting:
        number = waiting.pop()
        if number is None or number in seen:
            continue
        seen.add(number)
        row = connection.execute(sa.select(t.intent.c.environment).where(t.intent.c.number == number)).first()
        if row is not None:
            environments.add(row.environment)
        made = connection.execute(sa.select(t.decision).where(t.decision.c.intent == number)).mappings().all()
        for item in made:
            waiting += [earlier.cause for earlier in between(connection, item["after"], item["through"])]
    return environments


def _event(row: Mapping[Any, Any]) -> Event:
    names = ("number", "source", "source_id", "cause", "created_us")
    return Event(kind=EventKind(row["kind"]), body=json.loads(row["body"]), **{name: row[name] for name in names})


def _decision(row: Mapping[Any, Any]) -> Decision:
    names = ("environment", "after", "through", "code", "reason", "intent", "created_us")
    return Decision(outcome=Outcome(row["outcome"]), **{name: row[name] for name in names})
