"""What a file became after its contract was applied, before it is committed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

#: Columns of a quarantine table: `raw` is the record's original text, at most 4 KiB, or JSON of its raw values.
QUARANTINE_COLUMNS = ("record", "line", "offset", "reason", "column", "detail", "raw")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One version of one file of a source."""

    source: str
    path: str  #: relative to the project
    digest: str  #: sha256: of the file's bytes as they lie there
    size_bytes: int
    mtime_ns: int
    inode: int
    ctime_ns: int = 0  #: of its last change of any kind; a copy that keeps the time of writing changes it
    consumed_bytes: int = 0  #: up to the end of the last complete record; 0 for compressed and columnar files
    prefix_digest: str = ""  #: of the first `consumed_bytes`; tells a grown file from a rewritten one


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedBatch:
    """Every record of one read, in exactly one of three places: accepted, quarantined, duplicate.

    `rows_read == accepted.num_rows + quarantined.num_rows + duplicates` always holds.
    """

    file: SourceFile
    contract_digest: str
    rows_read: int
    accepted: pa.Table  #: contract columns, typed, sorted by (time, key); times `timestamp[us, UTC]`
    records: npt.NDArray[np.int64]  #: record number of each accepted row
    quarantined: pa.Table  #: QUARANTINE_COLUMNS
    duplicates: int  #: exact repeats inside this batch
    originals: Callable[[Sequence[int]], pa.Table]  #: record numbers -> QUARANTINE_COLUMNS with empty reason
    nulled: Mapping[str, int] = field(default_factory=dict)  #: optional cells out of range, set to null, by column
    ignored: tuple[str, ...] = ()  #: raw columns that the contract does not name
