"""Open the project that a command is about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filiera.workspace import Workspace


def open_project(project: str | None) -> Workspace:
    """The workspace of `--project`, or of this folder or the nearest above."""
    from filiera.places import find_root
    from filiera.workspace import Workspace

    return Workspace.open(find_root(Path(project or ".").resolve()))
