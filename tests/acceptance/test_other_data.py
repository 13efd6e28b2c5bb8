"""The chain on two other real data sets: only `filiera.toml` and `pipeline.py` differ from the wind farm.

The projects stand in `projects/` beside this file; the data lie outside of the checkout. Of `ev_charging` all rows are
used; of `beijing_air` all rows of three of the twelve stations, lines unchanged, to save time. Every row of the twelve
is counted in `tests/unit/ingest/test_samples.py`.
"""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from filiera.core.plan import Action
from filiera.errors import DeniedError, FilieraError
from filiera.workspace import Workspace
from projects import filiera

PROJECTS = Path(__file__).parent / "projects"
STATIONS = (b"Dongsi", b"Gucheng", b"Wanshouxigong")  #: with at least one value at the end of three scales
DRIVER = "65023200"  #: who drove in the one session that ends in quarantine


@dataclass(frozen=True)
class Built:
    """A project after init, apply and release: the steps that a user types."""

    root: Path
    model: str
    released: str  #: what the release printed
    raw: pd.DataFrame = field(repr=False)  #: the records of the file as texts, in a reading of its own
    workspace: Workspace  #: for the many small questions that follow

    def query(self, table: str, *where: str, **options: Any) -> list[dict[str, Any]]:
        """Rows of a table."""
        rows: list[dict[str, Any]] = self.workspace.query(table, where=where, **options).to_pylist()
        return rows


def build(root: Path, data: Path, model: str, *governed: str) -> Iterator[Built]:
    """Do what a newcomer does: init, own settings and pipeline, a data file, apply, release."""
    filiera("init", str(root), *governed, project=root.parent)
    for name in ("filiera.toml", "pipeline.py"):
        shutil.copy(PROJECTS / root.name / name, root / name)
    shutil.copy(data, root / "data" / data.name)
    filiera("apply", project=root)
    released = filiera("release", model, project=root).stdout
    raw = pd.read_csv(data, dtype=str, keep_default_na=False)
    with Workspace.open(root) as workspace:
        yield Built(root, model, released, raw, workspace)


