"""The command line answers `--help` without loading what it does not need."""

from __future__ import annotations

import json
import subprocess
import sys

MODULES_ALLOWED = 250
HEAVY = {"numpy", "sqlalchemy", "polars", "pandas", "sklearn", "pyarrow", "optuna"}

HELP = """
import json, sys
from filiera.cli import main
sys.argv = ["filiera", "--help"]
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def modules_loaded_by_help() -> set[str]:
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    assert "Usage:" in done.stdout
    return set(json.loads(done.stderr))


def test_help_loads_few_modules_and_no_heavy_one() -> None:
    loaded = modules_loaded_by_help()
    assert "filiera.cli" in loaded
    assert not HEAVY & loaded
    assert len(loaded) < MODULES_ALLOWED
