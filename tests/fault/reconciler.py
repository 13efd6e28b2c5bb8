"""A turn of `filiera up` in forked children that die at step 1, 2, 3 ... of it.

reconciler.py TEMPLATE FOLDER SHARE OF [all]    steps SHARE, SHARE + OF, ... until a child is not killed

A step is the moment before a ledger statement that may change something (which is the moment after the one before), or
before or after a durable call of the lake. With `all`, any moment before or after any statement, those that read too.
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
from automations import BEGIN_US, Up
from filiera.automation.work import LEASE_S
from filiera.clock import US_PER_S

EVERY = sys.argv[-1] == "all"
LATER_US = BEGIN_US + 100 * US_PER_S


def kill_everywhere(template: Path, folder: Path, share: int, of: int) -> None:
    """Print for every step what a project holds that came up again; the last line is a child that lived."""
    step, alive = share, False
    while not alive:
        root = folder / f"step{step}"
        shutil.copytree(template, root)
        status = _forked(partial(_die_at, step, root))
        alive = status == 0
        sys.stdout.write(json.dumps({"step": step, "status": status, **json.loads(_report(root))}) + "\n")
        sys.stdout.flush()
        shutil.rmtree(root)
        step += of


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


def _die_at(step: int, root: Path) -> None:
    passed = 0

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

    def statement(*words: object, **_: object) -> None:
        if EVERY or not str(words[2]).lstrip().upper().startswith(("SELECT", "PRAGMA")):
            count()

    up = Up.open(root, LATER_US)
    os.fsync, os.rename = counted(os.fsync), counted(os.rename)  # type: ignore[assignment]
    sa.event.listen(sa.Engine, "before_cursor_execute", statement)
    if EVERY:
        sa.event.listen(sa.Engine, "after_cursor_execute", statement)
    assert up.turn().failure is None


def _report(root: Path) -> str:
    """What the project holds now, and after the next `up` had its turns."""
    read, write_end = os.pipe()

    def look() -> None:
        up = Up.open(root, LATER_US + US_PER_S, "next")
        seen: dict[str, object] = {"chain": up.workspace.verify_audit().ok, "then": up.state()}
        for _ in range(4):
            up.turn(later_s=LEASE_S)
        seen |= {
            "end": up.state(),
            "data": sum(event.kind == "data" for event in up.events()),
            "intents": sorted(f"{intent.environment} {intent.state}" for intent in up.intents()),
            "chain_after": up.workspace.verify_audit().ok,
        }
        os.write(write_end, json.dumps(seen).encode())

    assert _forked(look) == 0
    os.close(write_end)
    with os.fdopen(read, "rb") as stream:
        return stream.read().decode()


if __name__ == "__main__":
    kill_everywhere(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
