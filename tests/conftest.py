"""What every test gets: a home of its own, and where sample data may lie."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

#: Sample data sets; they are not part of the project.
SAMPLES = Path(os.environ.get("FILIERA_SAMPLES", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True, scope="session")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep keys and settings out of the real home; keys are named by their ledger, so tests do not meet."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
        yield home


@pytest.fixture(scope="session")
def sample() -> Callable[[str], Path]:
    """Find a file or folder of the sample data by its relative path; the test skips where it is absent."""

    def find(relative: str) -> Path:
        path = SAMPLES / relative
        if not path.exists():
            pytest.skip(f"sample data absent: {relative} (set FILIERA_SAMPLES to its folder)")
        return path

    return find
