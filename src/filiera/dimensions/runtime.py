"""The engine of a project; light, so that its process can load its libraries while this one loads its own."""

from __future__ import annotations

import os
from pathlib import Path

from filiera.engine.process import ProcessEngine
from filiera.settings import Settings

#: Loaded once, before the zygote forks: what nearly every pipeline needs.
PRELOAD = ("numpy", "pandas", "sklearn.ensemble", "filiera.runner.fit")


def workers() -> int:
    """Tasks at the same time: one per core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def engine_of(settings: Settings) -> ProcessEngine:
    """Processes of the project's interpreter; none is started yet."""
    python = settings.project.python
    path = str(settings.root / python) if python else None
    return ProcessEngine(workers(), python=path, preload=PRELOAD, watched=_watched(settings))


def _watched(settings: Settings) -> list[str]:
    """Folders of the project and of its sources: what code reads there is an input, declared or not."""
    patterns = [source.pattern for source in settings.sources.values()]
    fixed = [Path(pattern.partition("*")[0]) for pattern in patterns if os.path.isabs(pattern)]
    return [str(settings.root), *(str(path if path.is_dir() else path.parent) for path in fixed)]
