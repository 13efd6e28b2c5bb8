"""Processes of this machine, forked by a zygote in the project's interpreter."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from filiera.engine import wire
from filiera.engine.memory import SharedBuffer
from filiera.engine.task import Result, Scope, Task, Waiting, module_of
from filiera.engine.zygote import Zygote
from filiera.errors import UnavailableError

#: How often private memory is looked at; a task can outrun its limit by what it takes in this time.
MEMORY_CHECK_S = 0.1
#: A child that stops in the middle of a message is taken for dead after this.
MESSAGE_TIMEOUT_S = 60.0


@dataclass(slots=True)
class _Slot:
    sock: socket.socket
    pid: int
    bundle: str | None  #: a process never sees the code of two bundles: modules stay loaded
    scope: Scope
    reads: frozenset[str] = frozenset()  #: names of what it read
    task: Task | None = None
    began: float = 0.0

    def fits(self, task: Task) -> bool:
        """Whether it is free to run a task as a fresh process would."""
        if self.task is not None or self.bundle != task.bundle or self.scope.variables != task.scope.variables:
            return False
        return self.scope.asset == task.scope.asset or all(module_of(name) in task.scope.modules for name in self.reads)


class ProcessEngine:
    """Runs each task in a child process; a child that dies loses its own task only.

    One thread at a time may use it. The folder for scratch files is private and gone after `close`.

    Args:
        capacity: tasks at the same time.
        python: the project's interpreter; None = this one.
        preload: modules that the zygote imports before it forks.
        watched: folders in which every read of the code is told.
    """

    def __init__(
        self,
        capacity: int,
        *,
        python: str | None = None,
        preload: tuple[str, ...] = ("numpy",),
        watched: Sequence[str] = (),
    ) -> None:
        self.capacity = capacity
        self._python = python
        self._preload = preload
        self._watched = list(watched)
        self._zygote: Zygote | None = None
        self._launched: Zygote | None = None  #: nobody has shaken hands with it yet
        self._folder: str | None = None
        self._slots: list[_Slot] = []
        self._waiting = Waiting()
        self._selector = selectors.DefaultSelector()

    def start(self) -> None:
        """Start the zygote now, so that the first task does not wait for its imports."""
        self._start()

    def launch(self) -> None:
        """Start the zygote's process and do not wait for its imports; what is wrong with it is told when it is used."""
        if self._zygote is None and self._launched is None:
            with contextlib.suppress(UnavailableError):
                self._launched = self._launch()

    def submit(self, task: Task) -> None:
        """Queue a task; it starts at once when a slot is free."""
        self._waiting.tasks.append(task)
        self._feed()

    def wait(self, timeout_s: float | None = None) -> list[Result]:
        """Results since the last call; blocks until there is one, or the timeout, or nothing runs."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while any(slot.task for slot in self._slots):
            left = None if end is None else max(0.0, end - time.monotonic())
            ready = [key.data for key, _ in self._selector.select(self._patience(left))]
            found = [result for slot in ready if (result := self._collect(slot)) is not None]
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
        self._waiting.tasks.clear()
        for slot in list(self._slots):
            self._kill(slot)
        for zygote in (self._zygote, self._launched):
            if zygote:
                zygote.close()
        self._zygote = self._launched = None
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        self._selector.close()

    def __enter__(self) -> ProcessEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _patience(self, left: float | None) -> float | None:
        running = [(slot, slot.task) for slot in self._slots if slot.task]
        bounds = [slot.began + task.timeout_s - time.monotonic() for slot, task in running if task.timeout_s]
        bounds += [MEMORY_CHECK_S for _, task in running if task.memory_limit_bytes]
        bounds += [left] if left is not None else []
        return max(0.0, min(bounds)) if bounds else None

    def _overdue(self) -> list[Result]:
        """End the tasks that went over a limit."""
        results = []
        for slot in list(self._slots):
            task, elapsed = slot.task, time.monotonic() - slot.began
            if task is None:
                continue
            used = private_bytes(slot.pid) if task.memory_limit_bytes else 0
            if task.timeout_s and elapsed >= task.timeout_s:
                error = _stopped("work.timeout", f"stopped after {task.timeout_s:g} s", "")
            elif task.memory_limit_bytes and used > task.memory_limit_bytes:
                error = _stopped(
                    "work.memory", f"stopped at {used >> 20} MiB of memory, over its limit of "
                    f"{task.memory_limit_bytes >> 20} MiB", "use less data at once, or raise the limit",
                )  # fmt: skip
            else:
                continue
            self._kill(slot)
            results.append(Result(id=task.id, seconds=elapsed, peak_bytes=used, error=error))
        return results

    def _feed(self) -> None:
        while self._waiting.tasks:
            task = self._waiting.tasks[0]
            slot = self._free(task)
            if slot is None:
                return
            message = {
                "id": task.id,
                "function": task.function,
                "arguments": dict(task.arguments),
                "bundle": task.bundle,
                "variables": dict(task.scope.variables),
                "watched": self._watched,
                "sizes": [buffer.size_bytes for buffer in task.inputs],
            }
            try:
                wire.send(slot.sock, message, [buffer.fd for buffer in task.inputs])
            except wire.ClosedError:  # it died while it was idle
                self._kill(slot)
                continue
            except ValueError:
                self._waiting.take()
                raise
            self._waiting.take()
            slot.task, slot.scope, slot.began = task, task.scope, time.monotonic()

    def _free(self, task: Task) -> _Slot | None:
        """A slot for this code; one that ran other code makes room."""
        slot = next((slot for slot in self._slots if slot.fits(task)), None)
        if slot is not None:
            return slot
        if len(self._slots) >= self.capacity:
            idle = [slot for slot in self._slots if slot.task is None]
            if not idle:
                return None
            self._kill(idle[0])
        return self._fork(task)

    def _collect(self, slot: _Slot) -> Result | None:
        task, elapsed = slot.task, time.monotonic() - slot.began
        fds: list[int] = []
        try:
            answer, fds = wire.receive(slot.sock)
            if task is None or answer["id"] != task.id:
                raise ValueError("a message that nobody asked for")
            result = _result(answer, fds, self._watched)
        except (wire.ClosedError, OSError, ValueError, KeyError, TypeError):  # dead, or no longer our code
            for fd in fds:
                os.close(fd)
            self._kill(slot)
            return Result(id=task.id, seconds=elapsed, lost=True) if task else None
        slot.task, slot.reads = None, frozenset(result.reads)
        return result

    def _kill(self, slot: _Slot) -> None:
        """End a child with everything it started."""
        self._slots.remove(slot)
        self._selector.unregister(slot.sock)
        slot.sock.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(slot.pid, signal.SIGKILL)
        shutil.rmtree(os.path.join(self._folder or "", str(slot.pid)), ignore_errors=True)

    def _fork(self, task: Task) -> _Slot:
        try:
            sock, pid = self._start().fork()
        except wire.ClosedError:  # the zygote was killed, and its children with it
            if self._zygote:
                self._zygote.close()
            self._zygote = None
            sock, pid = self._start().fork()
        sock.settimeout(MESSAGE_TIMEOUT_S)
        slot = _Slot(sock, pid, task.bundle, task.scope)
        self._slots.append(slot)
        self._selector.register(sock, selectors.EVENT_READ, slot)
        return slot

    def _start(self) -> Zygote:
        if self._zygote is None:
            launched, self._launched = self._launched or self._launch(), None
            self._zygote = launched.ready()
        return self._zygote

    def _launch(self) -> Zygote:
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="filiera-")
        os.makedirs(self._folder, 0o700, exist_ok=True)
        return Zygote.launch(self._python, self._preload, self._folder)


def private_bytes(pid: int) -> int:
    """Memory of a process that is its own, in memory and swapped out; 0 where the system does not say."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            lines = dict(line.split(":", 1) for line in file if ":" in line)
    except OSError:
        return 0
    return sum(int(lines.get(name, "0").split()[0]) * 1024 for name in ("RssAnon", "VmSwap"))


