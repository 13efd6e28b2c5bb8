"""Rows into a plain file, because somebody asked for it; the file is not sealed."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from filiera.errors import NoSpaceError, UnavailableError, UsageError, nearest
from filiera.lake.objects import NO_SPACE

FORMATS = ("csv", "parquet", "arrow")


def export(table: pa.Table, path: Path, format: str) -> int:
    """Write rows to `path`, readable by you alone; gives the size in bytes. The whole file appears, or none.

    Raises:
        UsageError: an unknown format.
        NoSpaceError: the disk is full; nothing is left behind.
        UnavailableError: the folder cannot be written.
    """
    if format not in FORMATS:
        raise UsageError(
            "export.format", f"`{format}` is no format that filiera writes", expected=", ".join(FORMATS),
            next=nearest(format, FORMATS),
        )  # fmt: skip
    fresh = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            _write(table, file, format)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        kind = NoSpaceError if error.errno in NO_SPACE else UnavailableError
        raise kind(
            "export.failed", f"{path} could not be written", found=str(error), next="choose another place"
        ) from error
    return path.stat().st_size


def _write(table: pa.Table, file: object, format: str) -> None:
    if format == "csv":
        pa_csv.write_csv(_plain(table), file)
    elif format == "parquet":
        pq.write_table(table, file, compression="zstd")
    else:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)


def _plain(table: pa.Table) -> pa.Table:
    """Categories as text: CSV has no dictionaries."""
    for index, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(index, field.name, table.column(index).cast(field.type.value_type))
    return table
