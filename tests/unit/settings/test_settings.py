"""Every key of `docs/reference.md`, wrong in every way: one sentence with file and line, never a traceback."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st

from filiera.collect.pattern import matches
from filiera.cost.prices import Prices
from filiera.errors import SettingsError, UsageError
from filiera.settings import PRICES, Settings, load, parse
from filiera.settings_check import pattern_fault
from filiera.train.value import Worth, parse_stop, parse_worth

REFERENCE = Path(__file__).parents[3] / "docs" / "reference.md"
Place = tuple[str, ...]

#: A project in which every key of the reference stands once, some of them under names of their own.
WHOLE: dict[str, Any] = {
    "project": {"name": "p", "owner": "o", "purposes": ["testing"], "currency": "EUR", "budget": "40 EUR per month",
                "python": ".venv/bin/python"},
    "source": {
        "plant": {"from": "data/*.csv", "device": "device", "time": "at", "file_format": "csv", "delimiter": ";",
                  "decimal": ",", "encoding": "utf-8", "null": ["NA"], "max_record_bytes": 1000,
                  "on_conflict": "quarantine", "files": "append"},
        "plant.columns": {"device": {"type": "category", "values": ["a", "b"]},
                          "at": {"from": "time", "type": "time", "zone": "Europe/Paris", "format": "%Y-%m-%d %H:%M",
                                 "fold": "order"},
                          "load": {"unit": "kW", "from_unit": "W", "range": [0, 1], "optional": True},
                          "driver": {"type": "text", "class": "personal"}},
        "orders": {"from": "orders.csv", "key": ["id"]},
        "orders.columns": {"id": {"type": "integer"}},
    },
    "table": {"features": {"hold_until": "2%"}},
    "model": {"power": {"worth": "20 EUR per kW", "trials": 5, "budget": "5 EUR", "minimum_gain": 0.5,
                        "hold_until": "2 %"},
              "other": {"stop": "0.1 kW costs more than 5 EUR"}},
    "automation": {"ingest": True, "compute": True, "train": True, "up_to": "1 EUR", "month": "20 EUR",
                   "data_quiet": "60s", "data_max_wait": "15min", "code_quiet": "10s", "code_max_wait": "2min",
                   "schedule": "daily 06:00 Europe/Paris", "ref": "main", "drift": True},
    "environment": {"prod": {"approvals": 0}},
    "prices": dict.fromkeys(PRICES, 1.5),
    "keep": {"generations": 5, "prod_generations": 20, "age": "12h", "trash": "30d"},
}  # fmt: skip
TABLES = {
    "[project]": ("project",),
    "[source.NAME]": ("source", "plant"),
    "[source.NAME.columns]": ("source", "plant.columns", "load"),
    "[table.NAME]": ("table", "features"),
    "[model.NAME]": ("model", "power"),
    "[automation]": ("automation",),
    "[keep]": ("keep",),
}
#: Where a key stands in WHOLE, when it is not in the table's usual place.
ELSEWHERE: dict[tuple[str, str], Place] = {
    ("[source.NAME]", "key"): ("source", "orders"),
    ("[model.NAME]", "stop"): ("model", "other"),
    ("[source.NAME.columns]", "class"): ("source", "plant.columns", "driver"),
    ("[source.NAME.columns]", "type"): ("source", "plant.columns", "driver"),
    ("[source.NAME.columns]", "values"): ("source", "plant.columns", "device"),
    **{("[source.NAME.columns]", key): ("source", "plant.columns", "at") for key in ("from", "zone", "format", "fold")},
}


def written(whole: dict[str, Any]) -> str:
    """TOML with one key on each line."""
    lines: list[str] = []
    for top, tables in whole.items():
        named = (
            {top: tables}
            if top in ("project", "prices", "automation", "keep")
            else {f"{top}.{name}": t for name, t in tables.items()}
        )
        for name, table in named.items():
            lines += [f"[{name}]", *(f"{json.dumps(key)} = {value_text(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def value_text(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {value_text(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(value_text, value)) + "]"
    if isinstance(value, float):
        return str(value).replace("Infinity", "inf")
    return json.dumps(value, ensure_ascii=False)


def changed(place: Place, key: str, value: Any, name: str | None = None) -> str:
    """WHOLE with one key set to `value`, or called `name`."""
    whole = json.loads(json.dumps(WHOLE))
    table = whole
    for part in place:
        table = table[part]
    if name is not None:
        table[name] = table.pop(key)
    else:
        table[key] = value
    return written(whole)


def refused(text: str) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        parse(Path("/nowhere"), text)
    error = caught.value
    assert re.fullmatch(r"filiera\.toml:\d+", error.where), error
    assert error.message
    assert error.expected or error.next
    return error


def line_of(text: str, error: SettingsError) -> str:
    return text.splitlines()[int(error.where.split(":")[1]) - 1]


def documented() -> Iterator[tuple[Place, str]]:
    """Place and name of every key in the reference's tables of settings."""
    text = REFERENCE.read_text().split("## Pipeline")[0]
    for part in re.split(r"^### ", text, flags=re.M)[1:]:
        title = re.findall(r"`(\[[\w.]+\])`", part)[0]
        for cells in re.findall(r"^\| (`.*?) \|", part, flags=re.M):
            for key in re.findall(r"`(\w+)`", cells):
                if title == "[environment.NAME]":
                    yield (("environment", "prod") if key == "approvals" else ("prices",)), key
                else:
                    yield ELSEWHERE.get((title, key), TABLES[title]), key


