"""The newest rows of devices: found from the newest day backwards, through the Reader, whatever the table's key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from versions import version

from filiera.clock import SystemClock
from filiera.core.contract import OPEN
from filiera.core.snapshot import Snapshot
from filiera.dimensions.context import Context
from filiera.errors import ContractError, DeniedError, NotFoundError
from filiera.lake.access import LakeReader
from filiera.lake.table import Lake
from filiera.ledger import environments
from filiera.overview import newest_rows
from filiera.serve.schema import MOST_RECORDS
from lakes import Row, batch, contract, open_lake

VALUE = version(inputs=({"name": "value", "type": "float"},))


class Windows(Context):
    """Remembers what was asked of the Reader."""

    asked: list[tuple[int | None, int | None]]

    def read(self, snapshot: Snapshot, columns: Any = None, low_us: Any = None, high_us: Any = None) -> pa.Table:
        self.asked.append((low_us, high_us))
        return Context.read(self, snapshot, columns, low_us, high_us)


def opened(lake: Lake) -> Windows:
    found = Windows(
        settings=None, ledger=lake.ledger, lake=lake, reader=LakeReader(lake, masked=lambda word: word != OPEN),
        prices=None, clock=SystemClock(), principal="ada", purpose="demo",
        fingerprint=lambda text, _: text, environ={},
    )  # type: ignore[arg-type]  # fmt: skip
    found.asked = []
    return found


def filled(folder: Path, *parts: Sequence[Row]) -> tuple[Lake, Windows]:
    lake = open_lake(folder)
    for number, rows in enumerate(parts):
        lake.ingest(batch(rows, path=f"{number}.csv"), contract(), actor="me")
    return lake, opened(lake)


def test_devices_of_the_newest_day_cost_one_read_of_one_day(tmp_path: Path) -> None:
    lake, context = filled(tmp_path, [("a", day, float(day)) for day in range(400)], [("b", 399, 1.0), ("b", 1, 2.0)])
    found = newest_rows(context, lake.snapshot("scada"), VALUE, ["b", "a", "b"])
    assert found == [{"value": 1.0}, {"value": 399.0}, {"value": 1.0}]
    assert len(context.asked) == 1
    with lake.ledger.reading() as connection:
        (exposure,) = environments.list_exposures(connection)
    assert (exposure["principal"], exposure["purpose"], exposure["columns"]) == ("ada", "demo", "device,value")
    assert exposure["rows"] == 2


@pytest.mark.parametrize(
    ("silent_since", "reads"), [(399, 1), (398, 2), (391, 2), (390, 3), (327, 3), (326, 4), (0, 4)]
)
def test_a_silent_device_is_looked_for_in_ever_wider_windows_that_do_not_overlap(
    tmp_path: Path, silent_since: int, reads: int
) -> None:
    lake, context = filled(tmp_path, [("a", day, 0.0) for day in range(400)], [("b", silent_since, 5.0)])
    assert newest_rows(context, lake.snapshot("scada"), VALUE, ["b", "a"]) == [{"value": 5.0}, {"value": 0.0}]
    assert len(context.asked) == reads
    bounds = [low for low, _ in context.asked[:-1]]
    assert [high for _, high in context.asked[1:]] == bounds


def test_an_unknown_device_is_looked_for_to_the_beginning_and_the_nearest_named(tmp_path: Path) -> None:
    lake, context = filled(tmp_path, [("pump-1", 1, 1.0), ("pump-2", 300, 1.0)])
    with pytest.raises(NotFoundError, match="no row of device pmp-1") as caught:
        newest_rows(context, lake.snapshot("scada"), VALUE, ["pump-2", "pmp-1"])
    assert "pump-1" in caught.value.next


def test_of_a_crowd_of_devices_no_list_is_sent(tmp_path: Path) -> None:
    lake, context = filled(tmp_path, [(f"meter-{n}", 1, 1.0) for n in range(1500)])
    with pytest.raises(NotFoundError) as caught:
        newest_rows(context, lake.snapshot("scada"), VALUE, ["x" * 10_000])
    assert caught.value.next == "1,500 devices are known"
    assert len(str(caught.value)) < 300


def test_a_missing_value_is_null_and_the_device_may_be_an_input(tmp_path: Path) -> None:
    lake, context = filled(tmp_path, [("a", 1, 1.0), ("a", 2, None)])
    both = version(inputs=({"name": "device", "type": "category"}, {"name": "value", "type": "float"}))
    assert newest_rows(context, lake.snapshot("scada"), both, ["a"]) == [{"device": "a", "value": None}]


def test_no_device_asks_for_nothing_and_too_many_are_refused(tmp_path: Path) -> None:
    lake, context = filled(tmp_path, [("a", 1, 1.0)])
    assert newest_rows(context, lake.snapshot("scada"), VALUE, []) == []
    with pytest.raises(ContractError, match="too many devices"):
        newest_rows(context, lake.snapshot("scada"), VALUE, ["a"] * (MOST_RECORDS + 1))
    assert context.asked == []


def test_a_table_that_knows_no_device_says_so(tmp_path: Path) -> None:
    lake, context = filled(tmp_path, [("a", 1, 1.0)])
    with pytest.raises(ContractError, match="belong to none") as caught:
        newest_rows(context, replace(lake.snapshot("scada"), key=("at",)), VALUE, ["a"])
    assert (caught.value.code, caught.value.found) == ("predict.no_device", "key at")


def test_masked_devices_cannot_be_asked_by(tmp_path: Path) -> None:
    lake, context = filled(tmp_path, [("a", 1, 1.0)])
    with pytest.raises(DeniedError, match="is masked"):
        newest_rows(context, replace(lake.snapshot("scada"), key=("owner", "at")), VALUE, ["Ada NEEDLE"])


def derived(lake: Lake, rows: pa.Table, time: str | None) -> Snapshot:
    return lake.replace_slices(
        "table", None, [(None, None, rows)], key=tuple(name for name in ("device", time) if name), time=time,
        classes={}, units={}, actor="me", effects=lambda _tx, _snapshot: None,
    )  # fmt: skip


def test_booleans_stay_booleans_and_no_number_is_a_null(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    rows = pa.table(
        {
            "device": ["a", "b"],
            "at": pa.array([1, 2], pa.timestamp("us", "UTC")),
            "morning": [True, False],
            "value": [float("nan"), 2.5],
        }
    )
    wanted = version(inputs=({"name": "morning", "type": "boolean"}, {"name": "value", "type": "float"}))
    found = newest_rows(opened(lake), derived(lake, rows, "at"), wanted, ["a", "b"])
    assert found == [{"morning": True, "value": None}, {"morning": False, "value": 2.5}]
    assert found[0]["morning"] is True


def test_a_table_without_time_is_read_as_a_whole_and_devices_may_be_numbers(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    context = opened(lake)
    snapshot = derived(lake, pa.table({"device": [7, 8], "value": [1.0, 2.0]}), None)
    assert newest_rows(context, snapshot, VALUE, ["8", "7"]) == [{"value": 2.0}, {"value": 1.0}]
    assert context.asked == [(None, None)]


def test_an_empty_table_knows_nobody(tmp_path: Path) -> None:
    lake, context = filled(tmp_path, [("a", 1, 1.0)])
    nobody = replace(lake.snapshot("scada"), number=0, rows=0, low_us=None, high_us=None)
    with pytest.raises(NotFoundError) as caught:
        newest_rows(context, nobody, VALUE, ["a"])
    assert caught.value.next == "there is none yet"
