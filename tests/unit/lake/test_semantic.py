"""Digests see what a reader could notice, and nothing else."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from filiera.lake.semantic import Leaves, hash_rows, merge
from filiera.lake.table import schema_of
from lakes import DAY, Row, contract, table

_SCHEMA = schema_of(contract())
_row = st.tuples(st.sampled_from("abc"), st.integers(-2, 3), st.sampled_from([None, 0.0, 1.5]))
_rows = st.lists(_row, max_size=8, unique_by=lambda row: row[:2])


def _leaves(rows: pa.Table) -> Leaves:
    return hash_rows(rows, ("device", "at"), "at").leaves


def _digest(rows: list[Row]) -> str:
    return _leaves(table(rows)).total().digest(_SCHEMA)


def test_swapped_values_change_the_digest_although_each_column_holds_the_same() -> None:
    assert _digest([("a", 1, 1.0), ("b", 1, 2.0)]) != _digest([("a", 1, 2.0), ("b", 1, 1.0)])


def test_equal_to_a_reader_is_equal_to_the_digest() -> None:
    payload_nan = np.array([0x7FF8000000000001], np.uint64).view(np.float64)[0]
    assert _digest([("a", 1, float("nan"))]) == _digest([("a", 1, float(payload_nan))])
    assert _digest([("a", 1, 0.0)]) == _digest([("a", 1, -0.0)])
    assert _digest([("a", 1, None)]) != _digest([("a", 1, 0.0)])
    assert _digest([("a", 1, None)]) != _digest([("a", 1, float("nan"))])


def test_categories_count_by_value_and_chunks_do_not_matter() -> None:
    rows = table([("b", 1, 1.0), ("a", 2, 2.0), ("c", 2, 3.0)])
    plain = rows.set_column(0, "device", rows.column("device").cast(pa.string()))
    chunked = pa.concat_tables([rows.slice(0, 1), rows.slice(1)])
    assert len({_leaves(r).total().digest(_SCHEMA) for r in (rows, plain, chunked)}) == 1


@given(_rows, st.integers(0, 8))
def test_sums_add_up_and_can_be_taken_away(rows: list[Row], cut: int) -> None:
    whole, left, right = (_leaves(table(part)) for part in (rows, rows[:cut], rows[cut:]))
    assert merge([left, right], whole.columns).by_day() == whole.by_day()
    assert merge([whole, right.negative()], whole.columns).by_day() == left.by_day()
    assert whole.total().plus(right.total(), -1) == left.total().plus(Leaves.empty(whole.columns).total())
    assert Leaves.from_bytes(whole.to_bytes()).by_day() == whole.by_day()


def test_a_digest_over_columns_does_not_see_the_others() -> None:
    one, other = table([("a", 1, 1.0)]), table([("a", 1, 1.0)], owner="Bob")
    chosen = ["device", "at", "value"]
    assert _leaves(one).total().digest(_SCHEMA, chosen) == _leaves(other).total().digest(_SCHEMA, chosen)
    assert _leaves(one).by_day(chosen) == _leaves(other).by_day(chosen)
    assert _leaves(one).by_day() != _leaves(other).by_day()


def test_days_are_utc_days_also_before_1970() -> None:
    assert set(_leaves(table([("a", -1, 1.0), ("a", 0, 1.0), ("b", 3, 1.0)])).by_day()) == {-1, 0, 3}
    assert _leaves(table([("a", 1, 1.0), ("a", 2, 1.0)])).restrict(2 * DAY, 9 * DAY).days.tolist() == [2]
