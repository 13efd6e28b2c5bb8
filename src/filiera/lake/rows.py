"""Rows of a snapshot, put together from its sealed objects."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filiera.core.snapshot import BatchFiles, ObjectRecord, Snapshot
from filiera.errors import ContractError
from filiera.lake.objects import LocalObjects
from filiera.lake.semantic import times_us

ARROW_TYPES = {
    "time": pa.timestamp("us", "UTC"),
    "category": pa.dictionary(pa.int32(), pa.string()),
    "text": pa.string(),
    "float": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
}


def arrow_schema(snapshot: Snapshot, columns: Sequence[str] | None = None) -> pa.Schema:
    """The Arrow schema of a snapshot, or of some of its columns in the order asked."""
    types = {str(column["name"]): ARROW_TYPES[str(column["type"])] for column in snapshot.schema}
    return pa.schema([(name, types[name]) for name in (columns if columns is not None else types)])


def read_rows(
    objects: LocalObjects,
    snapshot: Snapshot,
    batches: Sequence[BatchFiles],
    columns: Sequence[str] | None,
    low_us: int | None,
    high_us: int | None,
    unsorted_by: Collection[str] = (),
) -> pa.Table:
    """Rows of these batches with low_us <= time < high_us, sorted by (time, key) but for the columns `unsorted_by`."""
    wanted = list(columns) if columns is not None else list(snapshot.columns)
    order = [name for name in (snapshot.time, *snapshot.key) if name and name not in unsorted_by]
    needed = list(dict.fromkeys([*wanted, *order]))
    schema = arrow_schema(snapshot, needed)
    tables = [_read_batch(objects, snapshot, batch, needed, schema, low_us, high_us) for batch in batches]
    found = pa.concat_tables(tables).unify_dictionaries() if tables else schema.empty_table()
    return _sorted(found, order).select(wanted)


def read_batch(objects: LocalObjects, snapshot: Snapshot, batch: BatchFiles) -> pa.Table:
    """All rows of a batch within its bounds, in stored order, dropped ones included."""
    columns = list(snapshot.columns)
    whole = replace(batch, dropped=())
    return _read_batch(objects, snapshot, whole, columns, arrow_schema(snapshot), None, None)


def _read_batch(
    objects: LocalObjects,
    snapshot: Snapshot,
    batch: BatchFiles,
    needed: Sequence[str],
    schema: pa.Schema,
    low_us: int | None,
    high_us: int | None,
) -> pa.Table:
    classes = {str(column["name"]): str(column["class"]) for column in snapshot.schema}
    found: dict[str, pa.ChunkedArray] = {}
    for name, record in batch.parts.items():
        columns = [column for column in needed if classes[column] == name]
        found |= _read_part(objects, record, columns)
    for record in batch.parts.values():  # a column may have had another class when the batch was written
        found |= _read_part(objects, record, [column for column in needed if column not in found])
    absent = [column for column in needed if column not in found]
    found |= {column: pa.chunked_array([pa.nulls(batch.rows, schema.field(column).type)]) for column in absent}
    table = pa.table({name: _cast(found[name], schema.field(name), snapshot) for name in needed}, schema=schema)
    keep = _kept(table, snapshot.time, batch, low_us, high_us)
    return table if keep is None else table.filter(pa.array(keep))


def _cast(column: pa.ChunkedArray, field: pa.Field, snapshot: Snapshot) -> pa.ChunkedArray:
    try:
        return column.cast(field.type)
    except pa.ArrowInvalid as error:
        raise ContractError(
            "table.type_changed",
            f"column {field.name} of {snapshot.table} was written as {column.type} and is declared as {field.type}",
            next="give the column another name in filiera.toml, or its old type",
        ) from error


def _read_part(objects: LocalObjects, record: ObjectRecord, columns: list[str]) -> dict[str, pa.ChunkedArray]:
    if not columns:
        return {}
    part = objects.get_table(record, columns)
    return {column: part.column(column) for column in part.column_names}


def _kept(
    table: pa.Table, time: str | None, batch: BatchFiles, low_us: int | None, high_us: int | None
) -> npt.NDArray[np.bool_] | None:
    low = max(batch.low_us, low_us if low_us is not None else batch.low_us)
    high = min(batch.high_us, high_us if high_us is not None else batch.high_us)
    clipped = time is not None and (low > batch.min_us or high <= batch.max_us)
    if not clipped and not batch.dropped:
        return None
    keep = np.ones(table.num_rows, bool)
    if clipped:
        assert time is not None
        times = times_us(table.column(time))
        keep &= (times >= low) & (times < high)
    keep[list(batch.dropped)] = False
    return keep


def _sorted(table: pa.Table, order: Sequence[str]) -> pa.Table:
    if not order or table.num_rows < 2:
        return table
    keys = {}
    for name in order:
        column = table.column(name)
        keys[name] = column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
    indices = pc.sort_indices(pa.table(keys), sort_keys=[(name, "ascending") for name in keys])
    numbers = indices.to_numpy()
    return table if (numbers[1:] > numbers[:-1]).all() else table.take(indices)
