"""Follow: prod keeps up with new rows by itself; same definitions, same model, new data.

It runs the released code from its bundle, not the folder's, and never trains: models stand as they were released.
"""

from __future__ import annotations

from collections.abc import Mapping

from filiera.core.asset import Graph
from filiera.core.generation import PROD
from filiera.core.trace import Trace
from filiera.dimensions.apply import ApplyReport, apply
from filiera.dimensions.bundle import open_bundle
from filiera.dimensions.context import Context
from filiera.dimensions.describe import describe
from filiera.errors import GateError
from filiera.ledger import environments, traces

OTHER_VARIABLE = "follow.variable"  #: code of the error


def follow(context: Context, environment: str = PROD) -> ApplyReport | None:
    """Bring the tables of a released environment up to date; None when nothing is released.

    Raises:
        ConflictError: a release or rollback came in between; it stands, and the next follow starts from it.
        GateError: a variable that the code declares has another value than it was released with.
    """
    with context.ledger.reading() as connection:
        head = environments.head(connection, environment)
        record = environments.get_bundle(connection, head.bundle) if head else None
        standing = {name: traces.get(connection, trace) for name, trace in (head.assets if head else {}).items()}
    if head is None or record is None:
        return None
    definitions = describe(context, open_bundle(context.lake.objects.get(record), head.bundle))
    _refuse_other_variables(context, definitions.graph, standing)
    released: dict[str, Trace] = {name: t for name, t in standing.items() if t is not None and t.kind == "model"}
    unreleased = {model.name for model in definitions.graph.models} - released.keys()
    return apply(
        context, definitions, environment, kind="follow", head=head, pinned=released, left_out=frozenset(unreleased)
    )


def _refuse_other_variables(context: Context, graph: Graph, standing: Mapping[str, Trace | None]) -> None:
    """New rows are computed as the released ones were: another value is another definition, which the gate lets in."""
    for asset in graph.definitions:
        trace = standing.get(asset.name)
        with context.ledger.reading() as connection:
            record = traces.get_manifest(connection, trace.manifest_digest) if trace else {}
        before = record.get("code", {}).get("declared_variables", {})
        for name, value in asset.code.manifest.get("declared_variables", {}).items():
            if before.get(name, value) != value:
                raise GateError(
                    OTHER_VARIABLE,
                    f"variable {name} has another value than {asset.name} was released with",
                    next="start filiera with the value that it had, or apply and release with the new one",
                )
