"""Bad input gets a clear error and loses nothing: files, settings, pipelines."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

import projects
from projects import filiera


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return projects.make(tmp_path / "small", days=2, files=1)


def status(root: Path) -> dict[str, object]:
    (source,) = json.loads(filiera("status", "--json", project=root).stdout)["sources"]
    return dict(source)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"device;at;load;temp_c\na;2024-05-01T00:00:00Z;1;2\n", "delimiter ';'"),
        (b"device,at,lod,temp_c\na,2024-05-01T00:00:00Z,1,2\n", "did you mean lod?"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_the_others_are_taken(project: Path, content: bytes, says: str) -> None:
    (project / "data" / "bad.csv").write_bytes(content)
    (project / "pipeline.py").write_text("import filiera as fl\n")
    done = filiera("apply", project=project, check=False)
    assert done.returncode == 7
    assert says in done.stdout
    assert status(project)["accepted"] == 94
    assert "bad.csv" in filiera("status", project=project).stdout


def test_a_truncated_gzip_is_refused_until_it_changes(project: Path) -> None:
    whole = gzip.compress(projects.rows(30, 3).encode())
    (project / "filiera.toml").write_text(projects.SETTINGS.replace("data/*.csv", "data/*"))
    (project / "pipeline.py").write_text("import filiera as fl\n")
    path = project / "data" / "more.csv.gz"
    path.write_bytes(whole[: len(whole) // 2])
    assert "cannot be read to its end" in filiera("apply", project=project, check=False).stdout
    path.write_bytes(whole)
    filiera("apply", project=project)
    assert status(project)["rows_read"] == 96 + 144


def test_extra_columns_broken_text_and_odd_numbers_lose_no_record(project: Path) -> None:
    text = b"device,at,load,temp_c,extra\na,2024-06-01T00:00:00Z,1,2,x\nb,2024-06-01T00:00:00Z,nan,2,x\n"
    text += b"c,2024-06-01T00:00:00Z,inf,2,x\n\xff\xfe,2024-06-01T00:00:00Z,1,2,x\nd,2024-06-01T00:00:00Z,1\n"
    (project / "data" / "odd.csv").write_bytes(text)
    (project / "pipeline.py").write_text("import filiera as fl\n")
    filiera("apply", project=project)
    found = status(project)
    assert found["rows_read"] == 96 + 5
    assert found["reasons"] == {"range": 2, "not_finite": 2, "encoding": 1, "ragged": 1}


@pytest.mark.parametrize(
    ("pipeline", "says"),
    [
        ("raise ValueError('no good')\n", "ValueError: no good"),
        ("import filiera as fl\n\n@fl.table\ndef t(reading):\n    return reading\n", "did you mean readings?"),
        ("import filiera as fl\n\n@fl.table\ndef t(readings:\n    return 1\n", "pipeline.py:4"),
        (
            "import filiera as fl\n\n@fl.model(predicts='load', inputs=['temp_c'])\ndef m(readings):\n    pass\n",
            "returned None",
        ),
    ],
)
def test_a_broken_pipeline_is_told_with_its_place_and_changes_nothing(project: Path, pipeline: str, says: str) -> None:
    (project / "pipeline.py").write_text(pipeline)
    done = filiera("plan", project=project, check=False)
    assert done.returncode in (1, 2)
    assert says in done.stderr


def test_a_table_that_raises_stops_what_needs_it_and_tells_the_line(project: Path) -> None:
    text = "import filiera as fl\n\n@fl.table\ndef t(readings):\n    return readings.no_such_column\n"
    (project / "pipeline.py").write_text(text)
    done = filiera("apply", project=project, check=False)
    assert done.returncode == 1
    assert "pipeline.py:5" in done.stdout
    assert status(project)["accepted"] == 94


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('unit = "kW"', 'unit = "kw"', "did you mean kW?"),
        ("range = [0, 100]", "rnge = [0, 100]", "did you mean range?"),
        ('time = "at"', 'time = "when"', "a column that is not declared"),
        ('purposes = ["testing"]', "purposes = []", "no purpose is declared"),
        ('owner = "tests"', "owner = 3", "wrong type"),
        ('device = "device"\n', "", "has no key"),
        ('"data/*.csv"', '"data/**.csv"', "write **/*.csv"),
        ('"data/*.csv"', '"/"', "names a folder"),
        ('"data/*.csv"', '"https://me:hunter2@host/a.csv"', "is an address on a network"),
        ('{ type = "time" }', '{ type = "time", format = "%Q" }', "%Q, which is no part of a time"),
        ('unit = "kW"', 'unit = "kW", from_unit = "h"', "a unit of time"),
        ('name = "small"', "name = small", "in quotes"),
        ("[project]", "[projct]", "did you mean project?"),
        ("[source.readings]\n", '[model.usage]\nworth = "a lot"\n[source.readings]\n', "`worth` is not understood"),
        ("[source.readings]\n", "[prices]\nenergy_per_kwh = -1\n[source.readings]\n", "at least 0"),
    ],
)
def test_a_mistake_in_the_settings_is_told_with_file_and_line(project: Path, old: str, new: str, says: str) -> None:
    text = projects.SETTINGS
    assert text.count(old) == 1
    (project / "filiera.toml").write_text(text.replace(old, new))
    done = filiera("plan", project=project, check=False)
    assert done.returncode == 2
    assert "filiera.toml:" in done.stderr
    assert says in done.stderr
    assert "hunter2" not in done.stderr


def test_settings_in_another_encoding_name_the_line_in_every_command(project: Path) -> None:
    text = projects.SETTINGS.replace('owner = "tests"', 'owner = "Jörg"')
    (project / "filiera.toml").write_bytes(text.encode("cp1252"))
    for words in (("plan",), ("status",), ("apply",), ("adopt", str(project / "data" / "part0.csv"), "--source", "x")):
        done = filiera(*words, project=project, check=False)
        assert (done.returncode, "filiera.toml:4: the file is not UTF-8" in done.stderr) == (2, True), words
    (project / "filiera.toml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    filiera("status", project=project)


def test_mended_contract_releases_records_from_quarantine_and_the_counts_still_add_up(project: Path) -> None:
    (project / "pipeline.py").write_text("import filiera as fl\n")
    filiera("apply", project=project)
    assert status(project)["reasons"] == {"range": 2}
    (project / "filiera.toml").write_text(projects.SETTINGS.replace("[0, 100]", "[0, 1000]"))
    out = filiera("quarantine", "release", "readings", project=project).stdout
    assert "2 records checked again: 2 accepted" in out
    found = status(project)
    assert (found["rows_read"], found["accepted"], found["quarantined"], found["rows"]) == (96, 96, 0, 96)


def test_a_file_that_was_refused_is_read_when_its_contract_was_mended(project: Path) -> None:
    (project / "data" / "other.csv").write_text(projects.rows(30, 1).replace("device,at,load", "device,at,lod"))
    (project / "pipeline.py").write_text("import filiera as fl\n")
    assert filiera("apply", project=project, check=False).returncode == 7
    assert filiera("plan", project=project).stdout.startswith("nothing to do")
    mended = projects.SETTINGS.replace("load   = { unit", 'load   = { from = "lod", unit')
    (project / "filiera.toml").write_text(mended)
    assert "other.csv" in filiera("plan", project=project).stdout
    filiera("apply", project=project)
    assert status(project)["rows_read"] == 96 + 48


def test_a_file_that_replaces_may_go_back_to_what_it_was(project: Path) -> None:
    (project / "filiera.toml").write_text(
        projects.SETTINGS.replace('device = "device"', 'files = "replace"\ndevice = "device"')
    )
    (project / "pipeline.py").write_text("import filiera as fl\n")
    path = project / "data" / "part0.csv"
    first = path.read_text()
    for text, rows in ((first, 94), (projects.rows(50, 1), 47), (first, 94), (first, 94)):
        path.write_text(text)
        filiera("apply", project=project)
        assert status(project)["rows"] == rows
