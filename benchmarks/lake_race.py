"""The two races of filiera: batches into a lake, and its limit, one small SQLite transaction a commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from filiera.clock import SystemClock
from filiera.core.batch import QUARANTINE_COLUMNS, CheckedBatch, SourceFile
from filiera.core.contract import Column, ColumnType, Contract
from filiera.digest import digest
from filiera.govern import keys
from filiera.lake.objects import LocalObjects
from filiera.lake.table import Lake
from filiera.ledger.journal import Ledger, wal_is_safe
from filiera.ledger.lock import WriteQueue
from race import COLUMNS, ROWS, Race, batch, compare, race

JOURNAL = "WAL" if wal_is_safe() else "DELETE"
QUARANTINE = pa.schema(
    [(n, pa.int64() if n in ("record", "line", "offset") else pa.string()) for n in QUARANTINE_COLUMNS]
)
CONTRACT = Contract(
    columns=(
        Column(name="device", origin=("device",), type=ColumnType.CATEGORY),
        Column(name="at", origin=("at",), type=ColumnType.TIME),
        *(Column(name=name, origin=(name,), type=ColumnType.FLOAT) for name in COLUMNS),
    ),
    key=("device", "at"), time="at", device="device",
)  # fmt: skip


class LakeAppender:
    """A writer of the lake in `folder`."""

    def __init__(self, folder: Path, writer: int) -> None:
        self.lake, self.writer = open_lake(folder), writer

    def ready(self, rows: pa.Table, number: int) -> CheckedBatch:
        """What ingest hands over after it applied the contract."""
        name = f"{self.writer}/{number}.parquet"
        file = SourceFile(
            source="readings", path=name, digest=digest("file", 1, name.encode()), size_bytes=1, mtime_ns=1, inode=1
        )
        return CheckedBatch(
            file=file, contract_digest=CONTRACT.digest, rows_read=ROWS, records=np.arange(1, ROWS + 1), duplicates=0,
            accepted=rows.set_column(0, "device", rows["device"].dictionary_encode()),
            quarantined=QUARANTINE.empty_table(), originals=_no_originals,
        )  # fmt: skip

    def append(self, made: CheckedBatch) -> int:
        """Commit the batch; the lake repeats by itself what another writer overtook."""
        accepted = self.lake.ingest(made, CONTRACT, actor=f"writer {self.writer}").counts.accepted
        assert accepted == ROWS, "these rows are new to the table"
        return 0


class LedgerAppender:
    """Commits one small row to a SQLite file, with the ledger's journal mode, sync level and queue."""

    def __init__(self, folder: Path, writer: int) -> None:
        self.queue = WriteQueue(folder / "limit.queue")
        self.base = sqlite3.connect(folder / "limit.db", timeout=60, isolation_level=None)
        self.base.execute(f"PRAGMA journal_mode = {JOURNAL}")
        self.base.execute("PRAGMA synchronous = FULL")
        self.writer = writer

    def ready(self, _: pa.Table, number: int) -> tuple[int, int, str]:
        """One row of the size of an audit entry."""
        return self.writer, number, "x" * 400

    def append(self, made: tuple[int, int, str]) -> int:
        """Commit it."""
        with self.queue.turn():
            self.base.execute("BEGIN IMMEDIATE")
            self.base.execute("INSERT INTO entry VALUES (?, ?, ?)", made)
            self.base.execute("COMMIT")
        return 0


def _no_originals(_: Sequence[int]) -> pa.Table:
    raise AssertionError("no row of this benchmark is in conflict")


def open_lake(folder: Path) -> Lake:
    clock, path, key = SystemClock(), folder / "ledger.db", folder / "key"
    if not key.exists():
        keys.create(key)
        Ledger.create(path, name="bench", currency="EUR", clock=clock, actor="bench").close()
    return Lake(Ledger.open(path, clock=clock), LocalObjects(folder / "lake", keys.load(key)))


def race_lake(folder: Path, seconds: float) -> tuple[Race, dict[str, Any]]:
    """The race, the comparison of what is there with what was acknowledged, and a proof of the check for repeats."""
    folder.mkdir()
    lake = open_lake(folder)
    ended = race(LakeAppender, folder, seconds=seconds)
    head = lake.snapshot("readings")
    facts = ended.figures() | compare(lake.rows(head), ended.commits) | {"chain_intact": lake.ledger.verify().ok}
    again = lake.ingest(LakeAppender(folder, 0).ready(batch(0, 0), 9_999_999), CONTRACT, actor="bench").counts
    assert (again.accepted, again.duplicates) == (0, ROWS), "a batch that comes again adds nothing"
    lake.ledger.close()
    return ended, facts


def race_limit(folder: Path, commits: Sequence[int]) -> dict[str, Any]:
    folder.mkdir()
    LedgerAppender(folder, 0).base.execute("CREATE TABLE entry (writer INTEGER, number INTEGER, details TEXT)")
    figures = race(LedgerAppender, folder, seconds=600, most=commits).figures()
    del figures["rows_per_s"]  # it writes none
    return figures
