"""A table at one moment: its number, its rows, the sealed files that hold them, and what a reader could notice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """One sealed Parquet object of a snapshot: the columns of one column class for the rows of one batch."""

    object_id: str  #: random; never derived from content
    batch: str  #: rows of equal batch and position belong together across column classes
    column_class: str
    rows: int  #: rows in the object
    size_bytes: int  #: sealed size
    sha256: str  #: of the sealed bytes
    low_us: int  #: rows before this instant do not belong to the snapshot
    high_us: int  #: nor rows at or after this one


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
