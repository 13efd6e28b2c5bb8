"""An engine with a clock of its own: how long a trial takes and what it scores is a function of its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from filiera.engine.task import Result, Task

Settings = Mapping[str, Any]


class SimulatedEngine:
    """Keeps the engine's promises on a clock that jumps; a score of None is a process that died."""

    def __init__(
        self, capacity: int, score: Callable[[Settings], float | None], seconds: Callable[[Settings], float]
    ) -> None:
        self.capacity = capacity
        self.now_s = 0.0
        self.most_running = 0
        self.log: list[tuple[str, str]] = []
        self._score, self._seconds = score, seconds
        self._running: dict[str, tuple[float, Task, bool]] = {}

    def clock(self) -> float:
        return self.now_s

    def submit(self, task: Task) -> None:
        assert len(self._running) < self.capacity
        wanted = self._seconds(task.arguments["settings"])
        late = task.timeout_s is not None and wanted > task.timeout_s
        end_s = self.now_s + (task.timeout_s if late and task.timeout_s is not None else wanted)
        self._running[task.id] = (end_s, task, late)
        self.most_running = max(self.most_running, len(self._running))
        self.log.append(("start", task.id))

    def wait(self, timeout_s: float | None = None) -> list[Result]:
        if not self._running:
            return []
        first = min(end_s for end_s, _, _ in self._running.values())
        if timeout_s is not None and first > self.now_s + timeout_s:
            self.now_s += timeout_s
            return []
        self.now_s = max(self.now_s, first)
        done = [name for name, (end_s, _, _) in self._running.items() if end_s <= self.now_s]
        return [self._result(name) for name in done]

    def cancel(self, task_id: str) -> None:
        self._running.pop(task_id, None)
        self.log.append(("cancel", task_id))

    def close(self) -> None:
        self._running.clear()

    def _result(self, name: str) -> Result:
        _, task, late = self._running.pop(name)
        settings = task.arguments["settings"]
        self.log.append(("end", name))
        if late:
            error = {"kind": "WorkError", "code": "work.timeout", "message": "stopped"}
            return Result(id=name, seconds=task.timeout_s or 0.0, error=error)
        score, seconds = self._score(settings), self._seconds(settings)
        if score is None:
            return Result(id=name, seconds=seconds, lost=True)
        value = {"score": score, "window_scores": [score], "warnings": []}
        return Result(id=name, seconds=seconds, value=value, peak_bytes=1 << 20)
