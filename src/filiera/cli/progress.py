"""Progress of an apply: live bars on a terminal, one line a step elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

import click


class LineProgress:
    """One line when a step ends; for logs and pipes."""

    def __enter__(self) -> LineProgress:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self, name: str, total: float | None, text: str) -> None:
        """Nothing."""

    def update(self, name: str, done: float, text: str) -> None:
        """Nothing."""

    def end(self, name: str, text: str) -> None:
        """The line."""
        click.echo(f"  {name:12} {text}")


class BarProgress:
    """A bar for each step, with a live line."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description:12}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[text]}"),
        )
        self._progress = Progress(*columns, refresh_per_second=4)
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> BarProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def start(self, name: str, total: float | None, text: str) -> None:
        """A bar."""
        self._tasks[name] = self._progress.add_task(name, total=total, text=text)

    def update(self, name: str, done: float, text: str) -> None:
        """The bar moves."""
        self._progress.update(self._tasks[name], completed=done, text=text)

    def end(self, name: str, text: str) -> None:
        """The bar is full."""
        if name in self._tasks:
            task = self._progress.tasks[self._tasks[name]]
            self._progress.update(self._tasks[name], total=task.total or 1, completed=task.total or 1, text=text)


def progress() -> LineProgress | BarProgress:
    """Bars on a terminal, lines elsewhere."""
    return BarProgress() if sys.stderr.isatty() and sys.stdout.isatty() else LineProgress()
