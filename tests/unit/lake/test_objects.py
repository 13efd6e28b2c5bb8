"""Objects that were just written are kept for the next step, and for nobody after it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakes
from filiera.errors import IntegrityError
from filiera.lake import objects as lake_objects
from filiera.lake.objects import LocalObjects
from filiera.lake.seal import open_table, seal_table

TABLE = pa.table({"device": pa.array(["a", "b", "a"]).dictionary_encode(), "value": [1.0, 2.0, 3.0]})


@pytest.fixture
def objects(tmp_path: Path) -> LocalObjects:
    return lakes.open_lake(tmp_path).objects


def damage(tmp_path: Path) -> None:
    for path in (tmp_path / ".filiera" / "lake").glob("*/*"):
        path.write_bytes(path.read_bytes()[:-1])


def test_within_keeping_a_written_table_is_not_opened_again(objects: LocalObjects, tmp_path: Path) -> None:
    with objects.keeping():
        record = objects.put_table(TABLE)
        damage(tmp_path)
        assert objects.get_table(record) == TABLE
        assert objects.get_table(record, ["value"]) == TABLE.select(["value"])
    with pytest.raises(IntegrityError):
        objects.get_table(record)


def test_what_is_forgotten_or_was_written_before_is_read_from_its_file(objects: LocalObjects, tmp_path: Path) -> None:
    before = objects.put_table(TABLE)
    with objects.keeping():
        record = objects.put_table(TABLE)
        objects.forget()
        damage(tmp_path)
        for each in (before, record):
            with pytest.raises(IntegrityError):
                objects.get_table(each)


def test_the_oldest_tables_make_room(objects: LocalObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lake_objects, "KEPT_BYTES", 2 * TABLE.nbytes)
    with objects.keeping():
        records = [objects.put_table(TABLE) for _ in range(3)]
        damage(tmp_path)
        assert [objects.get_table(record) for record in records[1:]] == [TABLE, TABLE]
        with pytest.raises(IntegrityError):
            objects.get_table(records[0])


def test_numbers_that_repeat_get_a_dictionary_and_others_none_and_all_come_back(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    rows = 50_000
    table = pa.table(
        {
            "noise": draw.standard_normal(rows),
            "steps": np.round(draw.standard_normal(rows), 1),
            "few": pa.array([None, 1] * (rows // 2)),
            "word": pa.array(["a", "b"] * (rows // 2)).dictionary_encode(),
            "none": pa.nulls(rows, pa.float64()),
        }
    )
    path = tmp_path / "plain.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("filiera.lake.seal.create_encryption_properties", lambda *_, **__: None)
        path.write_bytes(seal_table(table, b"k" * 32, "o" * 32))
    group = pq.ParquetFile(path).metadata.row_group(0)
    found = {group.column(i).path_in_schema: group.column(i).has_dictionary_page for i in range(group.num_columns)}
    assert found == {"noise": False, "steps": True, "few": True, "word": True, "none": True}
    sealed = seal_table(table, b"k" * 32, "o" * 32)
    assert open_table(sealed, b"k" * 32, "o" * 32, None).combine_chunks() == table.combine_chunks()
    assert open_table(seal_table(table.slice(0, 0), b"k" * 32, "o" * 32), b"k" * 32, "o" * 32, None).num_rows == 0
