"""Threads for predictions, a few per model: a model that hangs holds up neither the others nor the pages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from filiera.errors import UnavailableError

#: At work at the same time per model; its child takes one at a time, checking and reading of rows overlap with it.
AT_ONCE = 4
#: Requests that may wait per model; each holds its body in memory.
MOST_WAITING = 64
PATIENCE_S = 20.0
MOST_THREADS = 256

Answer = TypeVar("Answer")


class TooManyError(UnavailableError):
    """More requests at once than one model can take."""

    http_status = 429


class Lanes:
    """One lane per model. Used from the server's event loop only."""

    def __init__(
        self, *, at_once: int = AT_ONCE, most_waiting: int = MOST_WAITING, patience_s: float = PATIENCE_S
    ) -> None:
        self._at_once = at_once
        self._most_waiting = most_waiting
        self._patience_s = patience_s
        self._lanes: dict[str, asyncio.Semaphore] = {}
        self._waiting: dict[str, int] = {}
        self._threads: CapacityLimiter | None = None

    async def run(self, model: str, work: Callable[[], Answer]) -> Answer:
        """Do the work in a thread, in the model's lane.

        Args:
            model: a released one; lanes of other names would pile up.
            work: what to do.

        Raises:
            TooManyError: too many wait already.
            UnavailableError: no turn in time.
        """
        if self._threads is None:
            self._threads = CapacityLimiter(MOST_THREADS)
        lane = self._lanes.setdefault(model, asyncio.Semaphore(self._at_once))
        await self._enter(model, lane)
        try:
            return await to_thread.run_sync(work, limiter=self._threads)
        finally:
            lane.release()

    async def _enter(self, model: str, lane: asyncio.Semaphore) -> None:
        waiting = self._waiting.get(model, 0)
        if waiting >= self._most_waiting:
            raise TooManyError(
                "predict.too_fast", f"too many requests wait for {model}", expected=f"at most {self._most_waiting}",
                next="try again; ask for many records in one request",
            )  # fmt: skip
        self._waiting[model] = waiting + 1
        try:
            async with asyncio.timeout(self._patience_s):
                await lane.acquire()
        except TimeoutError as error:
            raise UnavailableError(
                "predict.busy", f"{model} is busy", found=f"no turn in {self._patience_s:g} s", next="try again"
            ) from error
        finally:
            self._waiting[model] -= 1
