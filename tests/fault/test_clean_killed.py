"""gc killed at every ledger statement and move of a file: what is reachable reads, and the next run completes it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from cleaning import KEEP, World
from lakes import DAY, open_lake


@pytest.mark.slow
@pytest.mark.parametrize("work", ["clean", "restore"])
def test_killed_at_any_step_everything_reachable_reads_and_the_next_run_completes(tmp_path: Path, work: str) -> None:
    """In a process of its own: it forks, and the children are killed."""
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path), work], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    seen = [json.loads(line) for line in done.stdout.splitlines()]
    killed, calm = seen[:-1], seen[-1]
    assert calm["status"] == 0
    assert len(killed) > 20
    assert {item["status"] for item in killed} == {signal.SIGKILL}
    assert len({json.dumps(item["after"]) for item in killed}) > 3, "the kills hit different states"
    for item in killed:
        assert item["end"] == calm["end"], item["step"]


def _world(folder: Path) -> World:
    """Something in the trash that is due, something that is not, and something that can be freed."""
    world = World(folder, random.Random(5))
    for _ in range(4):
        world.ingest()
        world.compute()
        world.train()
        world.advance("dev")
    world.clock.us += 6 * DAY
    world.cleaner.clean()
    world.clock.us += KEEP.trash_us - 3 * DAY
    world.compute()
    world.compute()
    world.advance("dev")
    world.compact()
    world.clock.us += 6 * DAY
    return world


def _state(world: World) -> dict[str, Any]:
    return {"lake": sorted(world.files()), "trash": world.lake.objects.trash.names()}


def _kill_everywhere(folder: Path, work: str) -> None:
    world = _world(folder / "base")
    world.lake.ledger.close()
    step, alive = 0, False
    while not alive:
        step += 1
        world.folder = folder / "copy"
        shutil.rmtree(world.folder, ignore_errors=True)
        shutil.copytree(folder / "base", world.folder)
        status = _forked(lambda: _die_at(world, step, work))  # noqa: B023 - it runs at once
        alive = status == 0
        read, write = os.pipe()
        assert _forked(lambda: _look(world, work, write)) == 0  # noqa: B023
        os.close(write)
        with os.fdopen(read) as stream:
            line = {"step": step, "status": status, **json.load(stream)}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def _die_at(world: World, step: int, work: str) -> None:
    """Clean or restore, and be killed at the step-th move, sync or writing statement, before or after it."""
    passed = 0

    def count() -> None:
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

    def statement(_connection: object, _cursor: object, text: str, *_: object) -> None:
        if not text.startswith(("SELECT", "PRAGMA")):  # nothing changes in between
            count()

    world.lake = open_lake(world.folder, world.clock)
    os.fsync, os.rename, os.unlink = counted(os.fsync), counted(os.rename), counted(os.unlink)  # type: ignore[assignment]
    sa.event.listen(sa.Engine, "before_cursor_execute", statement)
    sa.event.listen(sa.Engine, "after_cursor_execute", statement)
    getattr(world.cleaner, work)()


def _look(world: World, work: str, out: int) -> None:
    """What stands after the kill: all that must stay reads; the same work again ends it, and again finds nothing."""
    world.lake = open_lake(world.folder, world.clock)
    seen = {"after": _state(world)}
    world.check()
    getattr(world.cleaner, work)()
    world.check()
    seen["end"] = _state(world)
    getattr(world.cleaner, work)()
    assert _state(world) == seen["end"]
    os.write(out, json.dumps(seen).encode())


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


if __name__ == "__main__":
    _kill_everywhere(Path(sys.argv[1]), sys.argv[2])
