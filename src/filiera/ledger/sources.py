"""Source files, their counts, and the index of quarantined records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from filiera.core.batch import SourceFile
from filiera.core.snapshot import ObjectRecord
from filiera.ledger import tables as t
from filiera.ledger.journal import Tx, as_json

#: Not a version of a file, but records of one that were checked again.
RELEASED = "released"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """One version of one file, as the ledger knows it."""

    file: SourceFile
    state: str  #: "accepted", "part" (more follows), "refused", "repeated" (bytes that stand already) or "released"
    part: int
    batch: str | None
    error: Mapping[str, Any] | None
    contract_digest: str
    created_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Where the records of one read went."""

    rows_read: int = 0
    accepted: int = 0
    quarantined: int = 0
    duplicates: int = 0
    nulled: Mapping[str, int] = field(default_factory=dict)
    ignored: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCounts:
    """The sums of a source; `rows_read == accepted + quarantined + duplicates`."""

    rows_read: int
    accepted: int
    quarantined: int
    duplicates: int
    reasons: Mapping[str, int]  #: quarantined and not released, by reason
    nulled: Mapping[str, int]  #: optional cells set to null, by column
    files: int
    refused: tuple[FileRecord, ...]

    def to_json(self) -> dict[str, Any]:
        """All sums."""
        return {
            "rows_read": self.rows_read,
            "accepted": self.accepted,
            "quarantined": self.quarantined,
            "duplicates": self.duplicates,
            "reasons": dict(self.reasons),
            "nulled": dict(self.nulled),
            "files": self.files,
            "refused": [{"path": r.file.path, **(r.error or {})} for r in self.refused],
        }


def record_file(
    tx: Tx,
    file: SourceFile,
    *,
    state: str,
    counts: Counts,
    contract_digest: str,
    part: int = 0,
    batch: str | None = None,
    error: Mapping[str, Any] | None = None,
) -> None:
    """Remember what became of one version of a file."""
    tx.connection.execute(
        sa.insert(t.source_file).values(
            project=tx.project,
            source=file.source,
            path=file.path,
            digest=file.digest,
            size_bytes=file.size_bytes,
            mtime_ns=file.mtime_ns,
            inode=file.inode,
            ctime_ns=file.ctime_ns,
            consumed_bytes=file.consumed_bytes,
            prefix_digest=file.prefix_digest,
            state=state,
            part=part,
            batch=batch,
            error=as_json(error) if error else None,
            contract_digest=contract_digest,
            rows_read=counts.rows_read,
            accepted=counts.accepted,
            quarantined=counts.quarantined,
            duplicates=counts.duplicates,
            nulled=as_json(dict(counts.nulled)),
            ignored=as_json(list(counts.ignored)),
            created_us=tx.now_us,
        )
    )


def list_files(connection: sa.Connection, source: str) -> list[FileRecord]:
    """Every record of the source's files, newest first."""
    query = sa.select(t.source_file).where(t.source_file.c.source == source).order_by(t.source_file.c.serial.desc())
    return [_file(row) for row in connection.execute(query).mappings()]


def list_versions(connection: sa.Connection, source: str, path: str, digest: str) -> list[FileRecord]:
    """Records of one path, and of other paths with the same bytes, newest first."""
    c = t.source_file.c
    query = sa.select(t.source_file).where(c.source == source, sa.or_(c.path == path, c.digest == digest))
    return [_file(row) for row in connection.execute(query.order_by(c.serial.desc())).mappings()]


def _file(row: Mapping[Any, Any]) -> FileRecord:
    return FileRecord(
        file=SourceFile(**{name: row[name] for name in SourceFile.__dataclass_fields__}),
        state=row["state"],
        part=row["part"],
        batch=row["batch"],
        error=json.loads(row["error"]) if row["error"] else None,
        contract_digest=row["contract_digest"],
        created_us=row["created_us"],
    )


def count_rows(connection: sa.Connection, source: str) -> SourceCounts:
    """The sums of a source over all its files."""
    c = t.source_file.c
    names = ("rows_read", "accepted", "quarantined", "duplicates")
    where = c.source == source
    sums = connection.execute(sa.select(*(sa.func.coalesce(sa.func.sum(c[n]), 0).label(n) for n in names)).where(where))
    row = sums.mappings().one()
    nulled: dict[str, int] = {}
    for (text,) in connection.execute(sa.select(c.nulled).where(where, c.nulled != "{}")):
        for column, count in json.loads(text).items():
            nulled[column] = nulled.get(column, 0) + count
    newest: dict[str, FileRecord] = {}
    for record in list_files(connection, source):
        if record.state != RELEASED:
            newest.setdefault(record.file.path, record)
    reasons: dict[str, int] = {}
    for item in list_quarantine(connection, source):
        for reason, count in item.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + count
    return SourceCounts(
        **{name: int(row[name]) for name in names},
        reasons=reasons,
        nulled=nulled,
        files=len(newest),
        refused=tuple(record for record in newest.values() if record.state == "refused"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineRecord:
    """The quarantined records of one batch; the records themselves lie in a sealed object."""

    serial: int
    source: str
    batch: str
    path: str
    rows: int
    reasons: Mapping[str, int]
    object: ObjectRecord
    created_us: int


def record_quarantine(
    tx: Tx, *, source: str, batch: str, path: str, reasons: Mapping[str, int], object: ObjectRecord
) -> None:
    """Index the quarantined records of a batch."""
    tx.connection.execute(
        sa.insert(t.quarantine).values(
            project=tx.project,
            source=source,
            batch=batch,
            path=path,
            rows=sum(reasons.values()),
            reasons=as_json(dict(reasons)),
            object=as_json(object.to_json()),
            created_us=tx.now_us,
        )
    )


def list_quarantine(connection: sa.Connection, source: str | None = None) -> list[QuarantineRecord]:
    """Quarantined and not released, oldest first."""
    query = sa.select(t.quarantine).where(t.quarantine.c.released_us.is_(None)).order_by(t.quarantine.c.serial)
    if source is not None:
        query = query.where(t.quarantine.c.source == source)
    return [
        QuarantineRecord(
            serial=row["serial"],
            source=row["source"],
            batch=row["batch"],
            path=row["path"],
            rows=row["rows"],
            reasons=json.loads(row["reasons"]),
            object=ObjectRecord(**json.loads(row["object"])),
            created_us=row["created_us"],
        )
        for row in connection.execute(query).mappings()
    ]


def release_quarantine(tx: Tx, serials: Sequence[int]) -> None:
    """Mark batches as released: their records were checked again and went somewhere else."""
    tx.connection.execute(
        sa.update(t.quarantine).where(t.quarantine.c.serial.in_(serials)).values(released_us=tx.now_us)
    )
