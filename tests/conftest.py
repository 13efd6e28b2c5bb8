"""What every test gets: a home of its own, and where sample data may lie."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

#: Sample data sets; they are not part of the project.
SAMPLES = Path(os.environ.get("FILIERA_SAMPLES", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep keys and settings of a test out of the real home."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    return home


@pytest.fixture(scope="session")
def sample() -> Callable[[str], Path]:
    """Find a file or folder of the sample data by its relative path; the test skips where it is absent."""

    def find(relative: str) -> Path:
        path = SAMPLES / relative
        if not path.exists():
            pytest.skip(f"sample data absent: {relative} (set FILIERA_SAMPLES to its folder)")
        return path

    return find
