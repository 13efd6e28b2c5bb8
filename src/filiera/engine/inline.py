"""Tasks in this process, one after the other: for debugging a pipeline and for tests, never for code of others."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Iterator

from filiera.engine.task import Result, Task, Waiting
from filiera.worker import LOG_BYTES, run


class InlineEngine:
    """Runs a task when its result is waited for: no limits, no look at what is read; a dead task is a dead caller."""

    def __init__(self) -> None:
        self.capacity = 1
        self._waiting = Waiting()

    def submit(self, task: Task) -> None:
        """Queue a task."""
        self._waiting.tasks.append(task)

    def wait(self, timeout_s: float | None = None) -> list[Result]:  # noqa: ARG002  nothing to wait for
        """The result of the oldest task; none when there is no task."""
        task = self._waiting.take()
        return [] if task is None else [_run(task)]

    def cancel(self, task_id: str) -> None:
        """Forget a task; it gives no result."""
        self._waiting.drop(task_id)

    def close(self) -> None:
        """Forget every task."""
        self._waiting.tasks.clear()

    def __enter__(self) -> InlineEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _run(task: Task) -> Result:
    log = io.StringIO()
    arguments = json.loads(json.dumps(dict(task.arguments)))  # as they would arrive in another process
    views = [buffer.view() for buffer in task.inputs]
    with _bundle(task.bundle), contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        answer, outputs = run(task.function, arguments, views, task.bundle)
    try:
        value = json.loads(json.dumps(answer.get("value")))
    except (TypeError, ValueError) as error:
        answer["error"] = {"kind": "WorkError", "code": "work.result", "message": f"the result cannot be sent: {error}"}
        for buffer in outputs:
            buffer.close()
        value, outputs = None, []
    return Result(
        id=task.id,
        value=value,
        outputs=tuple(outputs),
        seconds=answer["seconds"],
        cpu_seconds=answer["cpu_seconds"],
        error=answer.get("error"),
        log=log.getvalue()[-LOG_BYTES:],
    )


@contextlib.contextmanager
def _bundle(folder: str | None) -> Iterator[None]:
    """The modules of a bundle, for one task: another one may have modules of the same name."""
    if folder is None:
        yield
        return
    before, writes = set(sys.modules), sys.dont_write_bytecode
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = True
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        sys.path.remove(folder)
        sys.dont_write_bytecode = writes
        for name in set(sys.modules) - before:
            if (getattr(sys.modules[name], "__file__", None) or "").startswith(folder):
                del sys.modules[name]
