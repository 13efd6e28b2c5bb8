"""What do six steps over 100 MB cost in filiera, in other tools and without a tool: cold, and after one change?

Whole processes, contenders in turn, medians of the rounds. Each tool runs the same functions (`six_steps/steps`) over
the same Parquet file of 250,000 rows: load, clean, features, train, evaluate, package. They run cold, with nothing
changed, with one parameter changed, with one number changed in the body of the third step, with the file written again
byte for byte, and with other rows in it. `direct` is a script that calls the functions one after the other.

FILIERA_BENCH_PEERS names an interpreter that has the peers, or a folder with an environment for each of them (`dvc`,
`hamilton`, `kedro`, `metaflow`, `dagster`). Those that are absent are left out; they are no dependencies of filiera.
"""

from __future__ import annotations

import json
import resource
import shutil
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import record

sys.path.insert(0, str(record.HERE / "six_steps"))
import contenders as c

QUESTION = "seconds of six steps over 100 MB: cold, and after one change"
ROUNDS, ROWS, COLUMNS = 3, 250_000, 50
CHANGES = (c.COLD, c.NOTHING, c.PARAMETER, c.CODE, c.REWRITTEN, c.ROWS, c.NOTHING)
EXPECTED = {
    c.COLD: set(c.INPUTS), c.NOTHING: set(), c.PARAMETER: {"train", "evaluate", "package"},
    c.CODE: {"features", "train", "evaluate", "package"}, c.REWRITTEN: set(), c.ROWS: set(c.INPUTS),
}  # fmt: skip
SETTLED_S = (
    2.5  #: a file changed less than two seconds ago may change again unseen, so no tool that looks at times trusts it
)
Row = dict[str, Any]


def write_rows(path: Path, seed: int) -> None:
    """A hundred megabytes of numbers; the last column depends on the others."""
    draw = np.random.default_rng(seed)
    rows = draw.standard_normal((ROWS, COLUMNS))
    rows[:, -1] = rows[:, :-1] @ draw.standard_normal(COLUMNS - 1)
    columns = {"row": np.arange(ROWS)} | {f"c{number}": rows[:, number] for number in range(COLUMNS)}
    pq.write_table(pa.table(columns), path, compression="none", use_dictionary=False)


def change(folder: Path, what: str, number: int, raw: Mapping[str, Path]) -> None:
    """Make a change, and let it settle."""
    if what == c.PARAMETER:
        c.set_parameter(folder, 1.5 + number)
    elif what == c.CODE:
        c.set_code(folder, 2.0 + number)
    elif what in (c.REWRITTEN, c.ROWS):
        (folder / "raw.parquet").unlink()
        shutil.copy(raw["other" if what == c.ROWS else "first"], folder / "raw.parquet")


def timed(name: str, python: str, folder: Path, what: str) -> Row:
    """Run a contender once: seconds, processor seconds of all its processes, and the steps that ran."""
    before = {step: _stamp(folder / path) for step, path in c.FILES.items()}
    used, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    output = c.run(c.CONTENDERS[name].command(python, what), folder)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    ran = [step for step, path in c.FILES.items() if _stamp(folder / path) != before[step]]
    if name == "filiera":
        done = {each["asset"] for each in json.loads(output)["steps"]}
        ran = [step for step in c.INPUTS if (step if step != "load" else "raw") in done]
    return {"name": name, "change": what, "wall_s": round(wall, 3), "cpu_s": round(cpu, 3), "ran": ran}


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def one_round(folder: Path, number: int, pythons: Mapping[str, str], raw: Mapping[str, Path]) -> list[Row]:
    """Every contender through all changes, in turn."""
    rows = []
    for name, python in pythons.items():
        c.prepare(folder / name, raw["first"])
        c.CONTENDERS[name].make(folder / name, python)
    for what in CHANGES:
        for name in pythons:
            change(folder / name, what, number, raw)
        time.sleep(SETTLED_S)
        for name, python in pythons.items():
            rows.append(timed(name, python, folder / name, what) | {"round": number})
            print("  {name:9} {change:10} {wall_s:6.2f} s, CPU {cpu_s:6.2f} s, ran {ran}".format(**rows[-1]))
    return rows


def medians(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Median wall seconds by contender and change."""
    names, changes = dict.fromkeys(row["name"] for row in rows), dict.fromkeys(row["change"] for row in rows)
    return {
        name: {
            what: statistics.median(row["wall_s"] for row in rows if (row["name"], row["change"]) == (name, what))
            for what in changes
        }
        for name in names
    }


def headline(rows: list[Row], found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Filiera to the best tool that is no `make`, and to no tool at all."""
    peers = [name for name in found if name not in ("filiera", "direct", "make")]
    ours, direct = found["filiera"], found["direct"]
    told = {"cold to direct": ours[c.COLD] / direct[c.COLD], "cold over direct, s": ours[c.COLD] - direct[c.COLD]}
    for what in dict.fromkeys(CHANGES) if peers else ():
        best = min(peers, key=lambda name: found[name][what])
        told[f"{what} to {best}"] = ours[what] / found[best][what]
    wrong = [row for row in rows if row["name"] == "filiera" and set(row["ran"]) != EXPECTED[row["change"]]]
    return told | {"runs of filiera with other steps than needed": float(len(wrong))}


def main(rounds: int = ROUNDS) -> None:
    rows: list[Row] = []
    with record.scratch() as folder:
        raw = {"first": folder / "first.parquet", "other": folder / "other.parquet"}
        for seed, path in enumerate(raw.values()):
            write_rows(path, seed)
        pythons = c.interpreters()
        for number in range(rounds):
            place = folder / f"round{number}"
            place.mkdir()
            rows += one_round(place, number, pythons, raw)
            shutil.rmtree(place)
    found = medians(rows)
    for name, each in found.items():
        print(f"  {name:9} " + "  ".join(f"{what} {seconds:.2f} s" for what, seconds in each.items()))
    record.write("six_steps", QUESTION, {"median_s": found, "rows": rows}, headline(rows, found))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
