"""Release from quarantine: check the records again after their contract was mended.

The records are read from their file once more, by their place in it: so with their own header and all of their bytes.
A file that is gone, or is not what it was (it may have grown), leaves its records where they are. Rows, reasons and
counts of a file change in one transaction.

A released record never replaces a committed row: where `on_conflict = "newest"` would let it, it may be older than what
stands. It stays in quarantine as a conflict then, and records that a newer one superseded stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from filiera.collect import file as files
from filiera.core.batch import CheckedBatch, SourceFile
from filiera.core.contract import Contract, FileFormat
from filiera.dimensions.context import Context
from filiera.errors import ConflictError, FilieraError
from filiera.ingest.batch import QUARANTINE_SCHEMA, check_file
from filiera.ledger import sources
from filiera.ledger.sources import QuarantineRecord
from filiera.settings import Source

SUPERSEDED, TOO_LONG = "superseded", "too_long"


@dataclass(slots=True)
class Released:
    """What came of the records of a source."""

    released: int = 0  #: records looked at
    accepted: int = 0
    quarantined: int = 0  #: again
    duplicates: int = 0
    problems: list[tuple[str, FilieraError]] = field(default_factory=list)  #: files whose records could not be read

    def to_json(self) -> dict[str, Any]:
        """`filiera.recheck/1`."""
        return {
            "schema": "filiera.recheck/1",
            "released": self.released,
            "accepted": self.accepted,
            "quarantined": self.quarantined,
            "duplicates": self.duplicates,
            "problems": [{"path": path, **error.to_json()} for path, error in self.problems],
        }


def release_quarantine(context: Context, source: Source) -> Released:
    """Check the quarantined records of a source again; a file that cannot be read stops no other."""
    with context.ledger.reading() as connection:
        waiting = sources.list_quarantine(connection, source.name)
        versions = {(r.file.path, r.created_us): r.file for r in sources.list_files(connection, source.name)}
    found = Released()
    for path in dict.fromkeys(record.path for record in waiting):
        records = [record for record in waiting if record.path == path]
        try:
            _release(context, source, records, [versions[path, r.created_us] for r in records], found)
        except FilieraError as error:
            found.problems.append((path, error))
    return found


def _release(
    context: Context, source: Source, records: Sequence[QuarantineRecord], of: Sequence[SourceFile], found: Released
) -> None:
    """The records of one file."""
    place = context.settings.root / of[-1].path
    same = {file.digest: _is_there(place, file, source.contract) for file in of}
    whole = [record for record, file in zip(records, of, strict=True) if same[file.digest]]
    if not whole:
        raise ConflictError(
            "quarantine.file_changed",
            "the file of the quarantined records is gone, or is not what it was",
            where=of[-1].path,
            next="put it back as it was; until then its records stay in quarantine",
        )
    rows = pa.concat_tables(
        [context.reader.read_quarantine(r, principal=context.principal, purpose=context.purpose) for r in whole]
    )
    batch = _checked_again(place, of[-1], source.contract, rows)
    contract = replace(source.contract, on_conflict="quarantine")
    done = context.lake.ingest(batch, contract, actor=context.principal, releasing=whole, part=1)
    found.released += rows.num_rows
    found.accepted += done.counts.accepted
    found.duplicates += done.counts.duplicates
    found.quarantined += rows.num_rows - done.counts.accepted - done.counts.duplicates


def _is_there(place: Path, file: SourceFile, contract: Contract) -> bool:
    """Whether the file still begins with the bytes that were read."""
    if not place.is_file() or place.stat().st_size < file.size_bytes:
        return False
    grown = place.stat().st_size > file.size_bytes
    may_grow = contract.reading.format is not FileFormat.PARQUET and files.compression(place) is None
    return (may_grow or not grown) and files.prefix_digest(place, file.size_bytes) == file.digest


def _checked_again(place: Path, file: SourceFile, contract: Contract, rows: pa.Table) -> CheckedBatch:
    """One batch of all the records: checked under the new contract, or as they were."""
    key = "record" if contract.reading.format is FileFormat.PARQUET else "offset"
    stays = pc.equal(rows.column("reason"), SUPERSEDED)
    asked = rows.filter(pc.invert(stays))
    places = asked.column(key).to_pylist()
    pieces = [
        piece.batch
        for piece in check_file(place, file, contract, files.open_file, places=places)
        if piece.batch.rows_read
    ]
    kept = [rows.filter(stays), *(piece.quarantined for piece in pieces)]
    read = [piece.originals(_numbers(piece)).column(key) for piece in pieces]
    seen = set(pa.chunked_array(read, pa.int64()).to_pylist()) | {
        value for piece in pieces for value in piece.quarantined.column(key).to_pylist()
    }
    # a record that was too long has no place of its own, so it is not found again; a repeat is in no table either
    lost = pc.and_(
        pa.array([value not in seen for value in places], pa.bool_()), pc.equal(asked.column("reason"), TOO_LONG)
    )
    kept.append(asked.filter(lost))
    return _merged(file, contract, pieces, kept, rows.num_rows)


def _numbers(batch: CheckedBatch) -> list[int]:
    return [int(number) for number in batch.records]


def _merged(
    file: SourceFile,
    contract: Contract,
    pieces: Sequence[CheckedBatch],
    kept: Sequence[pa.Table],
    rows_read: int,
) -> CheckedBatch:
    """The pieces as one batch; keys that meet across pieces are conflicts, as they are within one."""
    accepted = pa.concat_tables([piece.accepted for piece in pieces]).unify_dictionaries() if pieces else None
    origins = pa.concat_tables(
        [QUARANTINE_SCHEMA.empty_table(), *(piece.originals(_numbers(piece)) for piece in pieces)]
    )
    numbers = np.asarray(origins.column("record").to_numpy(), np.int64)
    clash = _clashes(accepted, contract)
    refused = origins.filter(pa.array(clash))
    refused = refused.set_column(
        refused.column_names.index("reason"), "reason", pa.array(["conflict"] * refused.num_rows, pa.string())
    )
    rows = accepted.filter(pa.array(~clash)) if accepted is not None else _empty(contract)
    origins, numbers = origins.filter(pa.array(~clash)), numbers[~clash]

    def originals(wanted: Sequence[int]) -> pa.Table:
        return origins.take(pa.array([int(np.flatnonzero(numbers == number)[0]) for number in wanted], pa.int64()))

    order = _order(rows, contract)
    return CheckedBatch(
        file=file,
        contract_digest=contract.digest,
        rows_read=rows_read,
        accepted=rows.take(order),
        records=numbers[np.asarray(order)],
        quarantined=pa.concat_tables([*(table.cast(QUARANTINE_SCHEMA) for table in kept), refused]),
        duplicates=sum(piece.duplicates for piece in pieces),
        originals=originals,
        nulled=_sum([piece.nulled for piece in pieces]),
    )


def _clashes(accepted: pa.Table | None, contract: Contract) -> Any:
    if accepted is None or not contract.key:
        return np.zeros(0 if accepted is None else accepted.num_rows, bool)
    frame = pl.DataFrame(pl.from_arrow(accepted.select(list(contract.key))))
    return frame.select(pl.struct(pl.all()).is_duplicated()).to_series().to_numpy()


def _order(rows: pa.Table, contract: Contract) -> pa.Array:
    names = list(dict.fromkeys(name for name in (contract.time, *contract.key) if name))
    if not names:
        return pa.array(np.arange(rows.num_rows))
    plain = {name: pc.cast(rows.column(name), pa.string()) if pa.types.is_dictionary(rows.schema.field(name).type)
             else rows.column(name) for name in names}  # fmt: skip
    return pc.sort_indices(pa.table(plain), sort_keys=[(name, "ascending") for name in names])


def _empty(contract: Contract) -> pa.Table:
    from filiera.lake.rows import ARROW_TYPES

    return pa.schema([(column.name, ARROW_TYPES[column.type.value]) for column in contract.columns]).empty_table()


def _sum(counts: Sequence[Any]) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in counts:
        for name, count in one.items():
            total[name] = total.get(name, 0) + count
    return total
