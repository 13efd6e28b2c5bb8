"""Follow: prod keeps up with new rows by itself; same definitions, same model, new data.

It runs the released code from its bundle, not the folder's, and never trains: models stand as they were released.
"""

from __future__ import annotations

from filiera.core.generation import PROD
from filiera.core.trace import Trace
from filiera.dimensions.apply import ApplyReport, apply
from filiera.dimensions.bundle import open_bundle
from filiera.dimensions.context import Context
from filiera.dimensions.describe import describe
from filiera.ledger import environments, traces


def follow(context: Context, environment: str = PROD) -> ApplyReport | None:
    """Bring the tables of a released environment up to date; None when nothing is released.

    Raises:
        ConflictError: a release or rollback came in between; it stands, and the next follow starts from it.
    """
    with context.ledger.reading() as connection:
        head = environments.head(connection, environment)
        record = environments.get_bundle(connection, head.bundle) if head else None
        standing = {name: traces.get(connection, trace) for name, trace in (head.assets if head else {}).items()}
    if head is None or record is None:
        return None
    definitions = describe(context, open_bundle(context.lake.objects.get(record), head.bundle))
    released: dict[str, Trace] = {name: t for name, t in standing.items() if t is not None and t.kind == "model"}
    unreleased = {model.name for model in definitions.graph.models} - released.keys()
    return apply(
        context, definitions, environment, kind="follow", head=head, pinned=released, left_out=frozenset(unreleased)
    )
