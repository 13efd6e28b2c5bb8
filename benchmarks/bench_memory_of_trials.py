"""How much memory does a study of 100 trials over a 400 MB matrix hold, against one copy of the matrix?

Two workers. Every tenth of a second the proportional set size (PSS: shared pages count once) of the study's process and
of all its descendants is summed. Sealed memory counts whole and once, mapped at that moment or not. The answer is the
highest sum while the trials run, divided by the 400 MB of the matrix; the highest sum while the matrix is made from a
table, which holds the same 400 MB again, is told beside it. The model is a block-wise gradient descent, whose
temporaries are small: an estimator that copies its rows (most of scikit-learn) adds its own copies per worker.

Beside it, with fewer trials of the same work: `multiprocessing` with a pickled copy for each worker, the naive way;
and joblib as it comes, whose workers map a file, but beside the caller's own copy. Limit: one copy. Linux only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import record
from descent import FEATURES, ROWS, WORKERS

QUESTION = "memory of a study of 100 trials against one copy of its 400 MB matrix"
EVERY_S = 0.1
COPY_BYTES = ROWS * FEATURES * 8
WAYS = {"study": 100, "copies": 10, "memmap": 10}  #: trials of each way
SCRIPTS = {"study": "study_of_trials.py", "copies": "peer_trials.py", "memmap": "peer_trials.py"}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def measure(way: str, trials: int, folder: Path) -> dict[str, Any]:
    """Run one way in a process tree of its own and watch it."""
    folder.mkdir()
    command = [sys.executable, str(record.HERE / SCRIPTS[way]), way, str(trials), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | ONE_THREAD)
    said: list[dict[str, Any]] = [{"phase": "rows", "at": time.monotonic()}]
    assert process.stdout
    listener = threading.Thread(target=_listen, args=(process.stdout, said))
    listener.start()
    peaks: dict[str, dict[str, int]] = {}
    while process.poll() is None:
        phase = next(each["phase"] for each in reversed(said) if "phase" in each)
        now = memory_of(process.pid)
        peaks[phase] = max(now, peaks.get(phase, now), key=lambda each: each["bytes"])
        time.sleep(EVERY_S)
    listener.join()
    if process.returncode:
        raise RuntimeError(f"{way} failed; its error stands above")
    return _facts(way, trials, said, peaks)


def _facts(way: str, trials: int, said: list[dict[str, Any]], peaks: dict[str, dict[str, int]]) -> dict[str, Any]:
    last, began = said[-1], next(each["at"] for each in said if each.get("phase") == "trials")
    assert last["end"] == trials, f"{way} made {last['end']} of {trials} trials"
    return {
        "trials": trials, "workers": WORKERS,
        "s_per_trial": round((last["at"] - began) / trials, 3),
        "trials_mb": round(peaks["trials"]["bytes"] / 1e6), "trials_copies": peaks["trials"]["bytes"] / COPY_BYTES,
        "prepare_mb": round(peaks["prepare"]["bytes"] / 1e6), "prepare_copies": peaks["prepare"]["bytes"] / COPY_BYTES,
        "peaks": peaks,
    }  # fmt: skip


def _listen(stream: IO[str], said: list[dict[str, Any]]) -> None:
    for line in stream:
        said.append(json.loads(line) | {"at": time.monotonic()})


def memory_of(root: int) -> dict[str, int]:
    """Bytes held by a process and its descendants at this moment; 0 when one came or went while they were looked at."""
    pids = list(_family(root))
    private, shared, sealed = 0, 0, {}
    for pid in pids:
        try:
            sizes = _rollup(pid)
            sealed |= _sealed(pid)
        except OSError:  # it ended while we looked
            continue
        private += sizes["Pss"] - sizes["Pss_Shmem"]
        shared += sizes["Pss_Shmem"]
    # the processes are looked at one after the other, while they map and unmap: what is sealed is counted by its file
    shared = sum(sealed.values()) or shared
    whole = private + shared if list(_family(root)) == pids else 0
    return {"bytes": whole, "private": private, "shared": shared, "processes": len(pids)}


def _family(root: int) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += children.get(pid, [])


def _rollup(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}


def _sealed(pid: int) -> dict[int, int]:
    """Sealed memory that a process has open: bytes by inode."""
    found = {}
    for link in Path(f"/proc/{pid}/fd").iterdir():
        if "memfd:" in str(link.readlink()):
            stat = link.stat()
            found[stat.st_ino] = stat.st_blocks * 512
    return found


def main(ways: dict[str, int] = WAYS) -> None:
    if not Path("/proc/self/smaps_rollup").exists():
        print("left out: only Linux tells the proportional set size")
        return
    print(f"{WORKERS} workers; one copy of the matrix: {COPY_BYTES / 1e6:.0f} MB")
    found = {}
    with record.scratch() as folder:
        for way, trials in ways.items():
            found[way] = facts = measure(way, trials, folder / way)
            print(
                f"  {way:7} {trials:3} trials, {facts['s_per_trial']:.2f} s each: {facts['trials_mb']:5} MB = "
                f"{facts['trials_copies']:.2f} copies (while made ready: {facts['prepare_copies']:.2f} copies)"
            )
    ours, naive = found["study"], found["copies"]
    headline = {
        "copies held while trials run": ours["trials_copies"],
        "MB beside the shared rows": ours["peaks"]["trials"]["private"] / 1e6,
        "copies held while the matrix is made": ours["prepare_copies"],
        "memory to the naive way": ours["trials_copies"] / naive["trials_copies"],
        "memory to joblib": ours["trials_copies"] / found["memmap"]["trials_copies"],
    }
    record.write("memory_of_trials", QUESTION, {"copy_bytes": COPY_BYTES, "ways": found}, headline)


if __name__ == "__main__":
    main()
