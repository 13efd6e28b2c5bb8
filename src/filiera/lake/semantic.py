"""What a reader could notice of a table, as sums of cell hashes.

Each cell is hashed together with its column and the key of its row; hashes are summed per column and UTC day in two
lanes of 64 bits. Sums do not depend on the order of rows, on files or on batches, and they can be added and
subtracted, so an append updates a digest without reading the table. The hash is not cryptographic: these digests
decide what must be computed again, never what was approved or signed.

Canonical values: nulls are one value, every NaN is one value, -0.0 is 0.0, a category is its text, a time is its
microseconds UTC. Source of the mixer: Stafford's variant 13 of the MurmurHash3 finalizer, as in SplitMix64.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filiera.clock import US_PER_DAY
from filiera.digest import digest_json

Lanes = npt.NDArray[np.uint64]  #: shape (rows, 2)
Wide = npt.NDArray[np.uint64]  #: the same the other way round, as it is fast to compute: shape (2 or 1, rows)
LANES = 2


@dataclass(frozen=True, slots=True)
class Leaves:
    """Sums of cell hashes per UTC day and column; day 0 only for tables without time."""

    columns: tuple[str, ...]
    days: npt.NDArray[np.int32]  #: days since 1970, ascending; shape (days,)
    rows: npt.NDArray[np.int64]  #: rows of each day; shape (days,)
    sums: npt.NDArray[np.uint64]  #: shape (days, columns, 2)

    @classmethod
    def empty(cls, columns: Sequence[str]) -> Leaves:
        """No rows."""
        shape = (0, len(columns), LANES)
        return cls(tuple(columns), np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(shape, np.uint64))

    def to_bytes(self) -> bytes:
        """For the ledger."""
        out = io.BytesIO()
        np.savez_compressed(out, columns=np.array(self.columns), days=self.days, rows=self.rows, sums=self.sums)
        return out.getvalue()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Leaves:
        """From the ledger."""
        with np.load(io.BytesIO(raw), allow_pickle=False) as data:
            return cls(tuple(data["columns"].tolist()), data["days"], data["rows"], data["sums"])

    def restrict(self, low_us: int, high_us: int) -> Leaves:
        """Only the days that begin in [low_us, high_us)."""
        starts = self.days.astype(np.int64) * US_PER_DAY
        keep = (starts >= low_us) & (starts < high_us)
        return Leaves(self.columns, self.days[keep], self.rows[keep], self.sums[keep])

    def negative(self) -> Leaves:
        """What takes these rows away when it is merged with others."""
        return Leaves(self.columns, self.days, -self.rows, np.zeros_like(self.sums) - self.sums)

    def total(self) -> Totals:
        """Sums over all days."""
        sums = self.sums.sum(axis=0, dtype=np.uint64)
        return Totals(
            int(self.rows.sum()), {name: (int(a), int(b)) for name, (a, b) in zip(self.columns, sums, strict=True)}
        )

    def by_day(self, columns: Sequence[str] | None = None) -> dict[int, str]:
        """A short digest per day over the chosen columns, present in the table."""
        wanted = [i for i, name in enumerate(self.columns) if columns is None or name in columns]
        order = sorted(wanted, key=lambda i: self.columns[i])
        names = "\0".join(self.columns[i] for i in order).encode()
        return {
            int(day): hashlib.sha256(names + int(rows).to_bytes(8, "little") + block[order].tobytes()).hexdigest()[:32]
            for day, rows, block in zip(self.days, self.rows, self.sums, strict=True)
        }


def merge(parts: Sequence[Leaves], columns: Sequence[str]) -> Leaves:
    """The leaves of all parts over these columns; a column that a part lacks counts as zero there."""
    names = tuple(columns)
    if not parts:
        return Leaves.empty(names)
    days, place = np.unique(np.concatenate([part.days for part in parts]), return_inverse=True)
    rows, sums = np.zeros(len(days), np.int64), np.zeros((len(days), len(names), LANES), np.uint64)
    start = 0
    for part in parts:
        at = place[start : start + len(part.days)]
        start += len(part.days)
        rows[at] += part.rows
        for index, name in enumerate(part.columns):
            if name in names:
                sums[at, names.index(name)] += part.sums[:, index]
    keep = rows > 0
    return Leaves(names, days[keep].astype(np.int32), rows[keep], sums[keep])


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a whole table: what its semantic digest is made of."""

    rows: int
    sums: Mapping[str, tuple[int, int]]

    def plus(self, other: Totals, sign: int = 1) -> Totals:
        """Sums after rows were added (sign 1) or left (sign -1)."""
        names = self.sums.keys() | other.sums.keys()
        zero = (0, 0)
        pairs = {name: (self.sums.get(name, zero), other.sums.get(name, zero)) for name in names}
        return Totals(
            self.rows + sign * other.rows,
            {name: ((a + sign * c) % 2**64, (b + sign * d) % 2**64) for name, ((a, b), (c, d)) in pairs.items()},
        )

    def to_json(self) -> dict[str, Any]:
        """Rows, and 32 hex digits a column."""
        return {"rows": self.rows, "sums": {name: f"{a:016x}{b:016x}" for name, (a, b) in self.sums.items()}}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Totals:
        """The reverse of `to_json`."""
        return cls(value["rows"], {n: (int(text[:16], 16), int(text[16:], 16)) for n, text in value["sums"].items()})

    def digest(self, schema: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
        """`sem1:` digest of what a reader of these columns sees; None = all of the schema, in its order."""
        types = {str(c["name"]): str(c["type"]) for c in schema if columns is None or c["name"] in columns}
        zero = (0, 0)
        cells = {name: [kind, "{:016x}{:016x}".format(*self.sums.get(name, zero))] for name, kind in types.items()}
        order = {"order": list(types)} if columns is None else {}  # a matrix has its columns by position
        body = {"rows": self.rows, "columns": cells} | order
        return "sem1:" + digest_json("rows", 1, body).removeprefix("sha256:")


@dataclass(frozen=True, slots=True)
class RowHashes:
    """Identity of each row, and the leaves of them all."""

    key: Lanes  #: hash of the key columns
    value: Lanes  #: hash of all other columns, key included
    leaves: Leaves


def hash_rows(table: pa.Table, key: Sequence[str], time: str | None) -> RowHashes:
    """Hash the rows of a table; a table without key is identified by position.

    Args:
        table: any columns of numbers, booleans, texts, categories or timestamps.
        key: names of the key columns; empty = rows are identified by their position.
        time: name of the time column; rows may be in any order.
    """
    names = tuple(table.column_names)
    bits = {name: _bits(table.column(name)) for name in names}
    row_key = _key_lanes(table.num_rows, [(name, bits[name]) for name in key])
    order, starts, days = _days(table, time)
    sums = np.zeros((len(days), len(names), LANES), np.uint64)
    value = np.zeros((LANES, table.num_rows), np.uint64)
    for index, name in enumerate(names):
        cells = _mix(row_key + _seed(name))
        cells ^= bits.pop(name)
        cells = _mix(cells)
        value += cells
        if len(days):
            parts = cells if order is None else cells[:, order]
            sums[:, index] = np.add.reduceat(parts, starts, axis=1, dtype=np.uint64).T
    counts = np.diff(np.append(starts, table.num_rows)) if len(days) else np.zeros(0, np.int64)
    leaves = Leaves(names, days, counts.astype(np.int64), sums)
    return RowHashes(np.ascontiguousarray(row_key.T), np.ascontiguousarray(value.T), leaves)


def _days(table: pa.Table, time: str | None) -> tuple[Any, npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Row order by day (None = already so), start of each day in it, and the days."""
    if table.num_rows == 0:
        return None, np.zeros(0, np.int64), np.zeros(0, np.int32)
    if time is None:
        return None, np.zeros(1, np.int64), np.zeros(1, np.int32)
    day = (times_us(table.column(time)) // US_PER_DAY).astype(np.int32)
    order = None if np.all(day[1:] >= day[:-1]) else np.argsort(day, kind="stable")
    found, starts = np.unique(day if order is None else day[order], return_index=True)
    return order, starts.astype(np.int64), found


def times_us(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Microseconds UTC of a time column without nulls."""
    return np.asarray(column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy(), np.int64)


def _key_lanes(rows: int, parts: Sequence[tuple[str, Wide]]) -> Wide:
    if not parts:
        return _mix(np.arange(rows, dtype=np.uint64) + _seed(""))
    lanes = np.zeros((LANES, rows), np.uint64)
    for name, bits in parts:
        lanes = _mix(lanes ^ _mix(bits + _seed(name)))
    return lanes


@cache
def _seed(name: str) -> Wide:
    words = np.frombuffer(hashlib.sha256(b"filiera/cell/1\0" + name.encode()).digest()[:16], "<u8").astype(np.uint64)
    return words[:, None]


_NULL = 0x9E3779B97F4A7C15


def _bits(column: pa.ChunkedArray) -> Wide:
    """Canonical 64 bits of each value, in one lane where both are the same."""
    kind = column.type
    if pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _text_bits(column)
    if pa.types.is_floating(kind):
        values = column.cast(pa.float64())
        numbers = np.array(pc.fill_null(values, 0.0).to_numpy(), np.float64)
        numbers[np.isnan(numbers)] = np.nan
        numbers += 0.0  # turns -0.0 into 0.0
        plain = numbers.view(np.uint64)
    elif pa.types.is_timestamp(kind):
        plain = pc.fill_null(column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()), 0).to_numpy().view(np.uint64)
    elif pa.types.is_boolean(kind):
        plain = pc.fill_null(column, False).to_numpy(zero_copy_only=False).astype(np.uint64)
    elif pa.types.is_integer(kind):
        plain = pc.fill_null(column.cast(pa.int64()), 0).to_numpy().view(np.uint64)
    else:
        return _text_bits(column.cast(pa.string()))
    if column.null_count:
        plain = np.where(pc.is_null(column).to_numpy(zero_copy_only=False), np.uint64(_NULL), plain)
    return np.asarray(plain, np.uint64)[None, :]


def _text_bits(column: pa.ChunkedArray) -> Wide:
    combined = column.combine_chunks()
    if isinstance(combined, pa.ChunkedArray):
        combined = pa.concat_arrays(combined.chunks) if combined.num_chunks else pa.array([], combined.type)
    encoded = combined if pa.types.is_dictionary(column.type) else combined.dictionary_encode()
    words = encoded.dictionary.to_pylist()
    table = np.zeros((LANES, len(words) + 1), np.uint64)
    for index, word in enumerate(words):
        raw = b"" if word is None else b"t" + str(word).encode()
        table[:, index] = np.frombuffer(hashlib.sha256(raw).digest()[:16], "<u8")
    table[:, len(words)] = _NULL
    codes = pc.fill_null(encoded.indices.cast(pa.int64()), len(words)).to_numpy()
    return np.asarray(table[:, codes], np.uint64)


def _mix(x: Wide) -> Wide:
    """Finalizer of SplitMix64, element by element; in place."""
    shifted = np.empty_like(x)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        np.right_shift(x, np.uint64(shift), out=shifted)
        x ^= shifted
        if factor != 1:
            x *= np.uint64(factor)
    return x
