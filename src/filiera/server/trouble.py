"""What does not work at present: told once, shown until it works again, tried again later and later."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from filiera.clock import Clock, rfc3339
from filiera.errors import FilieraError

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One part that does not work."""

    part: str  #: "rows", "head", "spare" or "model NAME"
    error: str  #: code or type of the newest error, and its message
    since_us: int  #: first failure since it last worked

    def to_json(self) -> dict[str, Any]:
        """For people and for monitors."""
        return {"part": self.part, "error": self.error, "since": rfc3339(self.since_us)}


class Troubles:
    """The parts that do not work. Threads may share it.

    An error that was not foreseen is written with its traceback to the server's error log; each error is told once,
    not each time it comes again.

    Args:
        clock: tells since when.
        tell: takes a line for the person at the terminal.
    """

    def __init__(self, clock: Clock, tell: Callable[[str], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._lock = threading.Lock()
        self._parts: dict[str, Trouble | None] = {}

    @contextmanager
    def watching(self, part: str) -> Iterator[None]:
        """Run the body; any error of it becomes a trouble of the part, and its end without one clears it."""
        try:
            yield
        except Exception as error:
            self.report(part, error)
        else:
            self.clear(part)

    def report(self, part: str, error: Exception, about: str = "") -> None:
        """Remember that a part failed; one line when it is news."""
        text = f"{about}{_named(error)}"
        with self._lock:
            before = self._parts.get(part)
            self._parts[part] = Trouble(part, text, before.since_us if before else self._clock.now_us())
        if before is None or before.error != text:
            if not isinstance(error, FilieraError):
                _log.error("%s: an error that nobody foresaw", part, exc_info=error)
            self._tell(f"{part}: {text}")

    def clear(self, part: str) -> None:
        """The part works."""
        with self._lock:
            before = self._parts.get(part)
            self._parts[part] = None
        if before is not None:
            self._tell(f"{part}: works again")

    def forget(self, part: str) -> None:
        """The part is not needed any more."""
        with self._lock:
            self._parts.pop(part, None)

    def current(self) -> list[Trouble]:
        """What does not work now, by part."""
        with self._lock:
            return sorted((item for item in self._parts.values() if item), key=lambda item: item.part)

    def parts(self) -> dict[str, int]:
        """Every part that was watched, and since when it fails in microseconds; 0 = it works."""
        with self._lock:
            return {part: item.since_us if item else 0 for part, item in sorted(self._parts.items())}


@dataclass(slots=True)
class Backoff:
    """When to try again: after 1 s, 2 s, 4 s ... 60 s."""

    now_s: Callable[[], float] = time.monotonic
    failures: int = 0
    _due_s: float = field(default=0.0)

    @property
    def due(self) -> bool:
        """Whether the next attempt may be made."""
        return self.now_s() >= self._due_s

    def failed(self) -> None:
        """An attempt failed."""
        self._due_s = self.now_s() + min(FIRST_RETRY_S * 2**self.failures, LAST_RETRY_S)
        self.failures = min(self.failures + 1, 30)

    def worked(self) -> None:
        """An attempt worked; the next is due at once."""
        self.failures, self._due_s = 0, 0.0


def _named(error: Exception) -> str:
    name, text = (error.code, error.message) if isinstance(error, FilieraError) else (type(error).__name__, str(error))
    first = text.strip().splitlines()[0][:300] if text.strip() else ""
    return f"{name} {first}".rstrip()