KEYS = sorted(documented())
LENGTHS = ("data_quiet", "data_max_wait", "code_quiet", "code_max_wait")
FLAGS = {"optional", "ingest", "compute", "train", "drift"}
NUMBERS = {"max_record_bytes", "trials", "minimum_gain", "approvals", "generations", "prod_generations", *PRICES}
LISTS = {"purposes", "null", "key", "values", "range"}

WRONG: dict[str, list[Any]] = {
    "name": ["", "Wind Farm", "Öl", "a" * 64, "-a"],
    "owner": ["", "  ", "two\nlines", "a\x00b"],
    "purposes": [[], ["power forecast"], ["Power"], [""], [5]],
    "currency": ["euro", "eur", "€", "", "EURO"],
    "python": ["", "\0"],
    "device": ["devce", "", "at"],
    "time": ["tme", "", "load"],
    "key": [[], ["idd"], ["id", "id"], [5]],
    "file_format": ["CSV", "xlsx", ""],
    "delimiter": ["", ";;", "§", '"', "\n", "a", "1", "."],
    "decimal": ["", ";", "comma"],
    "encoding": ["latin-1", "UTF8", ""],
    "null": [[1], [["NA"]]],
    "max_record_bytes": [0, -1, 2**40],
    "on_conflict": ["newst", ""],
    "files": ["replce", ""],
    "type": ["flaot", "", "string"],
    "unit": ["kw", "", "h"],
    "from_unit": ["kwh", "kWh", ""],
    "range": [[], [1], [2, 1], ["a", "b"], [math.nan, 1.0], [0, math.inf], [0, 1, 2], [True, False]],
    "optional": ["yes"],
    "values": [[], [1]],
    "zone": ["Europe/Pari", "CEST", "", "localtime", "../../etc/passwd"],
    "format": ["%Q", "", "%H:%M", "%d.%m.%Y %H", "%Y-%m-%d %H:%M %Z", "%Y-%m-%d %I:%M", "%d.%m.%Y %H:%M:%S.%f", "%"],
    "fold": ["first", ""],
    "class": ["persnal", "secret", ""],
    "worth": ["", "20", "20 EUR", "20 USD per kW", "banana", "20 EUR per kW per year"],
    "stop": ["", "0 kW costs more than 5 EUR", "0.1 kW costs more than 5 USD", "when it is enough"],
    "trials": [0, -1, 10**12],
    "minimum_gain": [-0.5, math.nan, math.inf],
    "hold_until": ["", "2", "0.02", "-2%", "101%", "2 per cent"],
    "approvals": [-1, 10**6],
    **{name: ["yes"] for name in ("ingest", "compute", "train", "drift")},
    **{name: ["", "1", "1 USD", "-1 EUR"] for name in ("up_to", "month")},
    **{name: ["", "1", "1 month", "-5s", "999999999d"] for name in LENGTHS},
    "schedule": ["", "hourly", "every 10s", "daily 24:00", "daily 06:00 Mars/Base", "every 1h 2h"],
    "ref": ["", "-x", "a b", "--upload-pack=x"],
    "generations": [0, -1, 10**12],
    "prod_generations": [0, 1],
    "age": ["", "7", "7 months", "-1d", "1.5d", "d", "1e3d", "9999999d"],
    "trash": ["", "month", "30 d d"],
    **{name: [-1, math.nan, math.inf] for name in PRICES},
}
WRONG_OF: dict[tuple[str, str], list[Any]] = {
    ("project", "budget"): ["40 EUR", "40 per month", "40 USD per month", "-4 EUR per month",
                            "9" * 30 + " EUR per month"],
    ("model", "budget"): ["5", "5 USD", "-5 EUR", "five EUR"],
    ("source", "from"): ["", " ", "/", ".", "..", "data/", "data/..", "**", "data/**.csv", "~/data/*.csv", "x" * 300,
                         r"C:\data\*.csv", "https://me:hunter2@host/a.csv", "s3://bucket/a.csv", "a\x00b"],
    ("column", "from"): ["", [], [""], [5], ["a", 5]],
}  # fmt: skip


