"""How these tests check a file: contents in, pieces out, with the law of the three counts always asked."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from filiera.core.batch import SourceFile
from filiera.core.contract import Column, ColumnType, Contract, Reading
from filiera.ingest.batch import Piece, check_file

HERE = Path("data.csv")
FILE = SourceFile(source="s", path="data.csv", digest="sha256:0", size_bytes=0, mtime_ns=0, inode=0)

DEVICE = Column(name="device", origin=("device",), type=ColumnType.CATEGORY)
AT = Column(name="at", origin=("at",), type=ColumnType.TIME)
X = Column(name="x", origin=("x",), type=ColumnType.FLOAT, optional=True, low=-100, high=100)
CONTRACT = Contract(columns=(DEVICE, AT, X), key=("device", "at"), time="at", device="device")


def with_column(column: Column, contract: Contract = CONTRACT) -> Contract:
    """The contract with another column of that name, or one more."""
    kept = [column if known.name == column.name else known for known in contract.columns]
    return replace(contract, columns=tuple(kept if column.name in contract.names else [*kept, column]))


def reading(contract: Contract = CONTRACT, **changes: Any) -> Contract:
    """The contract with other words about how files are written."""
    return replace(contract, reading=replace(Reading(), **changes))


def check_bytes(content: bytes, contract: Contract = CONTRACT, start: int = 0) -> list[Piece]:
    """Pieces of a file with this content; no record is lost, none is in two places."""
    pieces = list(check_file(HERE, FILE, contract, lambda _: io.BytesIO(content), start))
    assert_counts(pieces)
    return pieces


def assert_counts(pieces: Sequence[Piece]) -> None:
    """The three counts add up, and record numbers are used once."""
    seen: list[int] = []
    for piece in pieces:
        batch = piece.batch
        assert batch.rows_read == batch.accepted.num_rows + batch.quarantined.num_rows + batch.duplicates
        assert len(batch.records) == batch.accepted.num_rows
        seen += [*batch.records.tolist(), *batch.quarantined.column("record").to_pylist()]
    assert len(seen) == len(set(seen))
    rows = sum(piece.batch.rows_read for piece in pieces)
    assert all(1 <= number <= rows for number in seen)
    assert [piece.last for piece in pieces].count(True) == 1


def check_one(content: bytes, contract: Contract = CONTRACT) -> Any:
    """The batch of a file that fits in one piece."""
    (piece,) = check_bytes(content, contract)
    return piece.batch


def reasons(batch: Any) -> list[tuple[str, str]]:
    """Reason and column of each quarantined record, by record."""
    return list(zip(batch.quarantined["reason"].to_pylist(), batch.quarantined["column"].to_pylist(), strict=True))


def csv(*rows: str, header: str = "device,at,x") -> bytes:
    """Rows as a CSV file."""
    return "".join(f"{row}\n" for row in (header, *rows)).encode()
