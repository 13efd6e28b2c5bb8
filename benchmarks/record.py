"""What every benchmark needs: a folder of its own, the peers' interpreter, and a record of its answer.

A record is one JSON file in `benchmarks/out`: question, figures, machine, date and commit. A new answer is printed
beside the last one.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PEERS = "FILIERA_BENCH_PEERS"  #: variable that names the interpreter of the peers


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards; keys and other settings of this process and its children go there too."""
    with tempfile.TemporaryDirectory(prefix="filiera-bench-") as folder:
        os.environ["XDG_CONFIG_HOME"] = f"{folder}/config"
        yield Path(folder)


def peer_python(module: str, name: str = "") -> str | None:
    """The interpreter that has `module`, or None and a hint.

    FILIERA_BENCH_PEERS names an interpreter, or a folder with an environment for each peer, which is called `name`
    there, like the module by default. Without it this interpreter is asked.
    """
    stated = os.path.abspath(os.environ.get(PEERS) or sys.executable)
    python = f"{stated}/{name or module}/bin/python" if os.path.isdir(stated) else stated
    try:
        found = subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0
    except OSError:
        found = False
    if found:
        return python
    print(f"  no {module}: its rows are left out; docs/benchmarks.md says how to install the peers")
    return None


def write(name: str, question: str, figures: Mapping[str, Any], headline: Mapping[str, float]) -> None:
    """Keep an answer, and print its headline beside the last one.

    Args:
        name: of the benchmark; the file's name.
        question: what was asked.
        figures: all that was measured.
        headline: the few ratios that tell whether it got better or worse.
    """
    path = HERE / "out" / f"{name}.json"
    last = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"headline": {}, "commit": ""}
    answer = {
        "schema": "filiera.benchmark/1", "name": name, "question": question, "headline": dict(headline),
        "figures": dict(figures), "machine": machine(), "commit": commit(),
        "measured": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }  # fmt: skip
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(answer, indent=2) + "\n", encoding="utf-8")
    for label, value in headline.items():
        before = last["headline"].get(label)
        print(f"{label}: {value:.3g}" + (f" (last time {before:.3g}, at {last['commit'][:9]})" if before else ""))


def machine() -> dict[str, Any]:
    """The machine and how busy it was; nothing that names it."""
    return {
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_1_min": round(os.getloadavg()[0], 2),  #: the benchmark's own work counts in it
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def commit() -> str:
    """The commit of this checkout, with a mark where sources differ from it."""
    head = _git("rev-parse", "HEAD")
    return f"{head}+changes" if head and _git("status", "--porcelain", "--", "src") else head or "unknown"


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=HERE.parent, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
