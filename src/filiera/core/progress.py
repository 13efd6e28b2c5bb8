"""How long work tells where it is; the faces decide how that looks."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told of each step of an apply, in order; several steps may be open at once."""

    def start(self, name: str, total: float | None, text: str) -> None:
        """A step begins; `total` in its own unit, None when unknown."""
        ...

    def update(self, name: str, done: float, text: str) -> None:
        """So much of it is done."""
        ...

    def end(self, name: str, text: str) -> None:
        """It is over; `text` says what came of it."""
        ...


class Silent:
    """Shows nothing."""

    def start(self, name: str, total: float | None, text: str) -> None:
        """Nothing."""

    def update(self, name: str, done: float, text: str) -> None:
        """Nothing."""

    def end(self, name: str, text: str) -> None:
        """Nothing."""