def _stopped(code: str, message: str, advice: str) -> dict[str, str]:
    return {"kind": "WorkError", "code": code, "message": message, "details": "", "next": advice}


def _result(answer: dict[str, Any], fds: list[int], watched: Sequence[str]) -> Result:
    return Result(
        id=answer["id"],
        value=answer.get("value"),
        outputs=tuple(SharedBuffer.received(fd, size) for fd, size in zip(fds, answer["sizes"], strict=True)),
        seconds=answer["seconds"],
        cpu_seconds=answer["cpu_seconds"],
        peak_bytes=answer["peak_bytes"],
        error=answer.get("error"),
        reads=_told(answer["reads"], watched),
        log=answer["log"],
        confinement=answer["confinement"],
    )


def _told(reads: dict[str, str], watched: Sequence[str]) -> dict[str, str]:
    """The reads with names that a read can have: a plan will look there, and the code may have made them up."""
    if not isinstance(reads, dict) or not all(isinstance(part, str) for pair in reads.items() for part in pair):
        raise ValueError("reads are texts")
    straight = {name: content for name, content in reads.items() if ".." not in name.split("/")}
    return {
        name: content
        for name, content in straight.items()
        if not os.path.isabs(name) or any(name.startswith(folder + os.sep) for folder in watched)
    }
