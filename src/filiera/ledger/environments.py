"""Environments as lists of generations, source bundles, accepted rules, spend and exposures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from filiera.core.generation import Generation
from filiera.core.snapshot import ObjectRecord
from filiera.errors import ConflictError
from filiera.ledger import removals
from filiera.ledger import tables as t
from filiera.ledger.journal import Tx, as_json
from filiera.ledger.removals import Removal


def head(connection: sa.Connection, environment: str) -> Generation | None:
    """The newest generation of an environment."""
    return next(iter(history(connection, environment, limit=1)), None)


def history(connection: sa.Connection, environment: str, limit: int = 100) -> list[Generation]:
    """Generations of an environment, newest first."""
    c = t.generation.c
    query = sa.select(t.generation).where(c.environment == environment).order_by(c.number.desc()).limit(limit)
    return [_generation(row) for row in connection.execute(query).mappings()]


def advance(tx: Tx, generation: Generation, expected: int) -> None:
    """Put a generation on top.

    Raises:
        ConflictError: the environment moved since `expected` (0 = none yet) was its head.
    """
    now = head(tx.connection, generation.environment)
    number = now.number if now else 0
    if number != expected:
        raise ConflictError(
            "environment.moved",
            f"{generation.environment} moved while you worked",
            expected=f"generation {expected}",
            found=f"generation {number}",
            next="look again and repeat",
        )
    tx.connection.execute(
        sa.insert(t.generation).values(
            id=generation.id,
            project=tx.project,
            environment=generation.environment,
            number=generation.number,
            kind=generation.kind,
            assets=as_json(dict(generation.assets)),
            bundle=generation.bundle,
            cause=as_json(dict(generation.cause)),
            actor=generation.actor,
            created_us=generation.created_us,
        )
    )


def put_bundle(tx: Tx, digest: str, record: ObjectRecord) -> None:
    """Remember where a source bundle lies, once; again when it was freed."""
    known, freed = get_bundle(tx.connection, digest), removals.is_gone(tx.connection, digest)
    if freed:
        removals.record(tx, [Removal("output", digest, removals.RESTORED, "", "stored again", 0)])
    if known is None or freed:
        values = {"digest": digest, "object": as_json(record.to_json()), "created_us": tx.now_us}
        tx.connection.execute(sa.insert(t.bundle).values(values))


def get_bundle(connection: sa.Connection, digest: str) -> ObjectRecord | None:
    """Where a source bundle lies, or lay until it was freed."""
    query = sa.select(t.bundle.c.object).where(t.bundle.c.digest == digest).order_by(t.bundle.c.serial.desc()).limit(1)
    text = connection.execute(query).scalar()
    return ObjectRecord(**json.loads(text)) if text else None


def accepted_rules(connection: sa.Connection, *, before_us: int | None = None) -> dict[str, Any] | None:
    """The rules that gates read, or those that held at a time; None before the first were accepted."""
    query = sa.select(t.rule.c.body).order_by(t.rule.c.serial.desc()).limit(1)
    if before_us is not None:
        query = query.where(t.rule.c.created_us <= before_us)
    text = connection.execute(query).scalar()
    return json.loads(text) if text else None


def accept_rules(tx: Tx, body: Mapping[str, Any], actor: str) -> None:
    """Make a proposal the rule."""
    tx.connection.execute(
        sa.insert(t.rule).values(project=tx.project, body=as_json(dict(body)), actor=actor, created_us=tx.now_us)
    )


def record_spend(tx: Tx, *, run: str, asset: str, cost_nano: int, seconds: float) -> None:
    """What a piece of work took."""
    tx.connection.execute(
        sa.insert(t.spend).values(
            project=tx.project, run=run, asset=asset, cost_nano=cost_nano, seconds=seconds, created_us=tx.now_us
        )
    )


def step_spend(connection: sa.Connection, run: str, asset: str) -> tuple[int, float]:
    """Nano-units and seconds that a run spent on an asset."""
    c = t.spend.c
    query = sa.select(sa.func.coalesce(sa.func.sum(c.cost_nano), 0), sa.func.coalesce(sa.func.sum(c.seconds), 0.0))
    cost, seconds = connection.execute(query.where(c.run == run, c.asset == asset)).one()
    return int(cost), float(seconds)


def total_spend(connection: sa.Connection, since_us: int = 0) -> int:
    """Nano-units spent since an instant."""
    query = sa.select(sa.func.coalesce(sa.func.sum(t.spend.c.cost_nano), 0)).where(t.spend.c.created_us >= since_us)
    return int(connection.execute(query).scalar_one())


def record_exposures(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Who saw which columns of which rows for which purpose."""
    for row in rows:
        tx.connection.execute(sa.insert(t.exposure).values(project=tx.project, created_us=tx.now_us, **row))


def list_exposures(connection: sa.Connection, limit: int = 100) -> list[dict[str, Any]]:
    """The newest exposures first."""
    query = sa.select(t.exposure).order_by(t.exposure.c.serial.desc()).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def _generation(row: Mapping[Any, Any]) -> Generation:
    return Generation(
        id=row["id"],
        environment=row["environment"],
        number=row["number"],
        kind=row["kind"],
        assets=json.loads(row["assets"]),
        bundle=row["bundle"],
        cause=json.loads(row["cause"]),
        actor=row["actor"],
        created_us=row["created_us"],
    )


def names(connection: sa.Connection) -> list[str]:
    """Environments that have a generation and were not deleted."""
    found = connection.execute(sa.select(t.generation.c.environment).distinct()).scalars()
    heads = [(name, head(connection, name)) for name in sorted(found)]
    return [name for name, newest in heads if newest is not None and newest.kind != "delete"]


def run_spend(connection: sa.Connection, run: str) -> int:
    """Nano-units that one run took."""
    query = sa.select(sa.func.coalesce(sa.func.sum(t.spend.c.cost_nano), 0)).where(t.spend.c.run == run)
    return int(connection.execute(query).scalar_one())
