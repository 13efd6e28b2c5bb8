"""How many commits a second do ten processes reach that append to one table, and is every acknowledged row there?

Each writer appends batches of 1,000 rows of its own device for about ten seconds, through the whole way of a checked
batch: key hashes, comparison with the committed rows of the same time, sealed Parquet and sidecar with fsync, one
ledger transaction. At the end every row is read back and compared with what was acknowledged.

The physical limit, in the same rounds: ten processes that make as many fsynced SQLite transactions of one small row,
behind the same queue, and write no Parquet. The peer is a Delta table (`deltalake`), where it is installed: in this
environment or in that of the interpreter which FILIERA_BENCH_PEERS names. It is no dependency of the project.
"""

from __future__ import annotations

import json
import statistics
import subprocess
from pathlib import Path
from typing import Any

import record
from lake_race import JOURNAL, race_lake, race_limit
from race import ROWS, WRITERS

QUESTION = "commits a second of ten writers on one table, and lost rows"
SECONDS, ROUNDS = 10.0, 3


def race_delta(python: str, folder: Path, seconds: float) -> Any:
    command = [python, str(record.HERE / "peer_deltalake.py"), str(folder), str(seconds)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=600).stdout)


def line(facts: dict[str, Any]) -> str:
    return (
        f"{facts['commits_per_s']:6.1f} commits/s; wait p50 {facts['wait_p50_s']:.3f} s, "
        f"p99 {facts['wait_p99_s']:.3f} s, worst {facts['wait_worst_s']:.2f} s; "
        f"by writer {facts['least_of_a_writer']} to {facts['most_of_a_writer']}; "
        f"CPU {facts['cpu_ms_per_commit']:.1f} ms each; lost rows {facts.get('lost_rows', '-')}"
    )


def main(rounds: int = ROUNDS, seconds: float = SECONDS) -> None:
    print(f"{WRITERS} writers, {rounds} rounds of {seconds:g} s, batches of {ROWS:,} rows; SQLite journal {JOURNAL}")
    python = record.peer_python("deltalake")
    found: dict[str, list[dict[str, Any]]] = {"filiera": [], "limit": []} | ({"deltalake": []} if python else {})
    with record.scratch() as folder:
        for number in range(rounds):
            ended, facts = race_lake(folder / f"lake{number}", seconds)
            found["filiera"].append(facts)
            found["limit"].append(race_limit(folder / f"limit{number}", ended.commits))
            if python:
                found["deltalake"].append(race_delta(python, folder / f"delta{number}", seconds))
            for name, races in found.items():
                print(f"  {name:9}", line(races[-1]))
    ours = found["filiera"]
    headline = {
        "lost rows": float(sum(each["lost_rows"] for each in ours)),
        "commits/s": statistics.median(each["commits_per_s"] for each in ours),
        "worst wait, s": max(each["wait_worst_s"] for each in ours),
    }
    for name in [name for name in found if name != "filiera"]:
        pairs = zip(ours, found[name], strict=True)
        headline[f"commits/s to {name}"] = statistics.median(a["commits_per_s"] / b["commits_per_s"] for a, b in pairs)
    record.write("ten_writers", QUESTION, {"seconds": seconds, "journal": JOURNAL, "rounds": found}, headline)
    assert not any(each[name] for each in ours for name in each if name.endswith("_rows")), "rows differ"


if __name__ == "__main__":
    main()