def test_the_reference_and_this_test_know_the_same_keys() -> None:
    wrong = set(WRONG) | {key for _, key in WRONG_OF}
    assert {key for _, key in KEYS} == wrong
    assert set(PRICES) == set(Prices.__dataclass_fields__) - {"currency"}
    parse(Path("/nowhere"), written(WHOLE))


@pytest.mark.parametrize(("place", "key"), KEYS)
def test_a_key_of_the_wrong_type_is_told_with_its_line(place: Place, key: str) -> None:
    wrong = [{"a": 1}, True] if key not in FLAGS else [{"a": 1}, 1]
    wrong += ["5"] if key in NUMBERS | LISTS else [5]
    wrong += [] if key in LISTS or key == "from" else [[1]]
    for value in wrong:
        text = changed(place, key, value)
        error = refused(text)
        held = place[-1] if place[-1] in ("load", "at", "driver", "device") else key
        assert line_of(text, error).startswith(f'"{held}"'), (value, error)


@pytest.mark.parametrize(("place", "key"), KEYS)
def test_a_wrong_value_is_told_with_its_line(place: Place, key: str) -> None:
    kind = "column" if len(place) == 3 else place[0]
    for value in WRONG.get(key, WRONG_OF.get((kind, key), [])):
        text = changed(place, key, value)
        error = refused(text)
        held = place[-1] if len(place) == 3 else key
        shown = line_of(text, error)
        if key != "type" and (key, value) not in (("device", "at"), ("time", "load")):
            assert shown.startswith(f'"{held}"'), (value, error)
        assert "hunter2" not in str(error)


@pytest.mark.parametrize(("place", "key"), KEYS)
def test_a_misspelt_key_names_the_right_one(place: Place, key: str) -> None:
    typo = key[:-1] + "_" + key[-1]
    text = changed(place, key, None, typo)
    error = refused(text)
    assert f"did you mean {key}" in error.next
    assert typo in line_of(text, error)


ODD = [0, -1, 10**30, 1.5, math.nan, math.inf, "", " ", "x", "\0", "ä" * 400, "%", "[", "*", "/", "EUR", "5 EUR", True,
       [], [[]], [1, 2], ["a", "a"], ["", "x"], {}, {"a": {"b": []}}]  # fmt: skip


@pytest.mark.parametrize(("place", "key"), KEYS)
def test_no_value_at_all_gives_a_traceback(place: Place, key: str) -> None:
    for value in ODD:
        with contextlib.suppress(SettingsError):
            read = parse(Path("/nowhere"), changed(place, key, value))
            assert all(source.contract.digest for source in read.sources.values())


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"type": "text"', '"type": "text", "range": [0, 1]', "no `range`"),
        ('"unit": "kW"', '"unit": "kW", "values": ["a"]', "no `values`"),
        ('"unit": "kW"', '"unit": "kW", "zone": "UTC"', "no `zone`"),
        ('"unit": "kW", ', "", "`unit` does not say"),
        ('"zone": "Europe/Paris", ', "", "not local"),
        ('"%Y-%m-%d %H:%M"', '"%s"', "seconds since 1970"),
        ('"%Y-%m-%d %H:%M"', '"%Y-%m-%d %H:%M %z"', "not local"),
        ('"delimiter": ";", ', "", "both a comma"),
        ('"file_format": "csv"', '"file_format": "jsonl"', "no `delimiter`"),
        ('"type": "integer"', '"type": "integer", "optional": true', "in the key"),
        ('"unit": "kW"', '"from": ["a", "b"], "unit": "kW"', "only a time"),
        ('"from": "time"', '"from": ["a", "b", "c", "d", "e", "f", "g"]', "at most six"),
        ('"worth": "20 EUR per kW"', '"worth": "20 EUR per kW", "stop": "1 kW costs more than 2 EUR"', "twice"),
    ],
)
def test_keys_that_do_not_fit_each_other_are_refused(old: str, new: str, says: str) -> None:
    plain = json.dumps(WHOLE)
    assert plain.count(old) == 1, old
    whole = json.loads(plain.replace(old, new))
    if says == "at most six":
        whole["source"]["plant.columns"]["at"].pop("format")
    assert says in refused(written(whole)).message


