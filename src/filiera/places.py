"""Where a project is and what lies in it; light, since every command begins here."""

from __future__ import annotations

from pathlib import Path

from filiera.errors import NotFoundError

SETTINGS_FILE = "filiera.toml"
STATE_FOLDER = ".filiera"
PIPELINE_FILE = "pipeline.py"


def find_root(start: Path) -> Path:
    """The nearest folder at or above `start` that holds a `filiera.toml`.

    Raises:
        NotFoundError: there is none up to the root of the file system.
    """
    for folder in (start, *start.parents):
        if (folder / SETTINGS_FILE).is_file():
            return folder
    raise NotFoundError(
        "project.not_found",
        f"no {SETTINGS_FILE} here or above",
        found=str(start),
        next="`filiera init DIR` makes a project; `--project DIR` names one",
    )
