"""An engine for tests: tasks run one after the other in this process, and chosen ones lose their process."""

from __future__ import annotations

import importlib
import json
import sys
import time
import traceback
from collections.abc import Iterable

from filiera.engine.memory import SharedBuffer
from filiera.engine.task import Result, Task
from filiera.errors import FilieraError


class DirectEngine:
    def __init__(self, capacity: int = 1, *, lose: Iterable[str] = (), newest_first: bool = False) -> None:
        self.capacity = capacity
        self.waiting: list[Task] = []
        self.started: list[Task] = []
        self.cancelled: list[str] = []
        self._lose = set(lose)
        self._newest_first = newest_first

    def submit(self, task: Task) -> None:
        json.dumps(dict(task.arguments), allow_nan=False)  # arguments travel as JSON
        self.waiting.append(task)
        self.started.append(task)

    def wait(self, timeout_s: float | None = None) -> list[Result]:
        if not self.waiting:
            return []
        return [self._run(self.waiting.pop(-1 if self._newest_first else 0))]

    def cancel(self, task_id: str) -> None:
        self.cancelled.append(task_id)
        self.waiting = [task for task in self.waiting if task.id != task_id]

    def close(self) -> None:
        self.waiting = []

    def _run(self, task: Task) -> Result:
        if task.id in self._lose:
            return Result(id=task.id, lost=True, seconds=0.1)
        module, _, name = task.function.partition(":")
        outputs: list[SharedBuffer] = []
        began = time.perf_counter()
        if task.bundle:
            sys.path.insert(0, task.bundle)
        try:
            value = getattr(importlib.import_module(module), name)(
                dict(task.arguments), [buffer.view() for buffer in task.inputs],
                lambda data: outputs.append(SharedBuffer.create([data])),
            )  # fmt: skip
            json.dumps(value, allow_nan=False)
        except Exception as error:
            code = error.code if isinstance(error, FilieraError) else "work.failed"
            found = {"kind": type(error).__name__, "code": code, "message": str(error)}
            found["details"] = traceback.format_exc()
            return Result(id=task.id, seconds=0.1, error=found)
        finally:
            if task.bundle:
                sys.path.remove(task.bundle)
        return Result(
            id=task.id, value=value, outputs=tuple(outputs), seconds=time.perf_counter() - began, peak_bytes=1 << 20
        )
