"""The journal: the only door through which state changes.

    with ledger.commit(actor="ada", action="table.append", object="scada") as tx:
        snapshots.insert(tx.connection, ...)

The body's effects and the audit entry commit in one transaction, or neither does.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from filiera.clock import Clock
from filiera.core.ids import new_id
from filiera.errors import ConflictError, IntegrityError, NoSpaceError, NotFoundError, UnavailableError
from filiera.ledger import chain
from filiera.ledger import tables as t
from filiera.ledger.lock import WriteQueue

#: Engines with the WAL-reset bug lose commits when a checkpoint meets a write.
#: Source: sqlite.org, release notes of 3.51.3.
SAFE_WAL = ((3, 51, 3),)
SAFE_WAL_BRANCHES = ((3, 50, 7), (3, 44, 6))
BUSY_TIMEOUT_S = 60

Connection = sa.Connection  #: what `Ledger.reading` gives


@dataclass(slots=True)
class Tx:
    """One transaction in progress."""

    connection: sa.Connection
    project: str
    now_us: int
    details: dict[str, Any] = field(default_factory=dict)  #: goes into the audit entry; the body may add facts

    def new_id(self, kind: str) -> str:
        """A fresh identifier."""
        return new_id(kind, self.now_us, os.urandom)


class Ledger:
    """The open ledger of one project. `create` or `open` make one; threads and processes may share its file."""

    def __init__(self, path: Path, engine: sa.Engine, project: Mapping[Any, Any], clock: Clock) -> None:
        self.path = path
        self.project = str(project["id"])
        self.currency = str(project["currency"])
        self.clock = clock
        self._engine = engine
        self._queue = WriteQueue(path.with_suffix(".queue"))

    @classmethod
    def create(cls, path: Path, *, name: str, currency: str, clock: Clock, actor: str) -> Ledger:
        """Make a new ledger file.

        Raises:
            ConflictError: there is one already.
        """
        if path.exists():
            raise ConflictError("ledger.exists", f"there is a ledger already: {path}")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL, 0o600))
        now_us = clock.now_us()
        row: dict[str, Any] = {
            "id": new_id("prj", now_us, os.urandom),
            "name": name,
            "currency": currency,
            "schema_version": t.SCHEMA_VERSION,
            "created_us": now_us,
        }
        engine = _engine(fresh)
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            t.metadata.create_all(connection)
            for trigger in t.guards():
                connection.exec_driver_sql(trigger)
            connection.execute(sa.insert(t.project).values(row))
            chain.append(
                connection,
                project=row["id"],
                actor=actor,
                action="ledger.create",
                object=name,
                details={},
                now_us=now_us,
            )
            connection.exec_driver_sql("COMMIT")
        engine.dispose()
        fresh.rename(path)
        return cls.open(path, clock=clock)

    @classmethod
    def open(cls, path: Path, *, clock: Clock) -> Ledger:
        """Open an existing ledger.

        Raises:
            NotFoundError: there is none.
            UnavailableError: it was written by a newer filiera.
        """
        if not path.exists():
            raise NotFoundError("ledger.not_found", f"no ledger at {path}", next="`filiera init DIR` makes a project")
        engine = _engine(path)
        try:
            with engine.connect() as connection:
                row = connection.execute(sa.select(t.project)).mappings().one()
        except sa.exc.DatabaseError as error:
            raise IntegrityError(
                "ledger.damaged", f"the ledger cannot be read: {error.orig}", where=str(path)
            ) from error
        if row["schema_version"] < t.SCHEMA_VERSION:
            raise UnavailableError(
                "ledger.older",
                "the ledger was written by an older filiera",
                expected=f"schema {t.SCHEMA_VERSION}",
                found=f"schema {row['schema_version']}",
                next="make a new project beside it and read the sources again: nothing was released in this form yet",
            )
        if row["schema_version"] > t.SCHEMA_VERSION:
            raise UnavailableError(
                "ledger.newer",
                "the ledger was written by a newer filiera",
                expected=f"schema {t.SCHEMA_VERSION} or older",
                found=f"schema {row['schema_version']}",
                next="update filiera",
            )
        return cls(path, engine, row, clock)

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection that sees one consistent state; it cannot write."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA query_only = ON")
            connection.exec_driver_sql("BEGIN")
            try:
                yield connection
            finally:
                connection.exec_driver_sql("ROLLBACK")
                connection.exec_driver_sql("PRAGMA query_only = OFF")

    @contextmanager
    def commit(self, *, actor: str, action: str, object: str, details: Mapping[str, Any] | None = None) -> Iterator[Tx]:
        """One transaction: the body's effects and their audit entry.

        Raises:
            NoSpaceError: the disk is full; nothing was committed.
            UnavailableError: the ledger could not be written; nothing was committed.
        """
        with self._queue.turn(), self._engine.connect() as connection:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                tx = Tx(connection, self.project, self.clock.now_us(), dict(details or {}))
                try:
                    yield tx
                    chain.append(
                        connection,
                        project=self.project,
                        actor=actor,
                        action=action,
                        object=object,
                        details=tx.details,
                        now_us=tx.now_us,
                    )
                    connection.exec_driver_sql("COMMIT")
                except BaseException:
                    # a failed COMMIT (disk full) may have ended the transaction by itself
                    if connection.connection.dbapi_connection.in_transaction:  # type: ignore[union-attr]
                        connection.exec_driver_sql("ROLLBACK")
                    raise
            except sa.exc.OperationalError as error:
                raise _translated(error) from error

    def verify(self, checkpoint: tuple[int, str] | None = None) -> chain.ChainReport:
        """Check the whole audit chain."""
        with self.reading() as connection:
            return chain.verify(connection, checkpoint)

    def engine_report(self) -> dict[str, Any]:
        """The SQLite engine, its journal mode and its integrity check, for `doctor`."""
        with self._engine.connect() as connection:
            mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
            check = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        return {"sqlite": sqlite3.sqlite_version, "journal_mode": mode, "wal_safe": wal_is_safe(), "check": check}


def wal_is_safe(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> bool:
    """Whether write-ahead logging may be used with this SQLite."""
    if any(version >= fixed for fixed in SAFE_WAL):
        return True
    return any(version[:2] == fixed[:2] and version >= fixed for fixed in SAFE_WAL_BRANCHES)


def _engine(path: Path) -> sa.Engine:
    engine = sa.create_engine(
        f"sqlite:///{path}", isolation_level="AUTOCOMMIT", connect_args={"timeout": BUSY_TIMEOUT_S}
    )

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        mode = "WAL" if wal_is_safe() else "DELETE"
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    return engine


def _translated(error: sa.exc.OperationalError) -> UnavailableError:
    text = str(error.orig)
    if "full" in text or "disk I/O" in text:
        return NoSpaceError(
            "ledger.no_space",
            "the disk is full: the ledger could not be written",
            found=text,
            next="free some space and run again; nothing was lost",
        )
    return UnavailableError("ledger.unavailable", "the ledger could not be written", found=text, next="run again")


def as_json(value: Any) -> str:
    """JSON text as it stands in the ledger."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True)
