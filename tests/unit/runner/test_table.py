"""Tables: rows in the form a function asked for, and its result checked before it is kept."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.engine.memory import SharedBuffer
from filiera.errors import WorkError
from filiera.runner.frames import from_frame, ipc_writer, one_schema, read_ipc, to_frame
from filiera.runner.table import compute

DAY_US = 86_400_000_000
UTC_US = pa.timestamp("us", "UTC")
ROWS = pa.table(
    {
        "turbine": pa.array(["b", "a", "b", "a"]).dictionary_encode(),
        "at": pa.array([0, 0, DAY_US, DAY_US], UTC_US),
        "wind": pa.array([1.0, None, 3.0, 4.0]),
        "state": pa.array([1, None, 3, 4]),
        "count": pa.array([1, 2, 3, 4]),
        "on": pa.array([True, None, False, True]),
        "note": pa.array(["x", None, "", "y"]),
    }
)
PIPELINE = """
import pandas as pd, polars as pl, pyarrow as pa
def same(scada): return scada
def fewer(scada): return scada.drop(columns=["turbine"])
def timeless(scada): return scada.drop(columns=["at"])
def doubled(scada): return pd.concat([scada, scada])
def holes(scada): return scada.assign(at=scada["at"].where(scada["at"].dt.day == 1))
def keyless(scada): return scada.assign(turbine=None).astype({"turbine": "str"})
def nothing(scada): scada.sum
def shuffled(scada): return scada.sort_values("wind")
def indexed(scada): return scada.set_index(["turbine"]).assign(turbine=scada["turbine"].to_numpy())
def setting(scada, *, factor): return scada.assign(wind=scada["wind"] * factor)
def both(scada, weather):
    assert isinstance(scada, pl.DataFrame) and isinstance(weather, pa.Table)
    return scada.with_columns(rows=weather.num_rows)
def none(scada): return pd.DataFrame(columns=["turbine", "at", "wind"])
def daily(scada):
    days = scada.assign(day=scada["at"].dt.floor("D"))
    return days.groupby(["turbine", "day"], observed=True)[["wind"]].mean().reset_index()
