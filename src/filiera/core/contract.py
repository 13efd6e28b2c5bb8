"""What a source promises: names, types, units, ranges and keys of its columns, and how its files are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from filiera.digest import digest_json

OPEN = "open"  #: the column class of everything that is not declared sensitive
PERSONAL = "personal"  #: masked for whoever lacks the right and the purpose


class ColumnType(StrEnum):
    """What a column holds once it is read."""

    TIME = "time"  #: an instant; int64 microseconds UTC in the lake
    CATEGORY = "category"  #: text with few values, such as a device
    TEXT = "text"  #: free text
    FLOAT = "float"  #: 64-bit number
    INTEGER = "integer"  #: 64-bit whole number
    BOOLEAN = "boolean"  #: true or false


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a contract."""

    name: str  #: name in the lake and in pipelines; [a-z][a-z0-9_]{0,62}
    origin: tuple[str, ...]  #: raw names; several only where a time is composed (year, month, day, hour)
    type: ColumnType
    unit: str | None = None  #: unit in the lake; a code of `core.units`
    from_unit: str | None = None  #: unit in the file where it differs; converted at ingest
    low: float | None = None  #: least allowed value, in `unit`
    high: float | None = None  #: greatest allowed value, in `unit`
    optional: bool = False  #: a missing or out-of-range cell becomes null and is counted; else the row is quarantined
    values: tuple[str, ...] = ()  #: allowed categories; empty = any
    zone: str | None = None  #: IANA zone of naive times
    format: str | None = None  #: strftime pattern of times; None = ISO 8601
    fold: str | None = None  #: "order" = of two equal local hours the first in the file is the earlier
    column_class: str = OPEN

    def to_json(self) -> dict[str, Any]:
        """All fields that differ from their default."""
        plain = {
            "name": self.name,
            "from": list(self.origin),
            "type": self.type.value,
            "unit": self.unit,
            "from_unit": self.from_unit,
            "low": self.low,
            "high": self.high,
            "optional": self.optional or None,
            "values": list(self.values) or None,
            "zone": self.zone,
            "format": self.format,
            "fold": self.fold,
            "class": self.column_class if self.column_class != OPEN else None,
        }
        return {name: value for name, value in plain.items() if value is not None}


class FileFormat(StrEnum):
    """The formats a file source reads; compression is told by the file's first bytes."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the files of a source are written; found once by `filiera adopt`, never guessed again."""

    format: FileFormat = FileFormat.CSV
    delimiter: str = ","
    decimal: str = "."  #: "." or ","
    encoding: str = "utf-8"  #: "utf-8" (a BOM is skipped) or "cp1252"
    null: tuple[str, ...] = ("",)  #: words that mean "no value"
    max_record_bytes: int = 1 << 20  #: a longer record is quarantined

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return {
            "format": self.format.value,
            "delimiter": self.delimiter,
            "decimal": self.decimal,
            "encoding": self.encoding,
            "null": list(self.null),
            "max_record_bytes": self.max_record_bytes,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The whole promise of one source."""

    columns: tuple[Column, ...]
    key: tuple[str, ...]  #: names of the columns that identify a row; normally (device, time)
    time: str | None  #: name of the time column; None for sources without one
    device: str | None = None  #: name of the device column
    reading: Reading = field(default_factory=Reading)
    on_conflict: str = "quarantine"  #: or "newest": the later row wins
    files: str = "append"  #: or "replace": a changed file's old rows leave

    def column(self, name: str) -> Column:
        """The column called `name`; KeyError when there is none."""
        return next(column for column in self.columns if column.name == name) if name in self.names else _missing(name)

    @property
    def only_adds(self) -> bool:
        """Whether a row that was accepted stays as it is."""
        return self.on_conflict == "quarantine" and self.files == "append"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns, in contract order."""
        return tuple(column.name for column in self.columns)

    @property
    def classes(self) -> tuple[str, ...]:
        """The column classes in use, `open` first."""
        return tuple(sorted({column.column_class for column in self.columns}, key=lambda name: (name != OPEN, name)))

    def to_json(self) -> dict[str, Any]:
        """The contract as data: what reviewers approve and digests cover."""
        return {
            "columns": [column.to_json() for column in self.columns],
            "key": list(self.key),
            "time": self.time,
            "device": self.device,
            "reading": self.reading.to_json(),
            "on_conflict": self.on_conflict,
            "files": self.files,
        }

    @property
    def digest(self) -> str:
        """Identity of the contract."""
        return digest_json("contract", 1, self.to_json())


def _missing(name: str) -> Column:
    raise KeyError(name)
