"""Reading: masks, exposures, exports."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filiera.core.contract import OPEN
from filiera.errors import NotFoundError, UsageError
from filiera.lake.access import WITHHELD, LakeReader
from filiera.lake.export import export
from filiera.lake.table import Lake
from filiera.ledger import environments
from lakes import SCHEMA, batch, contract, open_lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = open_lake(tmp_path)
    made.ingest(batch([("a", 1, 1.0), ("b", 1, None)]), contract(), actor="me")
    return made


def _masked(column_class: str) -> bool:
    return column_class != OPEN


def test_personal_columns_come_as_nulls_of_their_type_and_their_object_stays_closed(lake: Lake, tmp_path: Path) -> None:
    snapshot = lake.snapshot("scada")
    with lake.ledger.reading() as connection:
        from filiera.ledger import snapshots

        (item,) = snapshots.visible(connection, "scada", 1)
    personal = item.files.parts["personal"].object_id
    (tmp_path / ".filiera/lake" / personal[:2] / personal).unlink()
    rows = LakeReader(lake, masked=_masked).read(snapshot, principal="ada", purpose="demo")
    assert rows.schema.equals(SCHEMA)
    assert rows.column("owner").null_count == 2
    only = LakeReader(lake, masked=_masked).read(snapshot, principal="ada", purpose="demo", columns=["owner"])
    assert only.to_pylist() == [{"owner": None}, {"owner": None}]


def test_unmasked_readers_see_personal_columns(lake: Lake) -> None:
    rows = LakeReader(lake, masked=lambda _: False).read(lake.snapshot("scada"), principal="ada", purpose="demo")
    assert rows.column("owner").to_pylist() == ["Ada NEEDLE"] * 2


def test_every_read_leaves_an_exposure_and_an_audit_entry(lake: Lake) -> None:
    reader = LakeReader(lake, masked=_masked)
    reader.read(lake.snapshot("scada"), principal="ada", purpose="demo", columns=["value", "owner"])
    with lake.ledger.reading() as connection:
        (seen,) = environments.list_exposures(connection)
    assert (seen["principal"], seen["purpose"], seen["asset"], seen["snapshot"]) == ("ada", "demo", "scada", 1)
    assert (seen["columns"], seen["masked"], seen["rows"]) == ("value,owner", "owner", 2)
    assert lake.ledger.verify().ok


def test_unknown_column_names_the_nearest(lake: Lake) -> None:
    with pytest.raises(NotFoundError) as caught:
        LakeReader(lake, masked=_masked).read(lake.snapshot("scada"), principal="a", purpose="p", columns=["valeu"])
    assert "value" in caught.value.next


def test_a_column_that_became_personal_is_still_there(lake: Lake) -> None:
    from dataclasses import replace

    snapshot = lake.snapshot("scada")
    schema = tuple({**c, "class": "personal"} if c["name"] == "value" else c for c in snapshot.schema)
    assert lake.rows(replace(snapshot, schema=schema), ["value"]).column("value").to_pylist() == [1.0, None]


@pytest.mark.parametrize("format", ["csv", "parquet", "arrow"])
def test_exports_hold_the_rows_and_are_for_their_owner_only(lake: Lake, tmp_path: Path, format: str) -> None:
    rows, path = lake.rows(lake.snapshot("scada")), tmp_path / f"out.{format}"
    assert export(rows, path, format) == path.stat().st_size
    assert path.stat().st_mode & 0o077 == 0
    read = {"csv": pl.read_csv, "parquet": lambda p: pl.from_arrow(pq.read_table(p)),
            "arrow": lambda p: pl.from_arrow(pa.ipc.open_file(p).read_all())}  # fmt: skip
    assert read[format](path)["value"].to_list() == [1.0, None]


def test_unknown_export_format_is_refused(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no format"):
        export(lake.rows(lake.snapshot("scada")), tmp_path / "x", "xlsx")


def test_a_column_declared_personal_later_is_masked_in_every_snapshot_and_sorts_nothing(lake: Lake) -> None:
    reader = LakeReader(lake, masked=_masked, declared=lambda _: {"device": "personal"})
    rows = reader.read(lake.snapshot("scada", number=1), principal="ada", purpose="demo")
    assert rows.column("device").null_count == rows.num_rows == 2
    assert reader.hidden(lake.snapshot("scada"), ["device", "value", "owner"]) == ["device", "owner"]


def test_A23_the_text_of_quarantined_records_is_withheld_where_a_column_is_masked(tmp_path: Path) -> None:
    made = open_lake(tmp_path)
    made.ingest(batch([("a", 1, 1.0)]), contract(), actor="me")
    made.ingest(batch([("a", 1, 2.0)], path="b.csv"), contract(), actor="me")
    with made.ledger.reading() as connection:
        from filiera.ledger import sources

        (record,) = sources.list_quarantine(connection, "scada")
    plain = LakeReader(made, masked=_masked)
    assert "came with" in plain.show_quarantine(record, principal="a", purpose="p").column("detail")[0].as_py()
    reader = LakeReader(made, masked=_masked, declared=lambda _: {"owner": "personal"})
    (row,) = reader.show_quarantine(record, principal="ada", purpose="demo").to_pylist()
    assert (row["reason"], row["raw"], row["detail"]) == ("conflict", WITHHELD, WITHHELD)
    with made.ledger.reading() as connection:
        assert environments.list_exposures(connection)[0]["masked"] == "detail,raw"
