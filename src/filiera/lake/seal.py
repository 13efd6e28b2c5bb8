"""Sealing: AES-256-GCM for every byte that is kept.

Parquet uses its own modular encryption (one uniform data key, the object id as AAD prefix, not stored). Everything
else uses the envelope here: segments of 64 KiB, counter nonces, a mark on the last segment, the object id as
associated data. Truncation, reordering and swapping of objects fail to open. Each object has its own data key, so
counter nonces never repeat under one key. Source of the segment scheme: Hoang et al., "Online authenticated
encryption and its nonce-reuse misuse-resistance" (STREAM), CRYPTO 2015.
"""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pyarrow.parquet.encryption import create_decryption_properties, create_encryption_properties

from filiera.errors import IntegrityError

SEGMENT_BYTES = 64 << 10
TAG_BYTES = 16
#: Of numbers so many are looked at; where nearly all of them differ, no dictionary of values is made.
SAMPLE_ROWS, DISTINCT_SHARE = 8_192, 0.9


def seal_bytes(payload: bytes, key: bytes, object_id: str) -> bytes:
    """Encrypt bytes for one object."""
    aead, out = AESGCM(key), []
    count = max(1, -(-len(payload) // SEGMENT_BYTES))
    for number in range(count):
        chunk = payload[number * SEGMENT_BYTES : (number + 1) * SEGMENT_BYTES]
        out.append(aead.encrypt(*_place(number, number == count - 1, chunk, object_id)))
    return b"".join(out)


def open_bytes(sealed: bytes, key: bytes, object_id: str) -> bytes:
    """Decrypt bytes of one object.

    Raises:
        IntegrityError: changed, cut off, reordered, or another object's bytes.
    """
    aead, size = AESGCM(key), SEGMENT_BYTES + TAG_BYTES
    count = max(1, -(-len(sealed) // size))
    out = []
    for number in range(count):
        chunk = sealed[number * size : (number + 1) * size]
        try:
            out.append(aead.decrypt(*_place(number, number == count - 1, chunk, object_id)))
        except InvalidTag as error:
            raise damaged(object_id) from error
    return b"".join(out)


def _place(number: int, last: bool, data: bytes, object_id: str) -> tuple[bytes, bytes, bytes]:
    nonce = number.to_bytes(11, "big") + bytes([last])
    return nonce, data, f"filiera/object/1/{object_id}".encode()


def seal_table(table: pa.Table, key: bytes, object_id: str) -> bytes:
    """A table as encrypted Parquet (zstd)."""
    out = io.BytesIO()
    properties = create_encryption_properties(key, aad_prefix=object_id.encode(), store_aad_prefix=False)
    pq.write_table(
        table, out, compression="zstd", use_dictionary=_repeating(table), encryption_properties=properties,
        store_schema=True,
    )  # fmt: skip
    return out.getvalue()


def _repeating(table: pa.Table) -> list[str]:
    """Columns whose values repeat: measured, a dictionary of values that do not costs four times the writing."""
    return [name for name in table.column_names if _repeats(table.column(name))]


def _repeats(column: pa.ChunkedArray) -> bool:
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        return True
    places = pa.array(range(0, len(column), max(1, len(column) // SAMPLE_ROWS)), pa.int64())
    sample = column.take(places)
    return bool(pc.count_distinct(sample, mode="all").as_py() < DISTINCT_SHARE * len(sample))


def open_table(sealed: bytes, key: bytes, object_id: str, columns: list[str] | None) -> pa.Table:
    """A table again, or some of its columns.

    Raises:
        IntegrityError: changed, cut off, or another object's bytes.
    """
    properties: Any = create_decryption_properties(key, aad_prefix=object_id.encode())
    try:
        file = pq.ParquetFile(pa.BufferReader(sealed), decryption_properties=properties)
        return file.read(columns=columns, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise damaged(object_id) from error


def damaged(object_id: str) -> IntegrityError:
    """The error of an object whose bytes are not what was written."""
    return IntegrityError(
        "object.damaged",
        f"object {object_id} is not what was written",
        next="restore this file of .filiera/lake from a backup; all other data is readable",
    )
