"""Small lakes for tests: real ledger, real objects, real keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from filiera.clock import Clock, SystemClock
from filiera.core.batch import QUARANTINE_COLUMNS, CheckedBatch, SourceFile
from filiera.core.contract import PERSONAL, Column, ColumnType, Contract
from filiera.govern import keys
from filiera.lake.objects import LocalObjects
from filiera.lake.table import Lake
from filiera.ledger.journal import Ledger

DAY = 86_400_000_000
Row = tuple[str, int, float | None]  #: device, day, value

SCHEMA = pa.schema(
    [
        ("device", pa.dictionary(pa.int32(), pa.string())),
        ("at", pa.timestamp("us", "UTC")),
        ("value", pa.float64()),
        ("owner", pa.string()),
    ]
)
QUARANTINE = pa.schema(
    [(n, pa.int64() if n in ("record", "line", "offset") else pa.string()) for n in QUARANTINE_COLUMNS]
)


def contract(*, on_conflict: str = "quarantine", files: str = "append") -> Contract:
    columns = (
        Column(name="device", origin=("device",), type=ColumnType.CATEGORY),
        Column(name="at", origin=("at",), type=ColumnType.TIME),
        Column(name="value", origin=("value",), type=ColumnType.FLOAT, optional=True),
        Column(name="owner", origin=("owner",), type=ColumnType.TEXT, column_class=PERSONAL, optional=True),
    )
    return Contract(
        columns=columns, key=("device", "at"), time="at", device="device", on_conflict=on_conflict, files=files
    )


def open_lake(folder: Path, clock: Clock | None = None) -> Lake:
    """The lake of a folder, made when it is new."""
    state, key = folder / ".filiera", folder / "key"
    new = not key.exists()
    root = keys.create(key) if new else keys.load(key)
    path = state / "ledger.db"
    clock = clock or SystemClock()
    ledger = (
        Ledger.create(path, name="t", currency="EUR", clock=clock, actor="me")
        if new
        else Ledger.open(path, clock=clock)
    )
    return Lake(ledger, LocalObjects(state / "lake", root))


def table(rows: Sequence[Row], owner: str = "Ada NEEDLE") -> pa.Table:
    return pa.table(
        {
            "device": pa.array([r[0] for r in rows], pa.string()).dictionary_encode(),
            "at": pa.array([r[1] * DAY for r in rows], pa.timestamp("us", "UTC")),
            "value": pa.array([r[2] for r in rows], pa.float64()),
            "owner": pa.array([owner] * len(rows), pa.string()),
        }
    ).cast(SCHEMA)


def batch(rows: Sequence[Row], path: str = "a.csv", of: Contract | None = None, source: str = "scada") -> CheckedBatch:
    """What ingest hands over: keys are unique within it, rows sorted by (time, key)."""
    ordered = sorted(rows, key=lambda row: (row[1], row[0]))

    def originals(wanted: Sequence[int]) -> pa.Table:
        texts = [{"record": n, "line": n + 1, "offset": 0, "reason": "", "column": "", "detail": "",
                  "raw": f"{ordered[n - 1]}"} for n in wanted]  # fmt: skip
        return pa.Table.from_pylist(texts, schema=QUARANTINE)

    file = SourceFile(source=source, path=path, digest="sha256:" + "0" * 64, size_bytes=1, mtime_ns=1, inode=1)
    return CheckedBatch(
        file=file,
        contract_digest=(of or contract()).digest,
        rows_read=len(rows),
        accepted=table(ordered),
        records=np.arange(1, len(rows) + 1),
        quarantined=QUARANTINE.empty_table(),
        duplicates=0,
        originals=originals,
    )


def values(lake: Lake, source: str = "scada") -> Mapping[tuple[str, int], float | None]:
    """The newest snapshot of the source as key -> value; a key that is there twice fails."""
    head = lake.latest(source)
    if head is None:
        return {}
    rows = lake.rows(head).to_pylist()
    found = {(r["device"], int(r["at"].timestamp()) * 1_000_000 // DAY): r["value"] for r in rows}
    assert len(found) == len(rows) == head.rows
    return found
