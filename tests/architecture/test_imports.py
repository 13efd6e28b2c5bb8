"""Modules that everything imports stay light, each imported alone in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import filiera

HEAVY = {"numpy", "sqlalchemy", "polars", "pandas", "sklearn", "pyarrow", "optuna"}
ROOT = Path(filiera.__file__).parent
LIGHT = ["filiera.errors", "filiera.settings", "filiera.clock", "filiera.digest"] + [
    f"filiera.core.{path.stem}" for path in sorted((ROOT / "core").glob("[a-z]*.py"))
]
if (ROOT / "authoring.py").exists():
    LIGHT.append("filiera.authoring")


@pytest.mark.parametrize("module", LIGHT)
def test_a_light_module_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
