"""Processes of this machine, forked by a zygote in the project's interpreter."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from filiera.engine import wire
from filiera.engine.memory import SharedBuffer
from filiera.engine.task import Result, Task, Waiting
from filiera.errors import UnavailableError

PROTOCOL = 1
#: One native thread per process: as many processes as cores, no more.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_NUM_THREADS", "POLARS_MAX_THREADS",
    "NUMEXPR_NUM_THREADS",
)  # fmt: skip
START_TIMEOUT_S = 120.0


@dataclass(slots=True)
class _Slot:
    sock: socket.socket
    pid: int
    task: Task | None = None
    began: float = 0.0


class ProcessEngine:
    """Runs each task in a child process; a child that dies loses its own task only.

    Args:
        capacity: tasks at the same time.
        python: the project's interpreter; None = this one.
        preload: modules that the zygote imports before it forks.
    """

    def __init__(self, capacity: int, *, python: str | None = None, preload: tuple[str, ...] = ("numpy",)) -> None:
        self.capacity = capacity
        self._python = python or sys.executable
        self._preload = preload
        self._zygote: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._slots: list[_Slot] = []
        self._waiting = Waiting()
        self._selector = selectors.DefaultSelector()

    def submit(self, task: Task) -> None:
        """Queue a task; it starts at once when a slot is free."""
        self._waiting.tasks.append(task)
        self._feed()

    def wait(self, timeout_s: float | None = None) -> list[Result]:
        """Results since the last call; blocks until there is one, or the timeout, or nothing runs."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while any(slot.task for slot in self._slots):
            left = None if end is None else max(0.0, end - time.monotonic())
            found = [self._collect(key.data) for key, _ in self._selector.select(self._patience(left))]
            found += self._overdue()
            self._feed()
            if found:
                return found
            if end is not None and time.monotonic() >= end:
                break
        return []

    def cancel(self, task_id: str) -> None:
        """End a task; it gives no result."""
        if self._waiting.drop(task_id):
            return
        for slot in self._slots:
            if slot.task and slot.task.id == task_id:
                self._kill(slot)
                break
        self._feed()

    def close(self) -> None:
        """End the zygote and every child it forked."""
        for slot in list(self._slots):
            self._kill(slot)
        if self._control:
            self._control.close()
            self._control = None
        if self._zygote:
            self._zygote.kill()
            self._zygote.wait()
            self._zygote = None
        self._selector.close()

    def __enter__(self) -> ProcessEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _patience(self, left: float | None) -> float | None:
        limits = [s.began + s.task.timeout_s - time.monotonic() for s in self._slots if s.task and s.task.timeout_s]
        bounds = [max(0.0, bound) for bound in (*limits, *([left] if left is not None else []))]
        return min(bounds) if bounds else None

    def _overdue(self) -> list[Result]:
        results = []
        for slot in list(self._slots):
            task = slot.task
            if task and task.timeout_s and time.monotonic() - slot.began >= task.timeout_s:
                self._kill(slot)
                message = f"stopped after {task.timeout_s:g} s"
                error = {"kind": "WorkError", "code": "work.timeout", "message": message, "details": ""}
                results.append(Result(id=task.id, seconds=task.timeout_s, error=error))
        return results

    def _feed(self) -> None:
        while self._waiting.tasks:
            slot = next((slot for slot in self._slots if slot.task is None), None)
            if slot is None:
                if len(self._slots) >= self.capacity:
                    return
                slot = self._fork()
            task = self._waiting.take()
            assert task is not None
            slot.task, slot.began = task, time.monotonic()
            message = {
                "id": task.id,
                "function": task.function,
                "arguments": dict(task.arguments),
                "bundle": task.bundle,
                "sizes": [buffer.size_bytes for buffer in task.inputs],
            }
            # a child that is gone is found by its closed socket at the next wait
            with contextlib.suppress(wire.Closed):
                wire.send(slot.sock, message, [buffer.fd for buffer in task.inputs])

    def _collect(self, slot: _Slot) -> Result:
        task = slot.task
        assert task is not None, "an idle child says nothing"
        try:
            answer, fds = wire.receive(slot.sock)
        except wire.Closed:
            elapsed = time.monotonic() - slot.began
            self._kill(slot)
            return Result(id=task.id, seconds=elapsed, lost=True)
        slot.task = None
        return _result(answer, fds)

    def _kill(self, slot: _Slot) -> None:
        self._slots.remove(slot)
        self._selector.unregister(slot.sock)
        slot.sock.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(slot.pid, signal.SIGKILL)

    def _fork(self) -> _Slot:
        control = self._start()
        ours, theirs = socket.socketpair()
        wire.send(control, {"op": "slot"}, [theirs.fileno()])
        theirs.close()
        answer, _ = wire.receive(control)
        slot = _Slot(ours, answer["pid"])
        self._slots.append(slot)
        self._selector.register(ours, selectors.EVENT_READ, slot)
        return slot

    def _start(self) -> socket.socket:
        if self._control is not None:
            return self._control
        ours, theirs = socket.socketpair()
        command = [self._python, "-m", "filiera.worker", str(theirs.fileno()), ",".join(self._preload)]
        self._zygote = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], env=_environment(), stdin=subprocess.DEVNULL, start_new_session=True
        )
        theirs.close()
        ours.settimeout(START_TIMEOUT_S)
        try:
            answer, _ = wire.receive(ours)
        except (wire.Closed, TimeoutError) as error:
            raise UnavailableError(
                "engine.no_start", "the project's interpreter does not start", where=self._python,
                expected="a Python with filiera installed", next="check `python` in [project]",
            ) from error
        ours.settimeout(None)
        if answer["protocol"] != PROTOCOL:
            raise UnavailableError(
                "engine.protocol", "the project's interpreter has another filiera", where=self._python,
                expected=f"protocol {PROTOCOL}", found=f"protocol {answer['protocol']}",
            )
        self._control = ours
        return ours


def _environment() -> dict[str, str]:
    """What a child may know of this machine: nothing but where its programs and libraries are."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TZ") if name in os.environ}
    return kept | dict.fromkeys(THREAD_VARIABLES, "1") | {"HOME": "/nonexistent", "PYTHONHASHSEED": "0"}


def _result(answer: dict[str, Any], fds: list[int]) -> Result:
    outputs = tuple(SharedBuffer(fd, size) for fd, size in zip(fds, answer["sizes"], strict=True))
    return Result(
        id=answer["id"],
        value=answer.get("value"),
        outputs=outputs,
        seconds=answer["seconds"],
        cpu_seconds=answer["cpu_seconds"],
        peak_bytes=answer["peak_bytes"],
        error=answer.get("error"),
        log=answer["log"],
    )
