"""Edits of a table in SQL, and what must follow: only another meaning runs it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class SqlEdit:
    """A query before and after an edit, and whether the table must run again."""

    construct: str
    before: str
    after: str
    reruns: bool
    settings: Mapping[str, Any] = field(default_factory=dict)
    other: Mapping[str, Any] | None = None  #: settings after the edit; None = the same
    coarse: str = ""  #: why the key changes although the result does not
    gains: str = ""  #: a column that both sources get with the edit


PLAIN = "SELECT at, device, load * 1.1 AS load FROM readings WHERE load > 3"
KEYS = "SELECT at, device"


def _same(construct: str, before: str, after: str, **more: Any) -> SqlEdit:
    return SqlEdit(construct, before, after, False, **more)


def _other(construct: str, before: str, after: str, **more: Any) -> SqlEdit:
    return SqlEdit(construct, before, after, True, **more)


def _swap(construct: str, text: str, old: str, new: str, *, reruns: bool = True, **more: Any) -> SqlEdit:
    assert old in text, construct
    return SqlEdit(construct, text, text.replace(old, new, 1), reruns, **more)


LONG = f"""{KEYS}, CASE WHEN temp > 2 THEN 'warm' ELSE 'cold' END AS kind,
  AVG(load) OVER (PARTITION BY device ORDER BY at) AS mean
