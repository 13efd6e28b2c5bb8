"""The trash: objects that nothing reaches, moved aside so that they can be put back for a while.

What is in it is told by the ledger; a process that dies between its transaction and a move is made up for by the next.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


class Trash:
    """The folder of freed objects, beside the lake on the same file system."""

    def __init__(self, lake: Path, folder: Path) -> None:
        self._lake = lake
        self._folder = folder

    def holds(self, object_id: str) -> bool:
        """Whether the object is here."""
        return self._place(object_id).exists()

    def names(self) -> list[str]:
        """Every object here."""
        return sorted(path.name for path in self._folder.glob("*"))

    def take(self, objects: Iterable[str]) -> None:
        """Move objects here; those that are here already, or nowhere, stay so."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for name in objects:
            if (path := self._home(name)).exists():
                path.rename(self._place(name))

    def give_back(self, objects: Iterable[str]) -> None:
        """Move objects back into the lake; durable when it returns."""
        folders = set()
        for name in objects:
            if (path := self._place(name)).exists():
                home = self._home(name)
                home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                path.rename(home)
                folders.add(home.parent)
        for folder in sorted(folders):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def delete(self, objects: Iterable[str]) -> None:
        """Remove objects for good."""
        for name in objects:
            self._place(name).unlink(missing_ok=True)

    def _place(self, object_id: str) -> Path:
        return self._folder / object_id

    def _home(self, object_id: str) -> Path:
        return self._lake / object_id[:2] / object_id
