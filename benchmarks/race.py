"""Processes that append the same batches to one table: they start together and say what was acknowledged.

Nothing of filiera is imported, so that the interpreter of a peer can run it as well.
"""

from __future__ import annotations

import multiprocessing
import queue
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

ROWS = 1_000
WRITERS = 10
PREPARED = 300  #: batches that a writer has ready; it stops when they are used up
COLUMNS = ("v0", "v1", "v2", "v3")


class Appender(Protocol):
    """One writer of a table, in its own process; made with the folder and the writer's number."""

    def ready(self, rows: pa.Table, number: int) -> Any:
        """What `append` wants; made before the clock runs."""
        ...

    def append(self, made: Any) -> int:
        """Commit; gives the number of its retries. It is acknowledged when it returns."""
        ...


@dataclass(frozen=True, slots=True)
class Race:
    """What a race came to."""

    wall_s: float
    commits: list[int]  #: by writer, without the one that it warmed up with
    waits_s: list[float] = field(repr=False)  #: of each commit, ascending
    cpu_s: float  #: of all writers
    retries: int

    def figures(self) -> dict[str, float]:
        """The race in numbers."""
        total = sum(self.commits)
        return {
            "commits": total, "wall_s": round(self.wall_s, 2), "commits_per_s": round(total / self.wall_s, 1),
            "rows_per_s": round(total * ROWS / self.wall_s), "wait_p50_s": round(float(np.median(self.waits_s)), 4),
            "wait_p99_s": round(float(np.quantile(self.waits_s, 0.99)), 4), "wait_worst_s": round(self.waits_s[-1], 3),
            "cpu_ms_per_commit": round(1e3 * self.cpu_s / total, 2),
            "least_of_a_writer": min(self.commits), "most_of_a_writer": max(self.commits), "retries": self.retries,
        }  # fmt: skip


def batch(writer: int, number: int) -> pa.Table:
    """A thousand seconds of one device: the batches of the same number overlap in time, as those of a plant do."""
    draw = np.random.default_rng([writer, number])
    seconds = np.arange(number * ROWS, (number + 1) * ROWS)
    times = pa.array(seconds * 1_000_000, pa.timestamp("us", "UTC"))
    return pa.table({"device": [f"d{writer}"] * ROWS, "at": times} | {c: draw.standard_normal(ROWS) for c in COLUMNS})


def race(appender: type[Appender], folder: Path, *, seconds: float, most: Sequence[int] = ()) -> Race:
    """Let the writers append until the time is over, or each until it has made its number of commits in `most`.

    Each makes one commit before the clock runs: imports and first connections are no part of the answer.
    """
    context = multiprocessing.get_context("spawn")
    go, told = context.Event(), context.Queue()
    limits = list(most) or [PREPARED] * WRITERS
    arguments = [(appender, folder, writer, limits[writer], seconds, go, told) for writer in range(WRITERS)]
    writers = [context.Process(target=_write, args=each, daemon=True) for each in arguments]
    for writer in writers:
        writer.start()
    for _ in writers:
        _next(told, writers)
    began = time.monotonic()
    go.set()
    ended = sorted((_next(told, writers) for _ in writers), key=lambda each: each["writer"])
    for writer in writers:
        writer.join()
    return Race(
        wall_s=max(each["ended"] for each in ended) - began,
        commits=[len(each["waits"]) for each in ended],
        waits_s=sorted(wait for each in ended for wait in each["waits"]),
        cpu_s=sum(each["cpu_s"] for each in ended),
        retries=sum(each["retries"] for each in ended),
    )


def _next(told: Any, writers: Sequence[Any]) -> Any:
    """The next message of a writer; an error when one died."""
    while True:
        try:
            return told.get(timeout=1)
        except queue.Empty:
            if any(writer.exitcode for writer in writers):
                raise RuntimeError("a writer died; its error stands above") from None


def _write(appender: Any, folder: Path, writer: int, most: int, seconds: float, go: Any, told: Any) -> None:
    mine: Appender = appender(folder, writer)
    made = [mine.ready(batch(writer, number), number) for number in range(most + 1)]
    mine.append(made[0])
    told.put(writer)
    go.wait()
    waits, retries, end, cpu = [], 0, time.monotonic() + seconds, time.process_time()
    for each in made[1:]:
        if time.monotonic() > end:
            break
        began = time.perf_counter()
        retries += mine.append(each)
        waits.append(time.perf_counter() - began)
    used = time.process_time() - cpu
    told.put({"writer": writer, "ended": time.monotonic(), "waits": waits, "retries": retries, "cpu_s": used})


def compare(found: pa.Table, commits: Sequence[int]) -> dict[str, int]:
    """Rows that were acknowledged and are not there, are there twice, differ, or were never acknowledged."""
    parts = [batch(writer, number) for writer, count in enumerate(commits) for number in range(count + 1)]
    expected_keys, expected = _keyed(pa.concat_tables(parts))
    keys, values = _keyed(found)
    once, place = np.unique(keys, return_index=True)
    _, left, right = np.intersect1d(expected_keys, once, assume_unique=True, return_indices=True)
    return {
        "lost_rows": len(expected_keys) - len(left),
        "doubled_rows": len(keys) - len(once),
        "changed_rows": int((expected[left] != values[place[right]]).any(axis=1).sum()),
        "unknown_rows": len(once) - len(right),
    }


def _keyed(rows: pa.Table) -> tuple[Any, Any]:
    writers = np.array([int(name[1:]) for name in rows["device"].cast(pa.string()).to_pylist()], np.int64)
    seconds = rows["at"].cast(pa.int64()).to_numpy() // 1_000_000
    return writers * 10**9 + seconds, np.column_stack([rows[name].to_numpy() for name in COLUMNS])
