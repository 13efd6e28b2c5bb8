"""Files to checked batches: the one way from a source's bytes to rows that may be committed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from filiera.core.batch import SourceFile
from filiera.core.contract import Contract, FileFormat
from filiera.ingest.parquet import check_parquet
from filiera.ingest.piece import QUARANTINE_SCHEMA, Piece
from filiera.ingest.text import Opener, check_text

__all__ = ["QUARANTINE_SCHEMA", "Opener", "Piece", "check_file"]


def check_file(
    path: Path,
    file: SourceFile,
    contract: Contract,
    opened: Opener,
    start: int = 0,
    places: Sequence[int] | None = None,
) -> Iterator[Piece]:
    """Read a file and apply its contract, piece by piece in bounded memory.

    Every record is in exactly one piece and there in exactly one place. Reasons of quarantine: `type`, `null`,
    `range`, `time`, `category`, `not_finite` (a cell, named in `column`); `conflict`, `superseded` (its key);
    `ragged`, `encoding`, `too_long`, `syntax` (the record itself). Keys are resolved inside a piece; the lake does so
    against everything committed before.

    Args:
        path: the file.
        file: its identity.
        contract: of its source.
        opened: opens it, decompressed.
        start: bytes to skip, for a file that grew since it was read; the header is read again.
        places: only the records there: offsets of text records, numbers of Parquet rows; None = all.

    Raises:
        ContractError: the file as a whole does not fit: no header, a needed column missing, not the format.
    """
    if contract.reading.format is FileFormat.PARQUET:
        return check_parquet(path, file, contract, places)
    return check_text(path, file, contract, opened, start, places)
