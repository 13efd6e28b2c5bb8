"""The engine of a project; light, so that its process can load its libraries while this one loads its own."""

from __future__ import annotations

import os

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
    return ProcessEngine(workers(), python=str(settings.root / python) if python else None, preload=PRELOAD)
