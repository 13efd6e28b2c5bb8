"""Release from quarantine: check the records again after their contract was mended.

The original text of each record is in quarantine; with the header of its file it is read again under the new
contract. Rows, reasons and counts change in one transaction per file.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa

from filiera.collect import file as files
from filiera.core.batch import CheckedBatch, SourceFile
from filiera.core.contract import FileFormat
from filiera.dimensions.context import Context
from filiera.errors import NotFoundError, UsageError
from filiera.ingest.batch import check_file
from filiera.ledger import sources
from filiera.settings import Source


def release_quarantine(context: Context, source: Source) -> dict[str, int]:
    """Check the quarantined records of a source again.

    Returns:
        `released` = records looked at; of these `accepted`, `quarantined` again, and `duplicates`.

    Raises:
        NotFoundError: a file is not there any more, so its header is not known; its records stay in quarantine.
        UsageError: the source is Parquet; drop the mended file again instead.
    """
    if source.contract.reading.format is FileFormat.PARQUET:
        raise UsageError(
            "quarantine.parquet",
            "records of Parquet files are not released one by one",
            next="mend the file and put it back under the same name: accepted rows are recognised",
        )
    with context.ledger.reading() as connection:
        waiting = sources.list_quarantine(connection, source.name)
        known = {record.file.path: record.file for record in reversed(sources.list_files(connection, source.name))}
    found = {"released": 0, "accepted": 0, "quarantined": 0, "duplicates": 0}
    for path in dict.fromkeys(record.path for record in waiting):
        records = [record for record in waiting if record.path == path]
        batch = _batch(context, source, known[path], records)
        done = context.lake.ingest(batch, source.contract, actor=context.principal, releasing=records, part=1)
        found["released"] += batch.rows_read
        found["accepted"] += done.counts.accepted
        found["duplicates"] += done.counts.duplicates
        found["quarantined"] += done.counts.quarantined + batch.rows_read
    return found


def _batch(
    context: Context, source: Source, file: SourceFile, records: Sequence[sources.QuarantineRecord]
) -> CheckedBatch:
    rows = pa.concat_tables(
        [
            context.reader.read_quarantine(record, principal=context.principal, purpose=context.purpose)
            for record in records
        ]
    ).sort_by("record")
    content = _header(context, source, file) + b"".join(
        str(raw).encode(source.contract.reading.encoding, "replace") + b"\n" for raw in rows.column("raw").to_pylist()
    )

    def opened(_path: Path) -> BinaryIO:
        return cast(BinaryIO, io.BytesIO(content))

    (piece,) = check_file(context.settings.root / file.path, file, source.contract, opened)
    return _as_before(piece.batch, rows)


def _header(context: Context, source: Source, file: SourceFile) -> bytes:
    if source.contract.reading.format is FileFormat.JSONL:
        return b""
    path = context.settings.root / file.path
    if not path.is_file():
        raise NotFoundError(
            "quarantine.file_gone",
            "the file of the quarantined records is not there any more",
            where=file.path,
            next="put it back; until then its records stay in quarantine",
        )
    with files.open_file(path) as stream:
        header: bytes = stream.readline()
    return header if header.endswith(b"\n") else header + b"\n"


def _as_before(batch: CheckedBatch, rows: pa.Table) -> CheckedBatch:
    """The batch with the record numbers, lines and offsets that the records had in their file."""

    def placed(table: pa.Table) -> pa.Table:
        origin = rows.take(pa.array(np.asarray(table.column("record").to_numpy(), np.int64) - 1))
        for name in ("record", "line", "offset", "raw"):
            table = table.set_column(table.column_names.index(name), name, origin.column(name))
        return table

    def originals(numbers: Sequence[int]) -> pa.Table:
        places = np.searchsorted(np.asarray(rows.column("record").to_numpy()), np.asarray(numbers)) + 1
        return placed(batch.originals([int(place) for place in places]))

    numbers = np.asarray(rows.column("record").to_numpy(), np.int64)
    return replace(
        batch, records=numbers[batch.records - 1], quarantined=placed(batch.quarantined), originals=originals
    )
