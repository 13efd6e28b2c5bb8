"""Which sealed objects the ledger names: what is not named belongs to nobody and may be removed."""

from __future__ import annotations

import json
import re
from collections.abc import Collection

import sqlalchemy as sa

from filiera.core.snapshot import ObjectRecord
from filiera.ledger import tables as t

_ID = re.compile(r'"object_id": "([0-9a-f]{32})"')
_COLUMNS = (
    t.batch_file.c.parts,
    t.batch_file.c.sidecar,
    t.quarantine.c.object,
    t.model_version.c.package,
    t.model_version.c.predictions,
    t.bundle.c.object,
)


def object_ids(connection: sa.Connection) -> set[str]:
    """Every object that some row of the ledger refers to."""
    found: set[str] = set()
    for column in _COLUMNS:
        for (text,) in connection.execute(sa.select(column).where(column.is_not(None))):
            found.update(_ID.findall(text))
    return found


def any_object(connection: sa.Connection) -> ObjectRecord | None:
    """A record of some object, to try a key on; None while nothing is stored."""
    for column in (t.bundle.c.object, t.quarantine.c.object):
        text = connection.execute(sa.select(column).where(column.is_not(None)).limit(1)).scalar()
        if text is not None:
            return ObjectRecord(**json.loads(text))
    return None


def named(connection: sa.Connection, objects: Collection[str]) -> set[str]:
    """Those of `objects` that the ledger refers to."""
    return object_ids(connection) & set(objects)
