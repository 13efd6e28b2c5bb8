"""Environments as branches: a new list of generations that begins where another stands, and its end."""

from __future__ import annotations

import re

from filiera.core.generation import DEV, PROD, Generation
from filiera.dimensions.context import Context
from filiera.errors import ConflictError, GateError, NotFoundError, UsageError, nearest
from filiera.ledger import environments

_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}$")


def branch(context: Context, name: str, origin: str) -> Generation:
    """The first generation of `name`: what stands in `origin`, by the same traces.

    Raises:
        UsageError: the name cannot be one.
        ConflictError: the environment is there already.
        NotFoundError: nothing stands in `origin`.
    """
    if not _NAME.match(name):
        raise UsageError(
            "environment.name", f"`{name}` cannot be an environment", expected="lower case letters, digits, - and _"
        )
    with context.ledger.reading() as connection:
        known = environments.names(connection)
        start = environments.head(connection, origin)
        before = environments.head(connection, name)
    if name in known or name in (DEV, PROD):
        raise ConflictError("environment.exists", f"environment {name} is there already", next="choose another name")
    if start is None or origin not in known:
        raise NotFoundError("environment.empty", f"{origin} has no generation yet", next=nearest(origin, known))
    cause = {"from": origin, "from_generation": start.number}
    return _advance(context, name, before, "branch", dict(start.assets), start.bundle, cause)


def close(context: Context, name: str) -> Generation:
    """The last generation of an environment: it holds nothing any more; its history stays.

    Raises:
        GateError: dev and prod stay.
        NotFoundError: it has no generation, or was closed before.
    """
    if name in (DEV, PROD):
        raise GateError("environment.kept", f"{name} is not deleted", next="every project has dev and prod")
    with context.ledger.reading() as connection:
        known = environments.names(connection)
        before = environments.head(connection, name)
    if before is None or name not in known:
        raise NotFoundError("environment.empty", f"{name} has no generation", next=nearest(name, known))
    return _advance(context, name, before, "delete", {}, before.bundle, {})


def _advance(
    context: Context,
    name: str,
    before: Generation | None,
    kind: str,
    assets: dict[str, str],
    bundle: str,
    cause: dict[str, object],
) -> Generation:
    number = before.number if before else 0
    with context.ledger.commit(actor=context.principal, action=f"environment.{kind}", object=name) as tx:
        generation = Generation(
            id=tx.new_id("gen"),
            environment=name,
            number=number + 1,
            kind=kind,
            assets=assets,
            bundle=bundle,
            cause=cause,
            actor=context.principal,
            created_us=tx.now_us,
        )
        environments.advance(tx, generation, number)
        tx.details.update(cause, generation=generation.number)
    return generation