@pytest.fixture(scope="module")
def air(sample: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    root = tmp_path_factory.mktemp("other") / "beijing_air"
    with gzip.open(sample("beijing_air/stations_2013_2017.csv.gz"), "rb") as file:
        header, *lines = file
    data = root.parent / "three_stations.csv.gz"
    kept = [line for line in lines if line.rstrip().rpartition(b",")[2].strip(b'"') in STATIONS]
    data.write_bytes(gzip.compress(b"".join([header, *kept]), 1))
    yield from build(root, data, "pm25_next", "--owner", "air-quality-desk", "--purpose", "pm25-forecast")


@pytest.fixture(scope="module")
def charging(sample: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    data = sample("ev_charging/sessions.csv")
    root = tmp_path_factory.mktemp("other") / "ev_charging"
    governed = ("--owner", "fleet-desk", "--purpose", "energy-planning", "--currency", "USD")
    yield from build(root, data, "energy", *governed)


@pytest.fixture(params=["air", "charging"])
def project(request: pytest.FixtureRequest) -> Built:
    built: Built = request.getfixturevalue(request.param)
    return built


# ---- what both have in common


def test_a_project_is_its_settings_its_pipeline_and_its_data(project: Built) -> None:
    found = {path.name for path in project.root.iterdir()}
    assert found == {".filiera", ".gitignore", "data", "filiera.toml", "pipeline.py"}


def test_the_counts_add_up_to_the_lines_of_the_file(project: Built) -> None:
    (source,) = project.workspace.status()["sources"]
    assert source["rows_read"] == len(project.raw)
    assert source["rows_read"] == source["accepted"] + source["quarantined"] + source["duplicates"]
    assert source["rows"] == source["accepted"]
    assert sum(source["reasons"].values()) == source["quarantined"]


def test_a_second_plan_has_nothing_to_do(project: Built) -> None:
    assert filiera("plan", "--check", project=project.root).stdout.startswith("nothing to do")
    assert {step.action for step in project.workspace.plan().steps} == {Action.REUSE}


def test_the_study_beats_its_best_baseline_and_the_gate_says_so(project: Built) -> None:
    study = project.workspace.study(project.model)
    best = min(trial["score"] for trial in study["trials"])
    assert study["failed"] == 0
    assert study["baselines"][0]["name"] == "linear"
    assert best < 0.95 * min(baseline["score"] for baseline in study["baselines"])
    windows = 3 if project.model == "pm25_next" else 4
    assert f"better in {windows} of {windows} windows" in project.released
    assert f"{project.model}@1 runs in prod" in project.released


def test_the_audit_log_of_the_whole_chain_verifies(project: Built) -> None:
    report = project.workspace.verify_audit()
    assert report.ok, report.message
    assert report.entries > 10


# ---- beijing_air: composed local times, empty words, polars, parts with a lookback, devices


def test_rows_without_pressure_and_values_at_the_end_of_the_scale_are_told(air: Built) -> None:
    (source,) = air.workspace.status()["sources"]
    kept = air.raw[air.raw["PRES"] != "NA"]

    def above(name: str, limit: float) -> int:
        return int((pd.to_numeric(kept[name], errors="coerce") > limit).sum())

    assert (source["rows_read"], source["accepted"]) == (105_192, 105_103)
    assert source["reasons"] == {"null": len(air.raw) - len(kept)} == {"null": 89}
    told = {"pm25": above("PM2.5", 998), "pm10": above("PM10", 998), "so2": above("SO2", 499), "co": above("CO", 9990)}
    assert told == {"pm25": 1, "pm10": 0, "so2": 3, "co": 13}
    assert source["nulled"] == {name: cells for name, cells in told.items() if cells}


def test_four_columns_become_an_instant_of_shanghai(air: Built) -> None:
    first = air.raw.iloc[0]
    assert list(first[["year", "month", "day", "hour", "station"]]) == ["2013", "3", "1", "0", "Dongsi"]
    (row,) = air.query("air", "station = Dongsi", until="2013-02-28T17:00:00Z")
    assert row["at"].isoformat() == "2013-02-28T16:00:00+00:00"
    assert (row["pm25"], row["co"], row["pressure_hpa"], row["wind_from"]) == (9.0, 0.3, 1024.5, "NNW")
    (table,) = air.workspace.status()["tables"]
    assert (table["name"], table["rows"], table["high"]) == ("features", 105_103, "2017-02-28T15:00:00Z")


def test_what_was_in_the_air_hours_ago_reaches_over_the_border_of_a_month(air: Built) -> None:
    # 08:00 in Beijing on 1 April is the first hour of a month in UTC; six hours before, PM2.5 was 250.
    day = air.raw.query("station == 'Dongsi' and year == '2013' and month == '4' and day == '1'")
    assert list(day.set_index("hour")["PM2.5"][["2", "8"]]) == ["250", "138"]
    words = ("features", "--where", "at = 2013-04-01T00:00:00Z", "--where", "station = Dongsi", "--json")
    row = json.loads(filiera("query", *words, project=air.root).stdout)
    assert (row["pm25"], row["pm25_ago"], row["hour"], row["month"]) == (138.0, 250.0, 8.0, 4.0)


def test_fine_dust_is_predicted_by_device_as_by_the_newest_record(air: Built) -> None:
    words = ("pm25_next", "--device", "Dongsi", "--device", "Gucheng")
    by_device = json.loads(filiera("predict", *words, project=air.root).stdout)
    assert (by_device["model"], by_device["predicts"], by_device["unit"]) == ("pm25_next@1", "pm25", "ug/m3")
    assert all(0 < value < 500 for value in by_device["predictions"])
    (row,) = air.query("features", "station = Dongsi", since="2017-02-28T15:00:00Z")
    inputs = [column["name"] for column in air.workspace.version("pm25_next").inputs]
    by_record = air.workspace.predict("pm25_next", records=[{name: row[name] for name in inputs}])
    assert by_record["predictions"] == by_device["predictions"][:1]


def test_a_misspelt_station_gets_the_nearest_name(air: Built) -> None:
    with pytest.raises(FilieraError, match="no row of device Dongsy") as caught:
        air.workspace.predict("pm25_next", devices=["Dongsy"])
    assert caught.value.next == "did you mean Dongsi?"


# ---- ev_charging: a key without device, odd years, personal columns, a table without time


def test_the_years_0014_are_2014_on_the_clock_of_the_site(charging: Built) -> None:
    rows = {row["session"]: row["start"] for row in charging.query("sessions")}
    assert len(rows) == 3_394
    assert {start.year for start in rows.values()} == {2014, 2015}
    written = charging.raw.set_index("sessionId")["created"]
    assert list(written[["1366563", "2225529"]]) == ["0014-11-18 15:40:26", "0015-07-13 18:21:24"]
    assert rows[1_366_563].isoformat() == "2014-11-18T20:40:26+00:00"  # winter: five hours
    assert rows[2_225_529].isoformat() == "2015-07-13T22:21:24+00:00"  # summer: four


def test_the_session_of_two_days_is_quarantined_with_its_reason_and_line(charging: Built) -> None:
    (found,) = charging.workspace.quarantine("sessions")
    assert found["reasons"] == {"range": 1}
    (example,) = found["examples"]
    assert (example["column"], example["line"]) == ("plugged_h", 175)
    written = charging.raw.iloc[175 - 2]
    assert list(written[["chargeTimeHrs", "userId"]]) == ["55.23805556", DRIVER]


def test_quarantine_does_not_show_who_drove(charging: Built) -> None:
    shown = filiera("quarantine", "sessions", project=charging.root).stdout
    assert "range plugged_h" in shown
    assert DRIVER not in shown
    assert DRIVER not in json.dumps(charging.workspace.quarantine("sessions"))


def test_personal_columns_are_masked_in_rows_and_refused_in_conditions(charging: Built) -> None:
    personal = ("driver", "distance_km", "manager")
    shown = filiera("query", "sessions", "--limit", "5000", "--columns", ",".join(personal), "--json",
                    project=charging.root).stdout.splitlines()  # fmt: skip
    assert [json.loads(line) for line in shown] == [dict.fromkeys(personal)] * 3_394
    for name in personal:
        with pytest.raises(DeniedError, match=f"column {name} is masked"):
            charging.query("sessions", f"{name} = 1", columns=["session"])


def test_an_export_holds_nothing_personal(charging: Built, tmp_path: Path) -> None:
    path = tmp_path / "sessions.csv"
    filiera("export", "sessions", str(path), project=charging.root)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3_394
    assert {row["driver"] + row["distance_km"] + row["manager"] for row in rows} == {""}


def test_a_table_without_time_is_scored_by_folds_and_kept_whole(charging: Built) -> None:
    (table,) = charging.workspace.status()["tables"]
    assert (table["name"], table["rows"], table["low"]) == ("plugged", 3_394, None)
    (row,) = charging.query("plugged", "session = 1366563")
    assert (row["weekday"], charging.raw["weekday"][0]) == ("Tuesday", "Tue")
    assert row["hour"] == pytest.approx(15 + 40 / 60)
    card = charging.workspace.version("energy").card
    assert (card["windows"], card["time"], card["key"], card["trained_on"]) == (4, None, ["session"], "all rows")


def test_energy_is_predicted_by_record_in_kwh(charging: Built) -> None:
    record = {"plugged_h": 3.0, "hour": 9.5, "weekday": "Tuesday", "station": "582873", "site": "461655",
              "facility": "3", "platform": "ios"}  # fmt: skip
    words = ("energy", "--record", json.dumps(record), "--record", json.dumps(record | {"plugged_h": 0.5}))
    answer = json.loads(filiera("predict", *words, project=charging.root).stdout)
    assert (answer["model"], answer["predicts"], answer["unit"]) == ("energy@1", "energy_kwh", "kWh")
    three_hours, half_an_hour = answer["predictions"]
    assert 0 < half_an_hour < three_hours < 15


def test_a_record_that_names_a_driver_is_refused(charging: Built) -> None:
    with pytest.raises(FilieraError, match="no input driver"):
        charging.workspace.predict("energy", records=[{"driver": DRIVER}])
