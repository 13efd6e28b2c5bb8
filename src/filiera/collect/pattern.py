"""The files that a pattern of a source names; standard library only, since a remembered plan looks here first."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def matches(root: Path, pattern: str) -> Iterable[Path]:
    """Paths that fit a path or glob, relative to the project or absolute."""
    if os.path.isabs(pattern):
        return Path("/").glob(pattern.lstrip("/"))
    return root.glob(pattern)
