"""Holds by name: `features@3` and `power@2` as people write them."""

from __future__ import annotations

from filiera.dimensions.context import Context
from filiera.errors import NotFoundError, UsageError, nearest
from filiera.lake.table import freed
from filiera.ledger import holds, removals, snapshots, studies
from filiera.ledger.holds import Hold
from filiera.ledger.journal import Connection


def hold(context: Context, label: str, reason: str) -> Hold:
    """Keep a snapshot or model version.

    Raises:
        NotFoundError: there is none, or it was freed.
        UsageError: no number, or no reason.
    """
    if not reason.strip():
        raise UsageError("hold.reason", "a hold needs a reason", next="say why it must stay with --reason")
    with context.ledger.commit(actor=context.principal, action="hold.place", object=label) as tx:
        output = _output(tx.connection, label)
        if removals.is_gone(tx.connection, output):
            raise freed(label)
        holds.place(tx, output, label, reason.strip(), context.principal)
        tx.details.update(reason=reason.strip())
        return next(item for item in reversed(holds.standing(tx.connection)) if item.output == output)


def release_hold(context: Context, label: str) -> int:
    """End the holds of a snapshot or model version; gives their number.

    Raises:
        NotFoundError: it is not held.
    """
    with context.ledger.commit(actor=context.principal, action="hold.release", object=label) as tx:
        held = [item.label for item in holds.standing(tx.connection)]
        count = holds.release(tx, _output(tx.connection, label))
        if not count:
            raise NotFoundError("hold.unknown", f"{label} is not held", next=nearest(label, held))
        return count


def _output(connection: Connection, label: str) -> str:
    """The id of what a label names."""
    name, _, number = label.partition("@")
    if not number.isascii() or not number.isdecimal():
        raise UsageError(
            "hold.label", f"`{label}` names no snapshot", expected="a name and a number, such as features@3"
        )
    found = [(s.number, s.id) for s in snapshots.list_snapshots(connection, name)]
    found += [(v.number, v.id) for v in studies.list_versions(connection, name)]
    output = next((id_ for n, id_ in found if n == int(number)), None)
    if output is None:
        known = [f"{name}@{n}" for n, _ in found]
        raise NotFoundError("hold.unknown", f"there is no {label}", next=nearest(label, known))
    return output
