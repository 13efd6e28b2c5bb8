"""What a query reads, its canonical text, and how a bad one is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.authoring import sql
from filiera.code.project import Project
from filiera.core.asset import Frame, Table
from filiera.core.asset_json import graph_from_json, graph_to_json
from filiera.errors import CodeError
from filiera.runner.definitions import Defined
from filiera.runner.query import canonical, parse
from filiera.runner.queryreads import columns, tables
from filiera.runner.sql import bound
from filiera.runner.sqlcheck import Check, source_schema
from filiera.runner.sqltable import Queries

READINGS = {"at": "time", "device": "category", "load": "float", "temp": "float", "n": "integer"}
WEATHER = {"at": "time", "device": "category", "wind": "float", "load": "float"}
SOURCES = {
    name: {"key": ["device", "at"], "time": "at", "device": "device", "columns": list(types), "types": types}
    for name, types in {"readings": READINGS, "weather": WEATHER}.items()
}
KEYS = "SELECT at, device"


def table(
    text: str, *, others: dict[str, str] | None = None, key: Sequence[str] | None = None, **settings: Any
) -> Table:
    """The table `late`, in a project with two sources, a table `made` in Python, a model, and other queries."""
    queries = {"late": sql(text, key=key, **settings)} | {name: sql(query) for name, query in (others or {}).items()}
    defined = {name: Defined(name, "pipeline", name, query) for name, query in queries.items()}
    assets = dict.fromkeys([*SOURCES, *queries, "made"], False) | {"power": True}
    return Queries(Project(Path(__file__).parent, {"polars": "2.1"}), defined, assets, SOURCES).table("late")


def read(text: str, **more: Any) -> dict[str, tuple[str, ...]]:
    return dict(table(text, **more).columns)


def test_inputs_come_in_the_order_of_the_text_as_tables_of_polars() -> None:
    within = "WHERE n IN (SELECT n FROM readings)"
    found = table(f"WITH w AS (SELECT * FROM weather) {KEYS}, x FROM made JOIN w USING (at) {within}")
    assert [port.asset for port in found.inputs] == ["weather", "made", "readings"]
    assert {port.frame for port in found.inputs} == {Frame.POLARS}


def test_the_key_is_the_query_and_polars_and_nothing_else() -> None:
    manifest = table(f"{KEYS} FROM readings").code.manifest
    assert manifest["libraries"] == {"polars": "2.1"}
    assert list(manifest["units"]) == ["query of late"]
    assert not any(manifest[part] for part in ("effects", "order", "flags", "variables", "modules"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{KEYS}, load FROM readings", {"readings": ("at", "device", "load")}),
        ("SELECT COUNT(*) AS device, MIN(at) AS at FROM readings", {"readings": ("at",)}),
        (f"{KEYS} FROM readings ORDER BY temp", {"readings": ("at", "device", "temp")}),
        ("SELECT * FROM readings", {}),
        ("SELECT r.*, w.wind FROM readings r JOIN weather w USING (at, device)", {"weather": ("at", "device", "wind")}),
        ("SELECT r.at, r.device, w.load FROM readings r JOIN weather w USING (at, device)",
         {"readings": ("at", "device"), "weather": ("at", "device", "load")}),
        ("SELECT r.at, r.device, w.load FROM readings r JOIN weather w ON r.at = w.at",
         {"readings": ("at", "device"), "weather": ("at", "load")}),
        ("SELECT at, device FROM readings NATURAL JOIN weather", {}),
        ("SELECT COLUMNS('at|device') FROM readings", {}),
        (f"WITH c AS ({KEYS}, n FROM readings) SELECT * FROM c", {"readings": ("at", "device", "n")}),
        (f"{KEYS} FROM readings WHERE EXISTS (SELECT wind FROM weather)",
         {"readings": ("at", "device"), "weather": ("wind",)}),
        (f"{KEYS}, n FROM readings WHERE load > (SELECT AVG(wind) FROM weather)",
         {"readings": ("at", "device", "load", "n"), "weather": ("wind",)}),
        (f"{KEYS} FROM readings r WHERE EXISTS (SELECT wind FROM weather WHERE weather.at = r.at AND load > temp)",
         {"readings": ("at", "device", "load", "temp"), "weather": ("at", "wind", "load")}),
        (f"WITH c AS (SELECT at, device, load AS n FROM readings) "
         f"{KEYS}, c.n, R.temp FROM c JOIN readings r USING (at, device)",
         {"readings": ("at", "device", "load", "temp")}),
        (f"{KEYS} FROM readings UNION ALL SELECT at, device FROM weather",
         {"readings": ("at", "device"), "weather": ("at", "device")}),
        ("FROM readings", {}),
    ],
)  # fmt: skip
def test_columns_are_read_from_the_query(text: str, expected: dict[str, tuple[str, ...]]) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{KEYS}, hour FROM made", {"made": ("at", "device", "hour")}),
        (f"{KEYS}, hour + 1 AS hour FROM made", {}),  # the name that is made may be the name that is read
        (f"{KEYS}, hour FROM made ORDER BY ALL", {}),
        (f"WITH c AS ({KEYS}, hour FROM made) SELECT c.at, c.device, c.hour FROM c",
         {"made": ("at", "device", "hour")}),
        ("SELECT m.at, m.device, r.load FROM made m JOIN readings r ON m.at = r.at",
         {"made": ("at", "device"), "readings": ("at", "load")}),
        ("SELECT m.at, m.device, load FROM made m JOIN readings r ON m.at = r.at", {"readings": ("at", "load")}),
    ],
)  # fmt: skip
def test_of_a_table_that_is_not_known_yet_columns_are_named_where_there_is_no_doubt(
    text: str, expected: dict[str, tuple[str, ...]]
) -> None:
    assert read(text) == expected


def test_the_columns_of_one_query_are_known_to_the_next() -> None:
    assert read(f"{KEYS}, high FROM other", others={"other": f"{KEYS}, load AS high, n FROM readings"}) == {
        "other": ("at", "device", "high")
    }
    with pytest.raises(CodeError, match="no input has a column `hihg`") as caught:
        table(f"{KEYS}, hihg FROM other", others={"other": f"{KEYS}, load AS high, n FROM readings"})
    assert caught.value.next == "did you mean high?"


@pytest.mark.parametrize(
    ("text", "says", "place"),
    [
        (f"{KEYS} FROM reading", "did you mean readings?", "line 1, column 24 of the query"),
        (f"{KEYS},\n  lod FROM readings", "did you mean load?", "line 2, column 3 of the query"),
        (f"{KEYS}\nFORM readings", "not understood at `readings`", "line 2, column 6 of the query"),
        (f"{KEYS} FROM readings WHERE", "not understood at `WHERE`", "line 1, column 33 of the query"),
        (f"{KEYS} FROM readings WHERE device = 'a", "a quote in the query is not closed", ""),
        (f"{KEYS} FROM power", "`power` is no table", "line 1, column 24 of the query"),
        (f"{KEYS} FROM late", "`late` is no table", "line 1, column 24 of the query"),
        (f"{KEYS} FROM main.readings", "`main.readings` is no table", ""),
        (f"{KEYS} FROM 'data/x.parquet'", "is no table", ""),
        ("SELECT * FROM read_csv('x.csv')", "`read_csv` reads a file", "line 1, column 15 of the query"),
        ('SELECT * FROM readings, "read_parquet"(\'x\')', "reads a file", ""),
        ("SELECT * FROM readings, (SELECT * FROM READ_JSON('x')) x", "reads a file", ""),
        (f"WITH readings AS (SELECT * FROM readings) {KEYS} FROM readings", "a table and a name of WITH", ""),
        (f"{KEYS}, foo(load) FROM readings", "unsupported function 'foo'", ""),
        (f"{KEYS}, foo(hour) FROM made", "unsupported function 'foo'", ""),
        (f"{KEYS} FROM readings WHERE load LIKE 'a%'", "polars refuses the query: expected String type", ""),
        (f"{KEYS} FROM readings; SELECT 1", "one query", ""),
        ("DROP TABLE readings", "one query", ""),
        ("DELETE FROM readings", "one query", ""),
        ("SELECT 1 AS at", "late reads nothing", ""),
        (f"{KEYS} FROM readings WHERE load > ?", "has no name", ""),
        (f"{KEYS} FROM readings WHERE load > :low", "`:low` has no value", "line 1, column 46 of the query"),
        ("SELECT at, load FROM readings", "lacks key column device", ""),
    ],
)  # fmt: skip
def test_a_bad_query_is_refused_with_its_place(text: str, says: str, place: str) -> None:
    with pytest.raises(CodeError) as caught:
        table(text)
    assert says in str(caught.value)
    assert caught.value.where.startswith("test_query.py:")
    assert place in caught.value.where


def test_a_setting_without_a_place_is_refused() -> None:
    with pytest.raises(CodeError, match="setting `partitions` is not in the query"):
        table(f"{KEYS} FROM readings", partitions="day")
    with pytest.raises(CodeError, match="cannot stand in SQL"):
        table(f"{KEYS} FROM readings WHERE load > :low", low={"a": 1})


def test_a_text_that_looks_like_a_setting_is_a_text() -> None:
    assert table(f"{KEYS}, ':low' AS x FROM readings WHERE load::int > :low", low=1).query == (
        "SELECT at , device , ':low' AS x FROM readings WHERE load :: INT > ", "low", "",
    )  # fmt: skip


def test_what_depends_on_the_moment_is_told() -> None:
    assert table(f"{KEYS}, current_timestamp AS made FROM readings").code.manifest["flags"] == [
        "nondeterministic:CURRENT_TIMESTAMP"
    ]
    assert table(f"{KEYS}, load AS now FROM readings").code.manifest["flags"] == []


def test_without_the_parser_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlglot", None)
    with pytest.raises(CodeError, match="need sqlglot") as caught:
        table(f"{KEYS} FROM readings")
    assert "filiera[sql]" in caught.value.next


# ---- the canonical text


def text_of(query: str, **settings: Any) -> tuple[str, ...]:
    return table(query, key=["x"], **settings).query


def test_where_polars_reads_the_canonical_text_in_another_way_the_exact_text_is_kept() -> None:
    query = parse("select  at from readings", "here", [])
    assert canonical(query, lambda text: "".join(text)) == ("select  at from readings",)
    assert canonical(query, lambda text: "the same") == ("SELECT at FROM readings",)


def test_without_a_plan_brackets_stay_and_layout_goes() -> None:
    query = parse("select  at -- c\n from made where (a > :b)", "here", ["b"])
    assert canonical(query, lambda _: None) == ("SELECT at FROM made WHERE ( a > ", "b", " )")


def test_over_a_table_that_is_not_known_yet_layout_and_comments_have_no_meaning() -> None:
    one = table("SELECT at, device, hour FROM made WHERE at > '2024-01-01' AND device LIKE 'a%'")
    other = table("select at,device , hour from made -- why\nwhere at>'2024-01-01' and device like 'a%'")
    assert one.code.digest == other.code.digest


def test_marks_beyond_ascii_keep_their_place() -> None:
    assert text_of("select 'ä€𝄞' as \"größe\", load as x from readings where device = :name", name="ü") == (
        "SELECT 'ä€𝄞' AS \"größe\" , load AS x FROM readings WHERE device = ", "name", "",
    )  # fmt: skip


Tree = Any
LEAVES = st.sampled_from(["load", "temp", "n", "2", "1.5", "-3"])
NUMBERS = st.recursive(
    LEAVES, lambda inner: st.tuples(st.sampled_from(["+", "-", "*", "%"]), inner, inner), max_leaves=5
)


def rendered(tree: Tree, brackets: int) -> str:
    if isinstance(tree, str):
        return tree if not tree.startswith("-") else f"({tree})"
    mark, one, other = tree
    return "(" * brackets + f"{rendered(one, brackets)} {mark} {rendered(other, brackets)}" + ")" * brackets


@given(one=NUMBERS, other=NUMBERS)
def test_needless_brackets_go_and_no_others(one: Tree, other: Tree) -> None:
    single, double, second = (
        f"SELECT {rendered(tree, count)} AS x FROM readings" for tree, count in ((one, 1), (one, 2), (other, 1))
    )
    query = parse(single, "here", [])
    assert tables(query, ["readings"]) == ["readings"]
    assert set(columns(query, {"readings": list(READINGS)})) == {"readings"}
    check = Check(query, {}, {"readings": source_schema(READINGS)})
    found = canonical(query, check.plan)
    assert canonical(parse(double, "here", []), check.plan) == found
    assert check.plan(found) == check.plan(query.exact), bound(found, {})
    if check.plan((second,)) != check.plan(query.exact):
        assert canonical(parse(second, "here", []), check.plan) != found


def test_a_query_is_described_in_a_pipeline(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text(
        textwrap.dedent('''
        import filiera as fl
        import parts

        late = fl.sql("""
            SELECT at, device FROM readings
            WHERE load > :least""", least=3, partition="day", lookback="1h", key=["at"])
        other = parts.other
        ''')
    )
    (tmp_path / "parts.py").write_text('import filiera as fl\nother = fl.sql("SELECT at, device FROM late")\n')
    code = "import sys; sys.path.insert(0, sys.argv[1])\nimport json\nfrom filiera.runner.describe import describe\n"
    code += "print(json.dumps(describe({'root': sys.argv[1], 'sources': json.loads(sys.argv[2])}, (), None)))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), json.dumps(SOURCES)], capture_output=True, text=True, check=True
    )
    graph = graph_from_json(json.loads(done.stdout))
    late, other = graph.tables
    assert (late.name, late.partition, late.lookback_us, late.key) == ("late", "day", 3_600_000_000, ("at",))
    assert (late.settings, late.query[1]) == ({"least": 3}, "least")
    assert [port.asset for port in other.inputs] == ["late"]
    assert graph_to_json(graph) == json.loads(done.stdout)


def test_a_pipeline_without_sql_loads_no_parser(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text("import filiera as fl\n@fl.table\ndef late(readings):\n    return readings\n")
    code = "import sys, json; sys.path.insert(0, sys.argv[1])\nfrom filiera.runner.describe import describe\n"
    code += "describe({'root': sys.argv[1], 'sources': json.loads(sys.argv[2])}, (), None)\n"
    code += "print(sorted({'sqlglot', 'polars'} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), json.dumps(SOURCES)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
