"""How long do `filiera --help` and a `filiera plan` with nothing to do take, over the start of Python?

Whole processes, 20 of each in turn, median minus the median of `python -c pass`, which is the limit. The project is the
shipped wind example after `apply`; every plan must say that there is nothing to do. The peer is `dvc status` on a
project of the same file and three stages that are up to date, and `dvc --help`, where dvc is installed: in this
environment or in that of the interpreter which FILIERA_BENCH_PEERS names. It is no dependency of the project.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import record

QUESTION = "seconds of `--help` and of a plan with nothing to do, over the start of Python"
TIMES = 20
FILIERA = str(Path(sys.executable).with_name("filiera"))
STARTED, HELP, PLAN, DVC_HELP, DVC_STATUS = "python -c pass", "--help", "plan", "dvc --help", "dvc status"
Command = tuple[Sequence[str], Path]
STAGES = """
stages:
  features:
    cmd: cp source.csv.gz features
    deps: [source.csv.gz]
    outs: [features]
  power:
    cmd: cp features power
    deps: [features]
    outs: [power]
  losses:
    cmd: cp power losses
    deps: [features, power]
    outs: [losses]
"""


def make_project(root: Path) -> Path:
    """The wind example, applied with one trial; the plan that a first `plan` remembers is part of a project in use."""
    _run(FILIERA, "init", str(root), "--owner", "bench", "--purpose", "bench", "--example", "wind")
    _run(FILIERA, "--project", str(root), "apply", "--trials", "1")
    _run(FILIERA, "--project", str(root), "plan", "--check")
    return root


def make_dvc(dvc: str, root: Path, source: Path) -> Path:
    root.mkdir()
    (root / "source.csv.gz").write_bytes(source.read_bytes())
    (root / "dvc.yaml").write_text(STAGES)
    _run(dvc, "init", "--no-scm", "-q", cwd=root)
    for setting in ("analytics", "check_update"):
        _run(dvc, "config", f"core.{setting}", "false", cwd=root)
    _run(dvc, "repro", "-q", cwd=root)
    assert "up to date" in _run(dvc, "status", cwd=root)
    return root


def commands(folder: Path) -> dict[str, Command]:
    project = make_project(folder / "wind")
    found: dict[str, Command] = {
        STARTED: ([sys.executable, "-c", "pass"], folder),
        HELP: ([FILIERA, "--help"], folder),
        PLAN: ([FILIERA, "--project", str(project), "plan", "--check"], folder),  # fails when there is work to do
    }
    python = record.peer_python("dvc")
    if python:
        os.environ |= {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": f"{folder}/site"}
        dvc = str(Path(python).with_name("dvc"))
        source = next((project / "data").rglob("*.csv.gz"))
        root = make_dvc(dvc, folder / "dvc", source)
        found |= {DVC_HELP: ([dvc, "--help"], root), DVC_STATUS: ([dvc, "status", "-q"], root)}
    return found


def timed(command: Command) -> float:
    words, folder = command
    began = time.perf_counter()
    subprocess.run(words, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def _run(*words: str, cwd: Path | None = None) -> str:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} gave {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def headline(medians: Mapping[str, float]) -> dict[str, float]:
    start = medians[STARTED]
    found = {
        "--help over python, s": medians[HELP] - start,
        "plan over python, s": medians[PLAN] - start,
        "--help to python": medians[HELP] / start,
        "plan to python": medians[PLAN] / start,
    }
    for ours, theirs in ((HELP, DVC_HELP), (PLAN, DVC_STATUS)):
        if theirs in medians:
            found[f"{ours} to {theirs}"] = medians[ours] / medians[theirs]
    return found


def main(times: int = TIMES) -> None:
    with record.scratch() as folder:
        asked = commands(folder)
        for command in asked.values():
            timed(command)  # once for byte code and page cache
        took: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(times):
            for name, command in asked.items():
                took[name].append(timed(command))
    medians = {name: statistics.median(each) for name, each in took.items()}
    for name, each in took.items():
        print(f"  {name:15} median {medians[name]:.3f} s [{min(each):.3f} - {max(each):.3f}]")
    figures = {"times": times, "median_s": medians, "seconds": took}
    record.write("noop_plan", QUESTION, figures, headline(medians))


if __name__ == "__main__":
    main()
