"""Training rows as one buffer that every process maps read-only.

Layout, version 1: the eight bytes `FILMAT01`, the length of the header as little-endian uint64, the header as UTF-8
JSON, padded with spaces to a multiple of 64 bytes from the start, then the blocks, each at a multiple of 64 again. The
header's `blocks` maps a name to offset behind the header, dtype and shape. Blocks of training rows, sorted by time:

    x       float64 (rows, features)  C order; nulls are NaN, categories are codes (place in the sorted list)
    y       float64 (rows,)           the target, finite
    time    int64 (rows,)             microseconds UTC; for rows without time the number of their fold
    key     uint64 (rows,)            hash of the row's key columns, `hash_keys`
    device  int32 (rows,)             code of the row's device, 0 where there is none
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]
Rows = slice | npt.NDArray[np.intp]

MAGIC = b"FILMAT01"
ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Window:
    """One training range and the range it is scored on; low included, high not, microseconds UTC."""

    train_low: int
    train_high: int
    test_low: int
    test_high: int
    others: bool = False  #: folds: train on all rows outside the tested ones

    def to_json(self) -> list[Any]:
        """The fields in order."""
        return [self.train_low, self.train_high, self.test_low, self.test_high, self.others]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Views of the mapped rows; nothing here is a copy."""

    x: Floats
    y: Floats
    time: Longs
    key: npt.NDArray[np.uint64]
    device: npt.NDArray[np.int32]
    header: Mapping[str, Any]

    @property
    def features(self) -> list[str]:
        """Names of the columns of `x`."""
        return [column["name"] for column in self.header["inputs"]]

    def between(self, low_us: int, high_us: int) -> slice:
        """Rows with low_us <= time < high_us."""
        start, stop = np.searchsorted(self.time, [low_us, high_us])
        return slice(int(start), int(stop))

    def split(self, window: Window) -> tuple[Rows, slice]:
        """Training and test rows of a window."""
        test = self.between(window.test_low, window.test_high)
        if not window.others:
            return self.between(window.train_low, window.train_high), test
        return np.r_[0 : test.start, test.stop : len(self.y)], test


def pack(header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> list[bytes | memoryview]:
    """Parts that, one after the other, are the buffer; large blocks are not copied."""
    blocks: dict[str, list[Any]] = {}
    parts: list[bytes | memoryview] = []
    offset = 0
    for name, array in arrays.items():
        gap = -offset % ALIGNMENT
        blocks[name] = [offset + gap, array.dtype.str, list(array.shape)]
        parts.append(b"\0" * gap)
        if array.nbytes:
            parts.append(memoryview(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data))
        offset += gap + array.nbytes
    text = json.dumps({**header, "blocks": blocks}, sort_keys=True).encode()
    text += b" " * (-(16 + len(text)) % ALIGNMENT)
    return [MAGIC, len(text).to_bytes(8, "little"), text, *parts]


def unpack(buffer: bytes | memoryview) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Header and blocks as views of the buffer.

    Raises:
        ValueError: the buffer does not begin like one of `pack`.
    """
    view = memoryview(buffer).cast("B")
    if bytes(view[:8]) != MAGIC:
        raise ValueError("not a buffer of training rows")
    length = int.from_bytes(view[8:16], "little")
    header: dict[str, Any] = json.loads(bytes(view[16 : 16 + length]))
    arrays = {}
    for name, (offset, dtype, shape) in header.pop("blocks").items():
        count = int(np.prod(shape))
        arrays[name] = (
            np.frombuffer(view, dtype, count, 16 + length + offset).reshape(shape) if count else np.empty(shape, dtype)
        )
    return header, arrays


def read_matrix(buffer: bytes | memoryview) -> Matrix:
    """The training rows in a buffer."""
    header, blocks = unpack(buffer)
    return Matrix(blocks["x"], blocks["y"], blocks["time"], blocks["key"], blocks["device"], header)


def hash_keys(columns: Sequence[Any]) -> npt.NDArray[np.uint64]:
    """One hash a row over its key columns without time; the same in every process and for every frame library.

    Args:
        columns: array-likes of equal length; texts, categories, numbers or booleans.
    """
    import pandas as pd

    total: npt.NDArray[np.uint64] = np.zeros(len(columns[0]) if columns else 0, np.uint64)
    for column in columns:
        values = pd.Series(column)
        if isinstance(values.dtype, pd.CategoricalDtype) or not pd.api.types.is_numeric_dtype(values.dtype):
            values = values.astype(object)
        hashed = np.asarray(pd.util.hash_array(values.to_numpy(), categorize=True), np.uint64)
        total = total * np.uint64(0x9E3779B97F4A7C15) + hashed
    return total