def test_quoted_numbers_may_have_a_decimal_comma_between_commas_when_both_are_written() -> None:
    text = changed(("source", "plant"), "delimiter", ",")
    assert parse(Path("/nowhere"), text).sources["plant"].contract.reading.decimal == ","


HEAD = '[project]\nname = "p"\nowner = "o"\npurposes = ["t"]\n'


@pytest.mark.parametrize("name", ["a b", "Übung", "1st", "class", "x-y", "", "a" * 64])
@pytest.mark.parametrize("table", ["source.{}.columns.x", "source.s.columns.{}", "model.{}"])
def test_a_name_that_cannot_be_one_is_refused_everywhere(table: str, name: str) -> None:
    error = refused(f"{HEAD}[{table.format(json.dumps(name))}]\n")
    assert "cannot be a name" in error.message


def test_a_misspelt_or_missing_project_is_told() -> None:
    assert "did you mean project" in refused('[projct]\nname = "p"\n').next
    assert "no [project]" in refused("").message
    assert "did you mean source" in refused(f"{HEAD}[sorce.a]\n").next


def test_the_line_of_a_setting_can_be_asked_for() -> None:
    read: Settings = parse(Path("/nowhere"), HEAD)
    assert read.where("project", "owner") == "filiera.toml:3"
    assert read.where("project", "currency") == "filiera.toml:1"


@given(st.text(max_size=12) | st.text("*?[]!./~ab\0\\", max_size=12))
@rules(max_examples=300, deadline=None)
def test_a_pattern_that_is_accepted_can_be_looked_for(text: str) -> None:
    if pattern_fault(text) is None and not text.startswith("/"):
        list(matches(Path(__file__).parent / "nowhere", text))


def worth_is_understood(key: str, text: str) -> bool:
    try:
        return parse(Path("/nowhere"), f"{HEAD}[model.m]\n{key} = {json.dumps(text)}\n") is not None
    except SettingsError:
        return False


def is_in_euro(read: Callable[[str], Worth], text: str) -> bool:
    try:
        return read(text).currency == "EUR"
    except UsageError:
        return False


@given(st.from_regex(r"[ ]?[0-9]{1,3}(\.[0-9])? ?[A-Z]{2,3} (per|costs more than) [a-z0-9]{1,3}( per month| EUR)?"))
def test_worth_means_the_same_here_and_where_it_is_used(text: str) -> None:
    assert worth_is_understood("worth", text) == is_in_euro(parse_worth, text)
    assert worth_is_understood("stop", text) == is_in_euro(parse_stop, text)


# ---- the file itself


def project_file(folder: Path, raw: bytes) -> Path:
    (folder / "filiera.toml").write_bytes(raw)
    return folder


def test_a_byte_order_mark_of_notepad_is_skipped(tmp_path: Path) -> None:
    raw = b'\xef\xbb\xbf[project]\r\nname = "p"\r\nowner = "J\xc3\xb6rg"\r\npurposes = ["t"]\r\n'
    assert load(project_file(tmp_path, raw)).project.owner == "Jörg"


@pytest.mark.parametrize(
    ("raw", "says", "line"),
    [
        (b'[project]\nname = "p"\nowner = "J\xf6rg"\n', "cp1252", 3),
        (b'\xef\xbb\xbf[project]\nowner = "J\xf6rg"\n', "cp1252", 2),
        ("\ufeff[project]\n".encode("utf-16-le"), "UTF-16", 1),
        (b"[project]\nname = p\n", "in quotes", 2),
        (b'[source.a]\nfrom = "C:\\data\\x.csv"\n', "with /", 2),
        (b"[project]\nname = 'a'\nname = 'b'\n", "already", 3),
        (b"[project]\n[project]\n", "already", 2),
        (b"[project]\ntrials = " + b"1" * 5000 + b"\n", "TOML", 2),
        (b"[project]\nname = " + b"[" * 5000, "TOML", 2),
        (b"[project]\nname = 'a'\n\n[sour", "TOML", 4),
        (b"\0", "TOML", 1),
    ],
)
def test_a_file_that_cannot_be_read_names_the_line(tmp_path: Path, raw: bytes, says: str, line: int) -> None:
    with pytest.raises(SettingsError) as caught:
        load(project_file(tmp_path, raw))
    assert says in str(caught.value)
    assert caught.value.where == f"filiera.toml:{line}"
