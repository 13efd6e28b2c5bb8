"""A table at one moment: its number, its rows, the sealed files that hold them, and what a reader could notice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """An immutable version of a table."""

    id: str
    table: str
    number: int  #: 1, 2, 3 ... per table
    parent: str | None
    rows: int
    schema: tuple[Mapping[str, Any], ...]  #: name, type, unit, class of each column, in order
    key: tuple[str, ...]
    time: str | None
    semantic: str  #: `sem1:` digest; equal when no reader could see a difference
    low_us: int | None  #: earliest time
    high_us: int | None  #: latest time
    created_us: int

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(str(column["name"]) for column in self.schema)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRecord:
    """What the ledger knows of one sealed object."""

    object_id: str
    kind: str  #: "parquet" or "bytes"
    size_bytes: int  #: sealed size
    sha256: str  #: of the sealed bytes
    key: str  #: wrapped data key, hex

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return {
            "object_id": self.object_id,
            "kind": self.kind,
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "key": self.key,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFiles:
    """The objects of one batch within a snapshot, and the part of their rows that belongs to it."""

    batch: str
    rows: int  #: rows in the objects
    low_us: int  #: rows before this instant do not belong to the snapshot
    high_us: int  #: nor rows at or after this one
    min_us: int  #: earliest time in the objects
    max_us: int  #: latest time in the objects
    parts: Mapping[str, ObjectRecord]  #: column class -> Parquet object
    sidecar: ObjectRecord | None  #: sorted key hashes of the rows, for sources
    dropped: tuple[int, ...] = ()  #: positions of rows that newer ones replaced
