"""Intents: one at a time per environment, claimed by a lease whose fence only grows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from filiera.core.event import Failure, Intent
from filiera.errors import ConflictError, NotFoundError
from filiera.ledger import tables as t
from filiera.ledger.journal import Tx, as_json

#: Ended without the effect that they were made for: the same plan may be made again.
WITHOUT_EFFECT = ("failed", "stale", "replaced")
OPEN = ("pending", "running")


def put(tx: Tx, intent: Intent) -> tuple[int, bool]:
    """Write an intent unless the same is open or done; gives its number, and whether it is new."""
    c = t.intent.c
    ended = sa.select(sa.func.count()).where(c.key == intent.key, c.state.in_(WITHOUT_EFFECT))
    attempt = int(tx.connection.execute(ended).scalar_one())
    values = {
        "project": tx.project,
        "environment": intent.environment,
        "key": intent.key,
        "attempt": attempt,
        "state": intent.state,
        "reason": intent.reason,
        "left_out": as_json(list(intent.left_out)),
        "plan": as_json(dict(intent.plan)),
        "fence": 0,
        "lease_until_us": 0,
        "created_us": tx.now_us,
    }
    done = tx.connection.execute(insert(t.intent).values(values).on_conflict_do_nothing())
    number = tx.connection.execute(sa.select(c.number).where(c.key == intent.key, c.attempt == attempt)).scalar_one()
    return int(number), done.rowcount > 0


def get(connection: sa.Connection, number: int) -> Intent | None:
    """An intent by number."""
    row = connection.execute(sa.select(t.intent).where(t.intent.c.number == number)).mappings().first()
    return _intent(row) if row else None


def in_state(connection: sa.Connection, *states: str, environment: str | None = None) -> list[Intent]:
    """Intents in some states, oldest first."""
    query = sa.select(t.intent).where(t.intent.c.state.in_(states)).order_by(t.intent.c.number)
    if environment is not None:
        query = query.where(t.intent.c.environment == environment)
    return [_intent(row) for row in connection.execute(query).mappings()]


def since(connection: sa.Connection, number: int) -> list[Intent]:
    """Intents from a number on, oldest first."""
    query = sa.select(t.intent).where(t.intent.c.number >= number).order_by(t.intent.c.number)
    return [_intent(row) for row in connection.execute(query).mappings()]


def claimable(intent: Intent, now_us: int) -> bool:
    """Whether a worker may take an intent: nobody has it, or its holder did not renew the lease in time."""
    return intent.state == "pending" or (intent.state == "running" and intent.lease_until_us <= now_us)


def claim(tx: Tx, number: int, worker: str, lease_us: int) -> Intent:
    """Take an intent; its fence grows, so whoever had it before publishes nothing any more.

    Raises:
        ConflictError: somebody else has it.
    """
    found = get(tx.connection, number)
    if found is None or not claimable(found, tx.now_us):
        raise ConflictError("intent.taken", f"intent {number} is not free", next="look again")
    until = tx.now_us + lease_us
    _update(tx, number, state="running", worker=worker, fence=found.fence + 1, lease_until_us=until)
    taken = get(tx.connection, number)
    assert taken is not None
    return taken


def renew(tx: Tx, intent: Intent, lease_us: int) -> None:
    """Hold an intent for longer.

    Raises:
        ConflictError: somebody else took it.
    """
    _own(tx, intent)
    _update(tx, intent.number, lease_until_us=tx.now_us + lease_us)


def publish(tx: Tx, intent: Intent, generation: int) -> None:
    """Note the generation that an intent made, in the transaction that makes it.

    Raises:
        ConflictError: the lease was lost; the transaction must not commit.
    """
    found = _own(tx, intent)
    if found.lease_until_us <= tx.now_us:
        raise _lost(intent, "its lease ran out")
    _update(tx, intent.number, generation=generation)


def finish(tx: Tx, intent: Intent, state: str, result: Mapping[str, Any]) -> None:
    """End an intent.

    Raises:
        ConflictError: the lease was lost: somebody else ends it.
    """
    _own(tx, intent)
    _update(tx, intent.number, state=state, result=as_json(dict(result)), ended_us=tx.now_us)


def approve(tx: Tx, number: int, actor: str) -> Intent:
    """Let an intent run that waits for a person.

    Raises:
        NotFoundError: there is no such intent.
        ConflictError: it does not wait.
    """
    found = get(tx.connection, number)
    if found is None:
        raise NotFoundError("intent.unknown", f"no intent {number}", next="`filiera events` lists them")
    if found.state != "waiting":
        raise ConflictError(
            "intent.not_waiting", f"intent {number} waits for nobody", expected="waiting", found=found.state,
            next="`filiera events` shows what waits",
        )  # fmt: skip
    _update(tx, number, state="pending", approved_by=actor)
    return found


def replace_waiting(tx: Tx, environment: str, key: str) -> None:
    """Newer work stands in for what waits for a person, unless it is the same."""
    c = t.intent.c
    which = (c.environment == environment) & (c.state == "waiting") & (c.key != key)
    tx.connection.execute(sa.update(t.intent).where(which).values(state="replaced", ended_us=tx.now_us))


def record_failure(tx: Tx, intent: Intent, asset: str, key: str, error: str) -> None:
    """Remember that a step failed."""
    tx.connection.execute(
        sa.insert(t.failure).values(
            project=tx.project,
            environment=intent.environment,
            asset=asset,
            key=key,
            error=error,
            intent=intent.number,
            created_us=tx.now_us,
        )
    )


def failures(connection: sa.Connection, environment: str, since_us: int) -> list[Failure]:
    """How often each step failed since an instant, by asset and key."""
    c = t.failure.c
    query = sa.select(t.failure).where(c.environment == environment, c.created_us > since_us).order_by(c.serial)
    found: dict[tuple[str, str], Failure] = {}
    for row in connection.execute(query).mappings():
        place = (row["asset"], row["key"])
        times = found[place].times + 1 if place in found else 1
        found[place] = Failure(
            asset=row["asset"], key=row["key"], times=times, last_us=row["created_us"], error=row["error"]
        )
    return list(found.values())


def _own(tx: Tx, intent: Intent) -> Intent:
    found = get(tx.connection, intent.number)
    if found is None or found.fence != intent.fence or found.state != "running":
        raise _lost(intent, "somebody else took it")
    return found


def _lost(intent: Intent, how: str) -> ConflictError:
    return ConflictError(
        "intent.lost", f"intent {intent.number} is not ours any more", found=how, next="nothing was published by it"
    )


def _update(tx: Tx, number: int, **values: Any) -> None:
    tx.connection.execute(sa.update(t.intent).where(t.intent.c.number == number).values(**values))


def _intent(row: Mapping[Any, Any]) -> Intent:
    values = {name: row[name] for name in Intent.__dataclass_fields__}
    values["left_out"] = tuple(json.loads(row["left_out"]))
    values["plan"] = json.loads(row["plan"])
    values["result"] = json.loads(row["result"]) if row["result"] else None
    return Intent(**values)
