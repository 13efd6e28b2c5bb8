from __future__ import annotations

from pathlib import Path

import pytest

import automations


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return automations.make_template(tmp_path_factory.mktemp("automation") / "template")