FROM readings WHERE NOT (load < 1 AND n = 2) OR device IN ('a', 'b')"""
JOINED = "SELECT r.at, r.device, r.load, w.wind FROM readings r JOIN weather w ON r.at = w.at AND r.device = w.device"
CTE = f"WITH high AS (SELECT * FROM readings WHERE load > 3) {KEYS}, load FROM high"
GROUPED = "SELECT device, MIN(at) AS at, SUM(load) AS total FROM readings GROUP BY device HAVING SUM(load) > 2"
NUMBERED = f"{KEYS}, ROW_NUMBER() OVER (PARTITION BY device ORDER BY load DESC) AS place FROM readings"
LEAST = f"{KEYS}, load FROM readings WHERE load > :least"
PICKED = f"{KEYS}, load FROM readings WHERE device IN :names"

EDITS = (
    # ---- what has no meaning
    _swap("layout", PLAIN, ", load * 1.1 AS load FROM", ",\n\tload*1.1   AS load\nFROM", reruns=False),
    _swap("comment to the end of the line", PLAIN, " FROM", " -- it's scaled\nFROM", reruns=False),
    _swap("comment in a comment", PLAIN, "SELECT", "/* a /* b */ c */ SELECT", reruns=False),
    _swap("semicolon", PLAIN, "> 3", "> 3 ;", reruns=False),
    _same("letter case of the language", PLAIN, PLAIN.replace("SELECT", "select").replace("AS", "as").replace("FROM", "From")),
    _same("letter case of functions", GROUPED, GROUPED.replace("SUM", "sum").replace("MIN", "Min")),
    _same("letter case of types", f"{KEYS}, CAST(n AS DOUBLE) AS x FROM readings", f"{KEYS}, cast(n as double) AS x FROM readings"),
    _swap("brackets around a condition", PLAIN, "load > 3", "((load > 3))", reruns=False),
    _swap("brackets around a product", PLAIN, "load * 1.1", "(load * 1.1)", reruns=False),
    _swap("brackets that say the order that there is", LONG, "load < 1 AND n = 2", "(load < 1) AND (n = 2)", reruns=False),
    _swap("brackets around a whole case", LONG, "CASE WHEN temp > 2", "CASE WHEN (temp > 2)", reruns=False),
    _swap("layout over several lines", LONG, "OVER (PARTITION BY device ORDER BY at)", "over ( partition\n by device order  by at )", reruns=False),
    _swap("layout of a common table", CTE, "(SELECT * FROM", "(\n  SELECT *\n  FROM", reruns=False),
    _swap("brackets in a common table", CTE, "load > 3", "(load > 3)", reruns=False),
    _swap("brackets around ON", JOINED, "r.at = w.at AND r.device = w.device", "(r.at = w.at AND (r.device = w.device))", reruns=False),
    _swap("brackets around a setting", LEAST, ":least", "(:least)", reruns=False, settings={"least": -1.5}),
    _same("the same value of a setting", LEAST, LEAST, settings={"least": 2}, other={"least": 2}),
    # ---- what has another meaning
    _swap("another number", PLAIN, "1.1", "1.2"),
    _swap("another column", PLAIN, "load * 1.1", "temp * 1.1"),
    _swap("another comparison", PLAIN, "> 3", ">= 3"),
    _swap("another name of the result", PLAIN, "AS load", "AS high"),
    _swap("letter case of a name", PLAIN, "AS load", "AS Load"),
    _swap("letter case of a name that is a word of the language", f"{KEYS}, load AS date FROM readings", "AS date", "AS DATE"),
    _swap("letter case in a text", f"{KEYS}, load FROM readings WHERE device = 'a'", "'a'", "'A'"),
    _swap("blanks in a text", f"{KEYS}, 'a b' AS x FROM readings", "'a b'", "'a  b'"),
    _swap("a comment's marks in a text", f"{KEYS}, 'a--b' AS x FROM readings", "'a--b'", "'a--c'"),
    _swap("brackets that change the order", f"{KEYS}, load + n * 2 AS x FROM readings", "load + n", "(load + n)"),
    _swap("brackets of AND and OR", f"{KEYS} FROM readings WHERE load > 3 AND n = 1 OR device = 'b'", "n = 1 OR device = 'b'", "(n = 1 OR device = 'b')"),
    _swap("brackets of NOT", f"{KEYS} FROM readings WHERE NOT load > 3 AND n = 1", "load > 3 AND n = 1", "(load > 3 AND n = 1)"),
    _swap("brackets of a minus", f"{KEYS}, 10 - n - 1 AS x FROM readings", "n - 1", "(n - 1)"),
    _swap("a minus that becomes a comment", f"{KEYS}, n - -1 AS x FROM readings", "- -1", "--1\n"),
    _swap("type of a cast that a parser may call the same", f"{KEYS}, CAST(load * 1.1 AS FLOAT) AS x FROM readings", "FLOAT", "REAL"),
    _swap("whole numbers", f"{KEYS}, load::double AS x FROM readings", "double", "int"),
    _swap("IS and IS NOT", f"{KEYS} FROM readings WHERE temp IS NULL", "IS NULL", "IS NOT NULL"),
    _swap("DISTINCT", "SELECT n, COUNT(device) AS k FROM readings GROUP BY n", "COUNT(device)", "COUNT(DISTINCT device)"),
    _swap("UNION and UNION ALL", "SELECT n FROM readings UNION SELECT n FROM readings", "UNION", "UNION ALL"),
    _swap("kind of join", JOINED, "JOIN", "LEFT JOIN"),
    _swap("condition of a join", JOINED, "r.at = w.at AND r", "r"),
    _swap("table of a column", JOINED, "r.load", "w.load"),
    _swap("frame of a window", f"{KEYS}, SUM(load) OVER (ORDER BY at, device ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS x FROM readings", "(ORDER BY at, device ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)", "()"),
    _swap("order of a window", NUMBERED, "load DESC", "load"),
    _swap("partition of a window", NUMBERED, "PARTITION BY device ", ""),
    _swap("where a common table looks", CTE, "load > 3", "load > 1"),
    _swap("HAVING", GROUPED, "> 2", "> 10"),
    _swap("GROUP BY ALL", "SELECT device, n, SUM(load) AS x FROM readings GROUP BY ALL", "device, n", "n"),
    _swap("columns left out", "SELECT * EXCLUDE (temp) FROM readings", "temp", "n"),
    _swap("LIMIT", f"{KEYS} FROM readings ORDER BY at, device LIMIT 2", "2", "3"),
    _swap("NULLS FIRST", f"{KEYS}, temp FROM readings ORDER BY temp NULLS FIRST LIMIT 1", "NULLS FIRST", "NULLS LAST"),
    _swap("LIKE", f"{KEYS} FROM readings WHERE device LIKE 'a%'", "a%", "b%"),
    _swap("texts put together", f"{KEYS}, device || '-' || n AS x FROM readings", "'-'", "'+'"),
    _swap("a date", f"{KEYS} FROM readings WHERE at >= '2024-01-01 02:00'", "02:00", "03:00"),
    _swap("a table", "SELECT at, device, load FROM readings", "readings", "weather"),
    _swap("a subquery", f"{KEYS} FROM readings WHERE load > (SELECT AVG(load) FROM weather)", "AVG", "MIN"),
    _other("value of a setting", LEAST, LEAST, settings={"least": 1}, other={"least": 4}),
    _other("sign of a setting", f"{KEYS}, n -:by AS x FROM readings", f"{KEYS}, n -:by AS x FROM readings", settings={"by": 1}, other={"by": -1}),
    _other("list of a setting", PICKED, PICKED, settings={"names": ["a"]}, other={"names": ["a", "b"]}),
    _other("a setting that looks like SQL", PICKED.replace("IN :names", "= :name"), PICKED.replace("IN :names", "= :name"), settings={"name": "a"}, other={"name": "a' OR 'a' = 'a"}),
    # ---- a column that a source gains
    _same("a column that nobody reads", PLAIN, PLAIN, gains="extra"),
    _same("a column that a join does not read", JOINED, JOINED, gains="extra"),
    _same("a column beside a named list", CTE.replace("*", "at, device, load"), CTE.replace("*", "at, device, load"), gains="extra"),
    _same("a column beside COUNT(*)", "SELECT device, COUNT(*) AS k FROM readings GROUP BY device", "SELECT device, COUNT(*) AS k FROM readings GROUP BY device", gains="extra"),
    _same("a column that is called like what the query makes", f"{KEYS}, load + 1 AS extra FROM readings", f"{KEYS}, load + 1 AS extra FROM readings", gains="extra"),
    _other("a column of *", "SELECT * FROM readings", "SELECT * FROM readings", gains="extra"),
    _other("a column of a table's *", "SELECT r.* FROM readings r", "SELECT r.* FROM readings r", gains="extra"),
    _other("a column beside those left out", "SELECT * EXCLUDE (temp) FROM readings", "SELECT * EXCLUDE (temp) FROM readings", gains="extra"),
    _other("a column that a pattern finds", "SELECT COLUMNS('.*') FROM readings", "SELECT COLUMNS('.*') FROM readings", gains="extra"),
    _other("a column of a * in quotes", 'SELECT "*" FROM readings', 'SELECT "*" FROM readings', gains="extra"),
    _other("a column of a name that is a pattern", 'SELECT at, "^ex.*$|^load$" FROM readings', 'SELECT at, "^ex.*$|^load$" FROM readings', gains="extra"),
    _other("a column that a pattern in a function in quotes finds", 'SELECT "Columns"(\'e.*\') FROM readings', 'SELECT "Columns"(\'e.*\') FROM readings', gains="extra"),
    _same("a column beside names in quotes", 'SELECT "at", "load" AS "a *" FROM readings', 'SELECT "at", "load" AS "a *" FROM readings', gains="extra"),
    _same("a column of the * of a common table", CTE, CTE, gains="extra", coarse="a * reads every column"),
    # ---- coarse
    _swap("another word for a type", f"{KEYS}, CAST(n AS INT) AS x FROM readings", "INT", "INTEGER", reruns=False, coarse="words for types are not compared"),
    _swap("quotes around a name", PLAIN, "load * 1.1", '"load" * 1.1', reruns=False, coarse="a name is taken as it is written"),
    _swap("sides of a sum", f"{KEYS}, load + n AS x FROM readings", "load + n", "n + load", reruns=False, coarse="no algebra"),
)  # fmt: skip
