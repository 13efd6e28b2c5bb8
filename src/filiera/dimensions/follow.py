"""Follow: prod keeps up with new rows by itself; same definitions, same model, new data.

It runs the released code from its bundle, not the folder's, and never trains: models stand as they were released.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from filiera.code.bundle import open_bundle
from filiera.core.asset import Graph, Model, Table
from filiera.core.generation import PROD, Generation
from filiera.core.key import interpreter
from filiera.core.plan import Plan
from filiera.core.trace import Trace
from filiera.dimensions.apply import ApplyReport, Guard, apply
from filiera.dimensions.context import Context, Definitions
from filiera.dimensions.describe import describe
from filiera.dimensions.facts import LedgerFacts
from filiera.dimensions.plan import make_plan
from filiera.errors import GateError
from filiera.ledger import environments, traces

NOT_AS_RELEASED = "follow.not_as_released"  #: code of the error


@dataclass(frozen=True, slots=True)
class Released:
    """What stands in a released environment."""

    head: Generation
    definitions: Definitions  #: of the released code
    models: Mapping[str, Trace]  #: released, by name
    unreleased: frozenset[str]  #: models of the same code that never were


def find_released(context: Context, environment: str = PROD) -> Released | None:
    """What stands in a released environment; None when nothing is released.

    Raises:
        GateError: a declared variable or a library is another than the code was released with.
    """
    with context.ledger.reading() as connection:
        head = environments.head(connection, environment)
        record = environments.get_bundle(connection, head.bundle) if head else None
        standing = {name: traces.get(connection, trace) for name, trace in (head.assets if head else {}).items()}
    if head is None or record is None:
        return None
    definitions = describe(context, open_bundle(context.lake.objects.get(record), head.bundle))
    _refuse_other_surroundings(context, definitions.graph, standing)
    models = {name: t for name, t in standing.items() if t is not None and t.kind == "model"}
    unreleased = {model.name for model in definitions.graph.models} - models.keys()
    return Released(head, definitions, models, frozenset(unreleased))


def _refuse_other_surroundings(context: Context, graph: Graph, standing: Mapping[str, Trace | None]) -> None:
    """New rows are computed as the released ones were: what is another definition comes in through the gate."""
    for asset in graph.definitions:
        trace = standing.get(asset.name)
        if trace is None:
            continue
        with context.ledger.reading() as connection:
            record = traces.get_manifest(connection, trace.manifest_digest)
        for text in differences(record, asset, graph):
            raise GateError(
                NOT_AS_RELEASED,
                f"{text} than when {asset.name} was released",
                next="bring back what it was, or apply and release with what is there now",
            )


def differences(record: Mapping[str, Any], asset: Table | Model, graph: Graph) -> Iterator[str]:
    """Variables with another value, and of tables, which are computed again, another Python or library version."""
    before, now = record.get("code", {}), asset.code.manifest
    for name, value in now.get("declared_variables", {}).items():
        if before.get("declared_variables", {}).get(name, value) != value:
            yield f"variable {name} has another value"
    if isinstance(asset, Table):
        then = {**record.get("interpreter", {}), **before.get("libraries", {})}
        for name, version in {**interpreter(graph), **now.get("libraries", {})}.items():
            if then.get(name, version) != version:
                yield f"{name} is {version}, another"


def plan_follow(
    context: Context, released: Released, left_out: frozenset[str] = frozenset(), environment: str = PROD
) -> Plan:
    """What `follow` would do."""
    facts = LedgerFacts(context, environment, released.head, bundle=released.definitions.bundle)
    for trace in released.models.values():
        facts.stand(trace)
    return make_plan(
        released.definitions.graph,
        facts,
        environment=environment,
        currency=context.prices.currency,
        now_us=context.clock.now_us(),
        left_out=released.unreleased | left_out,
        pinned=frozenset(released.models),
    )


def follow(
    context: Context,
    environment: str = PROD,
    *,
    guard: Guard | None = None,
    left_out: frozenset[str] = frozenset(),
) -> ApplyReport | None:
    """Bring the tables of a released environment up to date; None when nothing is released.

    Args:
        context: the open project.
        environment: which one moves.
        guard: may refuse to publish.
        left_out: tables that stay as they are.

    Raises:
        ConflictError: a release or rollback came in between; it stands, and the next follow starts from it.
    """
    released = find_released(context, environment)
    if released is None:
        return None
    return apply(
        context, released.definitions, environment, kind="follow", head=released.head, pinned=released.models,
        left_out=released.unreleased | left_out, guard=guard,
    )  # fmt: skip
