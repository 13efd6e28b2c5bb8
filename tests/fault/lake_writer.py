"""A writer in its own process, for tests of two writers and of kills.

lake_writer.py FOLDER NAME COUNT    commits COUNT batches; half of their rows are everybody's
lake_writer.py --kill FOLDER        commits in forked children that die at step 1, 2, 3 ... of the commit
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parents[1]))
from lakes import batch, contract, open_lake, values

NEW = [("a", 1, 1.0), ("b", 2, 5.0), ("a", 3, 3.0)]  # a repeat, a replacement, a new row


def write(folder: Path, name: str, count: int) -> None:
    lake = open_lake(folder)
    for number in range(count):
        rows = [("shared", number * 10 + i, 1.0) for i in range(5)] + [(name, number * 10 + i, 2.0) for i in range(5)]
        lake.ingest(batch(rows, f"{name}{number}.csv"), contract(), actor=name)


def kill_everywhere(folder: Path) -> None:
    """Print for every step what a reopened lake holds; the last line is a child that was not killed."""
    of = contract(on_conflict="newest")
    lake = open_lake(folder / "base")
    lake.ingest(batch([("a", 1, 1.0), ("b", 2, 2.0)], "old.csv", of), of, actor="me")
    lake.ledger.close()
    step, alive = 0, False
    while not alive:
        step += 1
        copy = folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder / "base", copy)
        status = _forked(partial(_die_at, step, copy))
        alive = status == 0
        sys.stdout.write(json.dumps({"step": step, "status": status, **json.loads(_report(copy))}) + "\n")
        sys.stdout.flush()


def _forked(body: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        try:
            body()
        except BaseException as error:
            os.write(2, repr(error).encode())
            os._exit(9)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def _die_at(step: int, folder: Path) -> None:
    """Ingest, and be killed at the step-th durable call or ledger statement, before or after it."""
    of, passed = contract(on_conflict="newest"), 0

    def count(*_: object, **__: object) -> None:
        nonlocal passed
        passed += 1
        if passed == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def run(*args: object, **named: object) -> object:
            count()
            result = call(*args, **named)
            count()
            return result

        return run

    lake = open_lake(folder)
    os.fsync, os.rename = counted(os.fsync), counted(os.rename)  # type: ignore[assignment]
    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    sa.event.listen(sa.Engine, "after_cursor_execute", count)
    lake.ingest(batch(NEW, "new.csv", of), of, actor="me")


def _report(folder: Path) -> str:
    read, write_end = os.pipe()

    def look() -> None:
        lake = open_lake(folder)
        head = lake.latest("scada")
        assert head is not None
        seen = {
            "values": sorted(values(lake).items()),
            "number": head.number,
            "chain": lake.ledger.verify().entries if lake.ledger.verify().ok else -1,
            "sums": lake.leaves(head).total().digest(head.schema) == head.semantic,
        }
        seen["swept"] = lake.sweep(older_than_s=-60.0)
        seen["readable"] = sorted(values(lake).items()) == seen["values"]
        of = contract(on_conflict="newest")
        seen["again"] = lake.ingest(batch(NEW, "new.csv", of), of, actor="me").counts.duplicates
        seen["final"] = sorted(values(lake).items())
        os.write(write_end, json.dumps(seen).encode())

    assert _forked(look) == 0
    os.close(write_end)
    with os.fdopen(read, "rb") as stream:
        return stream.read().decode()


if __name__ == "__main__":
    if sys.argv[1] == "--kill":
        kill_everywhere(Path(sys.argv[2]))
    else:
        write(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
