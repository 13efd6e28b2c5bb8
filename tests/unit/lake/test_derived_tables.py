"""Derived tables: slices replace rows, objects are clipped and never rewritten."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from filiera.core.contract import PERSONAL
from filiera.core.snapshot import Snapshot
from filiera.lake.table import Lake
from filiera.ledger import traces
from lakes import DAY, Row, open_lake, table


def _write(lake: Lake, parent: Snapshot | None, *slices: tuple[int | None, int | None, list[Row]]) -> Snapshot:
    return lake.replace_slices(
        "hourly",
        parent,
        [(low, high, table(rows)) for low, high, rows in slices],
        key=("device", "at"),
        time="at",
        classes={"owner": PERSONAL},
        units={"value": "kW"},
        actor="me",
        effects=lambda tx, snapshot: tx.details.update(seen=snapshot.number),
    )


def _values(lake: Lake, snapshot: Snapshot) -> list[tuple[str, int, float | None]]:
    rows = lake.rows(snapshot).to_pylist()
    assert len(rows) == snapshot.rows
    return [(r["device"], int(r["at"].timestamp()) // 86_400, r["value"]) for r in rows]


def test_a_slice_replaces_its_days_and_leaves_the_others(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    first = _write(lake, None, (None, None, [("a", 1, 1.0), ("a", 2, 2.0), ("a", 3, 3.0)]))
    second = _write(lake, first, (2 * DAY, 3 * DAY, [("a", 2, 9.0), ("b", 2, 9.5)]))
    assert _values(lake, second) == [("a", 1, 1.0), ("a", 2, 9.0), ("b", 2, 9.5), ("a", 3, 3.0)]
    assert _values(lake, first) == [("a", 1, 1.0), ("a", 2, 2.0), ("a", 3, 3.0)]
    changed = lake.leaves(first).by_day().items() ^ lake.leaves(second).by_day().items()
    assert {day for day, _ in changed} == {2}


def test_slices_and_a_whole_write_of_the_same_rows_have_one_digest(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    old = _write(lake, None, (None, None, [("a", 1, 1.0), ("a", 2, 2.0), ("a", 3, 3.0)]))
    sliced = _write(lake, old, (2 * DAY, 3 * DAY, []), (3 * DAY, None, [("a", 4, 4.0)]))
    whole = _write(lake, None, (None, None, [("a", 4, 4.0), ("a", 1, 1.0)]))
    assert sliced.semantic == whole.semantic != old.semantic
    assert _values(lake, sliced) == _values(lake, whole)


def test_compaction_of_clipped_slices_changes_no_row(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    first = _write(lake, None, (None, None, [("a", 1, 1.0), ("a", 2, 2.0), ("a", 3, 3.0)]))
    second = _write(lake, first, (2 * DAY, 3 * DAY, [("a", 2, 9.0)]))
    third = lake.compact("hourly", actor="me")
    assert (_values(lake, third), third.semantic) == (_values(lake, second), second.semantic)
    fourth = _write(lake, third, (None, 2 * DAY, []))
    assert _values(lake, fourth) == [("a", 2, 9.0), ("a", 3, 3.0)]


def test_an_older_parent_is_built_upon_as_it_was(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    first = _write(lake, None, (None, None, [("a", 1, 1.0), ("a", 2, 2.0)]))
    _write(lake, first, (DAY, 2 * DAY, [("a", 1, 7.0)]))
    third = _write(lake, first, (2 * DAY, 3 * DAY, [("a", 2, 5.0)]))
    assert _values(lake, third) == [("a", 1, 1.0), ("a", 2, 5.0)]
    assert (third.number, third.parent) == (3, first.id)


def test_rows_outside_a_slice_are_left_out_and_half_days_refused(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    got = _write(lake, None, (2 * DAY, 3 * DAY, [("a", 1, 1.0), ("a", 2, 2.0), ("a", 3, 3.0)]))
    assert _values(lake, got) == [("a", 2, 2.0)]
    with pytest.raises(ValueError, match="whole UTC days"):
        _write(lake, None, (DAY // 2, DAY, []))


def test_a_table_without_time_is_replaced_whole(tmp_path: Path) -> None:
    lake, parent = open_lake(tmp_path), None
    for figures in ([1.0, 2.0], [3.0]):
        rows = pa.table({"name": ["x", "y"][: len(figures)], "figure": figures})
        parent = lake.replace_slices(
            "sums", parent, [(None, None, rows)], key=("name",), time=None, classes={}, units={}, actor="me",
            effects=lambda tx, snapshot: None,
        )  # fmt: skip
    assert lake.rows(parent).to_pylist() == [{"name": "x", "figure": 3.0}]


def test_nothing_is_committed_when_an_effect_fails(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)

    def fail(tx: object, snapshot: Snapshot) -> None:
        raise RuntimeError("no trace")

    with pytest.raises(RuntimeError, match="no trace"):
        lake.replace_slices(
            "hourly", None, [(None, None, table([("a", 1, 1.0)]))], key=("device", "at"), time="at", classes={},
            units={}, actor="me", effects=fail,
        )  # fmt: skip
    assert lake.latest("hourly") is None
    assert not list((tmp_path / ".filiera/lake").glob("*/*"))
    with lake.ledger.reading() as connection:
        assert traces.history(connection, "hourly") == []
