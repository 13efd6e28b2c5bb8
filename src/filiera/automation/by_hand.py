"""What a person says: the project is due, and a plan that waits may run."""

from __future__ import annotations

from filiera.core.event import Event, EventKind
from filiera.dimensions.context import Context
from filiera.errors import NotFoundError
from filiera.ledger import events, intents


def add_event(context: Context, reason: str, cause: int | None) -> int:
    """Mark the project as due; gives the number of the event.

    Raises:
        NotFoundError: `cause` is no intent.
    """
    with context.ledger.reading() as connection:
        if cause is not None and intents.get(connection, cause) is None:
            raise NotFoundError("intent.unknown", f"no intent {cause}", next="`filiera events` lists them")
    with context.ledger.commit(actor=context.principal, action="event.record", object=f"by hand: {reason}") as tx:
        identity = tx.new_id("evt")  # a person who says it twice means it twice
        body = {"reason": reason}
        event = Event(source=context.principal, source_id=identity, kind=EventKind.HAND, body=body, cause=cause)
        events.record(tx, event)
        number = events.newest(tx.connection, 1)[0].number
        tx.details.update(kind=event.kind.value, event=number)
    return number


def approve(context: Context, number: int) -> None:
    """Let an intent run that waits for a person.

    Raises:
        NotFoundError: there is no such intent.
        ConflictError: it does not wait.
    """
    about = f"intent {number}"
    with context.ledger.commit(actor=context.principal, action="intent.approve", object=about) as tx:
        found = intents.approve(tx, number, context.principal)
        tx.details.update(environment=found.environment, worst_cost=found.plan["worst_cost"])
