"""Does the key of a table in SQL change exactly when its result may? Every edit is proved by running both queries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from edits.sql import EDITS, SqlEdit
from filiera.authoring import sql
from filiera.code.project import Project
from filiera.core.asset import Table
from filiera.core.key import columns_read, settings_of
from filiera.runner.definitions import Defined
from filiera.runner.sql import rows
from filiera.runner.sqltable import Queries

TYPES = {
    "readings": {"at": "time", "device": "category", "load": "float", "temp": "float", "n": "integer"},
    "weather": {"at": "time", "device": "category", "wind": "float", "load": "float"},
}
HOURS = pa.array(
    [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=i // 2) for i in range(8)], pa.timestamp("us", "UTC")
)
DEVICES = pa.array(["a", "b"] * 4).dictionary_encode()
ROWS = {
    "readings": pa.table({"at": HOURS, "device": DEVICES, "load": [1.0, 2.5, 3.0, 4.1, 5.0, 3.3, 0.5, 7.0],
                          "temp": [1.0, None, 3.0, 4.0, 2.0, None, 1.5, 9.0], "n": [1, 2, 1, 2, 3, 1, 2, 3]}),
    "weather": pa.table({"at": HOURS[:6], "device": DEVICES[:6], "wind": [3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
                         "load": [9.0, 8.0, 7.0, 6.0, 5.0, 4.0]}),
}  # fmt: skip


def described(root: Path, text: str, settings: Mapping[str, Any], gained: str) -> Table:
    sources = {
        name: {"key": [], "time": "at", "device": None, "types": {**types, **({gained: "float"} if gained else {})}}
        for name, types in TYPES.items()
    }
    project = Project(root, {"polars": "1"})
    defined = {"features": Defined("features", "pipeline", "features", sql(text, **settings))}
    return Queries(project, defined, dict.fromkeys([*sources, "features"], False), sources).table("features")


def result(table: Table, gained: str) -> Any:
    """What it gives from what it is handed."""
    inputs = {}
    for port in table.inputs:
        given = ROWS[port.asset]
        if gained:
            given = given.append_column(gained, pa.array([float(i) for i in range(given.num_rows)]))
        inputs[port.asset] = given.select(columns_read(table, port.asset, ("device",), "at") or given.column_names)
    found = rows(table.query, table.settings, inputs, table.name)
    types = {field.name: str(field.type).replace("large_", "") for field in found.schema}
    return types, sorted(map(repr, found.to_pylist()))


def key(table: Table, gained: str) -> Any:
    """What of the key an edit can reach: code, settings, and of each input which columns are looked at."""
    whole = {port.asset: gained for port in table.inputs if port.asset not in table.columns}
    return table.code.digest, settings_of(table), [port.asset for port in table.inputs], whole if gained else {}


def test_no_edit_is_there_twice() -> None:
    names = [edit.construct for edit in EDITS]
    assert sorted(set(names)) == sorted(names)
    assert len(EDITS) >= 60


@pytest.mark.parametrize("edit", EDITS, ids=[edit.construct for edit in EDITS])
def test_a_table_in_sql_runs_again_exactly_when_its_result_may_differ(tmp_path: Path, edit: SqlEdit) -> None:
    before = described(tmp_path, edit.before, edit.settings, "")
    after = described(tmp_path, edit.after, edit.settings if edit.other is None else edit.other, edit.gains)
    one, other = result(before, ""), result(after, edit.gains)
    assert (one != other) == edit.reruns, f"a wrong case: {one} and {other}"
    same = key(before, "") == key(after, edit.gains)
    if edit.reruns:
        assert not same, "stale"
    else:
        assert same == (not edit.coarse), "needless" if not edit.coarse else "no longer coarse"