"""


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    (tmp_path / "rows_pipeline.py").write_text(PIPELINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    yield
    import sys

    sys.modules.pop("rows_pipeline", None)


def handed_over(table):
    """A table in sealed memory, as a task gets it."""
    buffer = SharedBuffer.written(ipc_writer(table))
    view = buffer.view()
    buffer.close()
    return view


def run(name, *, tables=(ROWS,), ports=(("scada", "pandas"),), key=("turbine", "at"), low=None, high=None, **settings):
    arguments = {
        "module": "rows_pipeline", "name": name, "settings": settings, "key": list(key), "time": "at",
        "ports": [{"asset": asset, "frame": frame} for asset, frame in ports], "low_us": low, "high_us": high,
    }  # fmt: skip
    emitted = []
    value = compute(arguments, [handed_over(table) for table in tables], emitted.append)
    return read_ipc(SharedBuffer.written(emitted[0]).view()), value


def plain(table):
    """Rows without the order of their dictionary."""
    return [{name: str(value) for name, value in row.items()} for row in table.to_pylist()]


@pytest.mark.parametrize("frame", ["pandas", "polars", "pyarrow"])
def test_a_function_that_returns_its_rows_changes_nothing(pipeline, frame):
    found, value = run("same", ports=[("scada", frame)])
    assert found.schema.types == [pa.dictionary(pa.int32(), pa.string()), UTC_US, *ROWS.schema.types[2:]]
    assert plain(found) == plain(ROWS.take([1, 0, 3, 2]))
    assert value == {"rows": 4, "time": "at", "warnings": []}


def test_rows_come_sorted_by_time_and_key_whatever_the_function_did(pipeline):
    assert plain(run("shuffled")[0]) == plain(run("same")[0])


def test_rows_outside_the_part_are_dropped(pipeline):
    found, _ = run("same", low=DAY_US, high=2 * DAY_US)
    assert found.column("count").to_pylist() == [4, 3]


def test_settings_arrive(pipeline):
    assert run("setting", factor=2.0)[0].column("wind").to_pylist() == [None, 2.0, 8.0, 6.0]


def test_each_parameter_gets_its_own_rows_in_its_own_form(pipeline):
    found, _ = run("both", tables=[ROWS, ROWS.slice(0, 3)], ports=[("scada", "polars"), ("weather", "pyarrow")])
    assert set(found.column("rows").to_pylist()) == {3}


def test_the_time_of_a_result_may_be_one_of_its_own_key(pipeline):
    found, value = run("daily", key=["turbine", "day"], low=0, high=DAY_US)
    assert value["time"] == "day"
    assert found.num_rows == 2


def test_a_part_may_have_no_rows_and_so_no_types(pipeline):
    found, value = run("none", low=0, high=DAY_US)
    assert found.num_rows == 0
    assert value["time"] is None


def test_parts_get_one_schema_and_a_part_without_rows_has_no_say():
    schema = pa.schema([("at", UTC_US), ("wind", pa.float64())])
    parts = [
        pa.table({"wind": pa.array([], pa.null()), "at": pa.array([], pa.null())}),
        pa.table({"at": pa.array([1], UTC_US), "wind": [1]}),
        pa.table({"wind": [0.5], "at": pa.array([2], UTC_US)}),
    ]
    found = one_schema(parts, "t", time="at")
    assert [part.schema for part in found] == [schema] * 3
    assert pa.concat_tables(found).column("wind").to_pylist() == [1.0, 0.5]
    assert one_schema(parts[:1], "t", time="at")[0].schema.field("at").type == UTC_US


def test_rows_that_stay_decide_the_type_of_new_parts():
    before = {"wind": pa.int64()}
    assert one_schema([pa.table({"wind": [2.0]})], "t", time=None, before=before)[0].column("wind").to_pylist() == [2]
    with pytest.raises(WorkError, match="not of one type"):
        one_schema([pa.table({"wind": [2.5]})], "t", time=None, before=before)


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([{"a": [1]}, {"a": ["x"]}], "table.types_differ"),
        ([{"a": [1]}, {"a": [True]}], "table.types_differ"),
        ([{"a": [2**53 + 1]}, {"a": [0.5]}], "table.types_differ"),
        ([{"a": [1]}, {"a": [1], "b": [1]}], "table.columns_differ"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(parts, code):
    with pytest.raises(WorkError) as caught:
        one_schema([pa.table(part) for part in parts], "t", time=None)
    assert caught.value.code == code


def test_an_index_that_is_dropped_is_told(pipeline):
    _, value = run("indexed")
    assert "turbine" in value["warnings"][0]
    assert "reset_index" in value["warnings"][0]


@pytest.mark.parametrize(
    ("name", "more", "code", "told"),
    [
        ("nothing", {}, "table.none", "return"),
        ("fewer", {}, "table.no_key", "turbine"),
        ("timeless", {}, "table.no_key", "at"),
        ("timeless", {"key": ["turbine", "count"], "low": 0, "high": DAY_US}, "table.no_time", "partition"),
        ("doubled", {}, "table.duplicate_key", "more than once"),
        ("holes", {}, "table.null_time", "2 rows"),
        ("holes", {"low": 0, "high": DAY_US}, "table.null_time", "2 rows"),
        ("keyless", {}, "table.null_key", "turbine"),
    ],
)
def test_a_result_that_loses_its_rows_identity_is_refused(pipeline, name, more, code, told):
    with pytest.raises(WorkError) as caught:
        run(name, **more)
    assert caught.value.code == code
    assert told in str(caught.value)


def test_forms_of_rows():
    pandas = to_frame(ROWS, "pandas")
    assert [str(kind) for kind in pandas.dtypes] == [
        "category", "datetime64[us, UTC]", "float64", "Int64", "int64", "boolean", "str",
    ]  # fmt: skip
    assert list(pandas["turbine"].cat.categories) == ["a", "b"]
    polars = to_frame(ROWS, "polars")
    assert polars.schema["at"] == pl.Datetime("us", "UTC")
    assert polars.schema["turbine"] in (pl.Categorical, pl.Enum(["a", "b"]))
    assert to_frame(ROWS, "pyarrow").schema.names == ROWS.schema.names
    array = to_frame(ROWS, "numpy")
    assert array.shape == (4, 3), "numbers only"
    assert np.isnan(array[1, 0])


def test_rows_are_read_where_they_lie_without_a_copy():
    buffer = SharedBuffer.written(ipc_writer(pa.table({"wind": np.arange(1000.0)})))
    view = buffer.view()
    column = to_frame(read_ipc(view), "pyarrow").column("wind").chunk(0).to_numpy()
    start = np.frombuffer(view, np.uint8).__array_interface__["data"][0]
    assert start <= column.__array_interface__["data"][0] < start + len(view)
    assert not column.flags.writeable
    buffer.close()


def test_a_function_may_change_its_frame_and_the_shared_rows_stay():
    buffer = SharedBuffer.written(ipc_writer(pa.table({"wind": [1.0, 2.0]})))
    frame = to_frame(read_ipc(buffer.view()), "pandas")
    frame.loc[frame["wind"] > 1, "wind"] = 0.0
    assert frame["wind"].tolist() == [1.0, 0.0]
    assert read_ipc(buffer.view()).column("wind").to_pylist() == [1.0, 2.0]
    buffer.close()


@pytest.mark.parametrize(
    ("value", "code", "told"),
    [
        (None, "table.none", "return"),
        (pd.Series([1]), "table.form", "Series"),
        (np.ones((2, 2)), "table.form", "ndarray"),
        (pd.concat([pd.DataFrame({"a": [1]})] * 2, axis=1), "table.column_twice", "column a"),
        (pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), "table.column_twice", "column a"),
        (pd.DataFrame({"a": [1, "secret"]}), "table.type", "column a"),
        (pd.DataFrame({"a": [[1]]}), "table.type", "list"),
        (pd.DataFrame({"a": pd.Series([None], dtype=object)}), "table.type", "no value"),
        (pd.DataFrame({"a": pd.to_timedelta([1], "s")}), "table.type", "seconds"),
        (pd.DataFrame({"a": pd.cut([1.0, 2.0], 2)}), "table.type", "interval"),
        (pd.DataFrame({"a": pd.to_datetime([1.0000000012], unit="s")}), "table.type", "microsecond"),
        (pd.DataFrame({"a": np.array([2**63], np.uint64)}), "table.type", "uint64"),
    ],
)
def test_a_result_that_the_lake_cannot_hold_is_refused_with_its_column(value, code, told):
    with pytest.raises(WorkError) as caught:
        from_frame(value, "features")
    assert caught.value.code == code
    assert told in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pd.Categorical([1, 2]), pa.int64()),
        (pd.Categorical(["a", "b"]), pa.dictionary(pa.int32(), pa.string())),
        (np.array([1, 2], np.uint8), pa.int64()),
        (np.array([1, 2], np.float32), pa.float64()),
        ([True, False], pa.bool_()),
        ([dt.date(2020, 1, 1)] * 2, UTC_US),
        (pd.to_datetime(["2020-01-01", "2020-01-02"]), UTC_US),
        (pd.to_datetime(["2020-01-01", "2020-01-02"]).tz_localize("Europe/Paris"), UTC_US),
    ],
)
def test_columns_get_the_types_of_the_lake(column, kind):
    assert from_frame(pd.DataFrame({"a": column}), "x")[0].schema.field("a").type == kind


def test_only_an_index_that_means_something_is_told():
    numbered = pd.DataFrame({"a": [1, 2, 3]})
    assert from_frame(numbered, "x")[1] == []
    assert from_frame(numbered[numbered["a"] > 1], "x")[1] == []
    times = numbered.set_index(pd.to_datetime(["2020-01-01"] * 3))
    assert from_frame(times, "x")[1]


values = {
    "whole": st.none() | st.integers(-(2**63), 2**63 - 1),
    "number": st.none() | st.floats(allow_nan=False),
    "flag": st.none() | st.booleans(),
    "word": st.none() | st.text(st.characters(codec="utf-8")),
    "at": st.none() | st.integers(-(2**50), 2**50),
}


@given(
    st.lists(st.fixed_dictionaries(values), min_size=1, max_size=20), st.sampled_from(["pandas", "polars", "pyarrow"])
)
def test_rows_survive_the_way_into_a_frame_and_back(rows, form):
    schema = pa.schema(
        [("whole", pa.int64()), ("number", pa.float64()), ("flag", pa.bool_()), ("word", pa.string()), ("at", UTC_US)]
    )
    table = pa.table({name: pa.array([row[name] for row in rows], schema.field(name).type) for name in schema.names})
    found, notes = from_frame(to_frame(read_ipc(handed_over(table)), form), "x")
    assert found.schema == schema
    assert found.combine_chunks() == table.combine_chunks()
    assert notes == []
