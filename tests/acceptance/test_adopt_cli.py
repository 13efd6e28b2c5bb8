"""`filiera adopt`: which files a source reads, and how its settings are written."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from filiera.cli import cli
from filiera.collect.pattern import matches
from filiera.project import make_project
from filiera.settings import load

POWER, WEATHER = "device,at,power\n", "station,at,wind,rain\n"
ROWS = {
    POWER: "".join(f"a,2024-01-01T{n:02}:00:00Z,{n}.5\n" for n in range(24)),
    WEATHER: "".join(f"s,2024-01-01T{n:02}:00:00Z,{n}.5,0\n" for n in range(24)),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_project(tmp_path / "p", name=None, owner="me", purposes=["testing"])
    return tmp_path / "p"


def put(root: Path, **files: str) -> None:
    for name, header in files.items():
        (root / "data" / f"{name}.csv").write_text(header + ROWS[header])


def adopt(root: Path, file: str, *words: str) -> str:
    done = CliRunner().invoke(cli, ["--project", str(root), "adopt", str(root / file), *words])
    if done.exception is not None:
        raise done.exception
    return done.output


def read_by(root: Path, source: str) -> set[str]:
    return {path.name for path in matches(root, load(root).sources[source].pattern)}


def test_files_with_the_same_columns_are_read_together(root: Path) -> None:
    put(root, january=POWER, february=POWER, march=POWER)
    out = adopt(root, "data/march.csv", "--source", "power")
    assert load(root).sources["power"].pattern == "data/*.csv"
    assert "3 files: data/february.csv, data/january.csv, data/march.csv" in out


def test_files_of_two_kinds_do_not_claim_each_other(root: Path) -> None:
    put(root, power=POWER, weather=WEATHER)
    adopt(root, "data/power.csv")
    adopt(root, "data/weather.csv")
    assert (read_by(root, "power"), read_by(root, "weather")) == ({"power.csv"}, {"weather.csv"})


def test_files_that_differ_in_numbers_are_read_together_beside_others(root: Path) -> None:
    put(root, power_2024_01=POWER, power_2024_02=POWER, weather_2024_01=WEATHER)
    out = adopt(root, "data/power_2024_01.csv", "--source", "power")
    assert load(root).sources["power"].pattern == "data/power_*.csv"
    assert "2 files" in out


def test_a_source_that_reads_the_same_files_is_named_with_its_line(root: Path) -> None:
    put(root, power=POWER)
    adopt(root, "data/power.csv")
    put(root, weather=WEATHER)
    out = adopt(root, "data/weather.csv")
    line = load(root).where("source", "power", "from")
    assert f"source power reads some of them too: narrow its `from` ({line})" in out


@pytest.mark.parametrize("name", ["a[1]", "50%*", "what?", "[", "x [copy] (2)"])
def test_a_name_with_marks_of_a_glob_is_found_again(root: Path, name: str) -> None:
    put(root, **{name: POWER, "other": WEATHER, "a1": WEATHER, "50%x": WEATHER})
    adopt(root, f"data/{name}.csv", "--source", "odd")
    assert read_by(root, "odd") == {f"{name}.csv"}


def test_a_folder_outside_the_project_is_named_by_its_whole_path(root: Path) -> None:
    folder = root.parent / "share [1]"
    folder.mkdir()
    (folder / "power.csv").write_text(POWER + ROWS[POWER])
    adopt(root, "../share [1]/power.csv")
    assert read_by(root, "power") == {"power.csv"}


@pytest.mark.parametrize(("name", "source"), [("class", "class_"), ("2024-01", "s_2024_01"), ("Öl & Gas", "ol_gas")])
def test_a_source_gets_a_name_that_can_be_one(root: Path, name: str, source: str) -> None:
    put(root, **{name: POWER})
    adopt(root, f"data/{name}.csv")
    assert set(load(root).sources) == {source}


def test_a_hidden_or_unfinished_file_is_told_to_be_never_read(root: Path) -> None:
    (root / "data" / "power.csv.part").write_text(POWER + ROWS[POWER])
    assert "its name looks unfinished" in adopt(root, "data/power.csv.part", "--source", "power")


def test_settings_of_notepad_keep_their_mark_and_line_ends(root: Path) -> None:
    path = root / "filiera.toml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    put(root, power=POWER)
    adopt(root, "data/power.csv")
    raw = path.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf[project]\r\n")
    assert raw.count(b"\n") == raw.count(b"\r\n")
    assert set(load(root).sources) == {"power"}


def test_a_dry_run_writes_nothing(root: Path) -> None:
    put(root, power=POWER)
    before = (root / "filiera.toml").read_bytes()
    assert "[source.power]" in adopt(root, "data/power.csv", "--dry-run")
    assert (root / "filiera.toml").read_bytes() == before


def test_a_personal_range_is_nowhere_in_the_settings(root: Path) -> None:
    rows = "".join(f"{34 + n % 38},m{n % 2},2024-01-01T00:{n:02}:00Z\n" for n in range(60))
    (root / "data" / "people.csv").write_text(f"age,machine,at\n{rows}")
    adopt(root, "data/people.csv")
    line = next(line for line in (root / "filiera.toml").read_text().splitlines() if line.startswith("age"))
    assert 'class = "personal"' in line
    assert "#" not in line
