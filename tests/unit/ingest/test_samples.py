"""The contracts that the owners of four real data sets would write, and what becomes of every row."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from filiera.collect.file import open_file
from filiera.core.contract import Contract
from filiera.ingest.batch import Piece, check_file
from filiera.settings import parse
from unit.ingest.checking import FILE, assert_counts

HEAD = '[project]\nname = "p"\nowner = "o"\npurposes = ["p"]\n[source.s]\nfrom = "x"\n'
WIND = """
device = "turbine"
time = "at"
[source.s.columns]
turbine = { from = "Wind_turbine_name", type = "category" }
at = { from = "Date_time", type = "time", zone = "Europe/Paris" }
power_kw = { from = "P_avg", unit = "kW", range = [-50, 2200] }
wind_ms = { from = "Ws_avg", unit = "m/s", range = [0, 50] }
pitch_deg = { from = "Ba_avg", unit = "deg", range = [-10, 95], optional = true }
outdoor_c = { from = "Ot_avg", unit = "degC", range = [-40, 60], optional = true }
"""
AIR = """
device = "station"
time = "at"
null = ["NA"]
[source.s.columns]
station = { type = "category" }
at = { from = ["year", "month", "day", "hour"], type = "time", zone = "Asia/Shanghai" }
pm25 = { from = "PM2.5", unit = "ug/m3", range = [0, 998], optional = true }
co = { from = "CO", unit = "mg/m3", from_unit = "ug/m3", optional = true }
wind = { from = "wd", type = "category", optional = true }
pressure = { from = "PRES", unit = "kPa", from_unit = "hPa", range = [90, 110] }
"""
SESSIONS = """
key = ["session"]
time = "start"
null = ["NA"]
[source.s.columns]
session = { from = "sessionId", type = "integer" }
start = { from = "created", type = "time", zone = "America/New_York", format = "00%y-%m-%d %H:%M:%S" }
energy_kwh = { from = "kwhTotal", unit = "kWh", range = [0, 100] }
duration_h = { from = "chargeTimeHrs", unit = "h", range = [0, 24] }
distance_km = { from = "distance", unit = "km", from_unit = "mi", optional = true, class = "personal" }
driver = { from = "userId", type = "category", class = "personal" }
manager = { from = "managerVehicle", type = "boolean", class = "personal" }
"""
PUMP = """
key = ["experiment", "at"]
time = "at"
device = "experiment"
[source.s.columns]
experiment = { type = "category" }
at = { from = "datetime", type = "time", zone = "Europe/Moscow" }
flow = { from = "Volume Flow RateRMS", unit = "L/min", range = [0, 200] }
anomaly = { type = "boolean", optional = true }
"""


def checked(path: Path, text: str) -> tuple[list[Piece], Contract]:
    contract = parse(Path("."), HEAD + text).sources["s"].contract
    pieces = list(check_file(path, FILE, contract, open_file))
    assert_counts(pieces)
    return pieces, contract


def counts(pieces: list[Piece]) -> dict[str, int]:
    """Rows read, accepted and duplicate, and each reason."""
    found: Counter[str] = Counter()
    for piece in pieces:
        batch = piece.batch
        found.update(read=batch.rows_read, accepted=batch.accepted.num_rows, duplicates=batch.duplicates)
        found.update(batch.quarantined["reason"].to_pylist())
        found.update({f"nulled {name}": number for name, number in batch.nulled.items()})
    return {name: number for name, number in found.items() if number}


def raw_rows(path: Path, *names: str) -> list[dict[str, str]]:
    """Some columns in an independent reading by the standard library."""
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    lines = csv.reader(io.StringIO(text, newline=""))
    header = next(lines)
    places = [(name, header.index(name)) for name in names]
    return [{name: line[place] for name, place in places} for line in lines]


def test_wind_farm(sample: Callable[[str], Path]) -> None:
    path = sample("wind_scada/sample_2_turbines_2014_03_to_2015_01.csv.gz")
    pieces, _ = checked(path, WIND)
    found = counts(pieces)
    assert {key: found[key] for key in ("read", "accepted", "conflict", "null", "nulled outdoor_c")} == {
        "read": 97_056, "accepted": 96_768, "conflict": 24, "null": 264, "nulled outdoor_c": 34,
    }  # fmt: skip
    rows = raw_rows(path, "Wind_turbine_name", "Date_time", "P_avg")
    batch = pieces[0].batch
    for place in range(0, batch.accepted.num_rows, 5000):
        row = rows[int(batch.records[place]) - 1]
        (value,) = batch.accepted.slice(place, 1).to_pylist()
        assert (value["turbine"], value["power_kw"]) == (row["Wind_turbine_name"], float(row["P_avg"]))
        assert value["at"].timestamp() == dt.datetime.fromisoformat(row["Date_time"]).timestamp()


def test_wind_farm_in_several_pieces(sample: Callable[[str], Path]) -> None:
    pieces, _ = checked(sample("wind_scada/scada_2014_2015.csv.gz"), WIND)
    assert len(pieces) > 1
    found = counts(pieces)
    assert found["read"] == 420_480
    assert found["null"] == 2_569


def test_beijing_air(sample: Callable[[str], Path]) -> None:
    path = sample("beijing_air/stations_2013_2017.csv.gz")
    pieces, _ = checked(path, AIR)
    found = counts(pieces)
    rows = raw_rows(path, "PRES", "PM2.5")
    no_pressure = sum(row["PRES"] == "NA" for row in rows)
    assert found == {
        "read": 420_768,
        "accepted": 420_768 - no_pressure,
        "null": no_pressure,
        "nulled pm25": sum(
            row["PRES"] != "NA" and row["PM2.5"] not in ("NA",) and float(row["PM2.5"]) > 998 for row in rows
        ),
    }
    first = pieces[0].batch.accepted.slice(0, 1).to_pylist()[0]
    assert first["at"].isoformat() == "2013-02-28T16:00:00+00:00"
    assert first["co"] == pytest.approx(0.3)
    assert first["pressure"] == pytest.approx(102.3)


def test_ev_charging(sample: Callable[[str], Path]) -> None:
    path = sample("ev_charging/sessions.csv")
    pieces, contract = checked(path, SESSIONS)
    assert counts(pieces) == {"read": 3_395, "accepted": 3_394, "range": 1}
    accepted = pieces[0].batch.accepted
    rows = {int(row["sessionId"]): row for row in raw_rows(path, "sessionId", "distance")}
    for value in accepted.slice(0, 200).to_pylist():
        row = rows[value["session"]]
        assert value["distance_km"] == (
            None if row["distance"] == "NA" else pytest.approx(float(row["distance"]) * 1.609344)
        )
        assert value["start"].year in (2014, 2015)
    kept = [rows[session] for session in accepted["session"].to_pylist()]
    assert accepted["distance_km"].null_count == sum(row["distance"] == "NA" for row in kept)
    assert contract.classes == ("open", "personal")


def test_pump_testbed(sample: Callable[[str], Path]) -> None:
    path = sample("pump_testbed/measurements.csv.gz")
    pieces, _ = checked(path, PUMP)
    found = counts(pieces)
    assert found["read"] == 46_806
    assert found["accepted"] + found.get("conflict", 0) + found.get("duplicates", 0) == 46_806
    assert pieces[0].batch.accepted["anomaly"].null_count >= 9_405
