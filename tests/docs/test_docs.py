"""The documentation is true: the quickstart runs, and every command, setting, route and status is documented."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import filiera
from filiera import errors, settings
from filiera.cli import COMMANDS
from filiera.cost.prices import Prices
from filiera.server.pages import PAGES
from filiera.server.routes import ROUTES

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs" / "reference.md").read_text()


@pytest.mark.slow
def test_the_quickstart_runs_as_it_is_written(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "quickstart.md").read_text()
    script = "\n".join(re.findall(r"^```sh\n(.*?)^```$", text, flags=re.S | re.M))
    programs = str(Path(sys.executable).parent)
    environ = dict(os.environ) | {"PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euc", script], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 range" in done.stdout, "five months, two pumps: a wrong power each"
    assert "power@1 runs in prod" in done.stdout
    assert '"predictions":[' in done.stdout
    assert done.stdout.rstrip().splitlines()[-2].startswith("nothing to do"), "a comment changes nothing"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command: str) -> None:
    assert f"`filiera {command}" in REFERENCE


def test_every_setting_is_documented() -> None:
    source = Path(settings.__file__).read_text()
    keys = set(re.findall(r'section\.(?:text|texts|choice|flag|whole|number|parsed|raw)\(\s*"(\w+)"', source))
    keys |= set(Prices.__dataclass_fields__) - {"currency"}
    assert {"owner", "on_conflict", "minimum_gain", "waiting_per_hour"} <= keys
    assert {key for key in keys if f"`{key}`" not in REFERENCE} == set()


def test_every_route_is_documented() -> None:
    assert {f"{r.method} {r.path}" for r in (*ROUTES, *PAGES) if f"{r.method} {r.path}" not in REFERENCE} == set()


def test_every_exit_status_is_documented() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.FilieraError)]
    assert {kind.exit_status for kind in kinds if f"\n| {kind.exit_status} |" not in REFERENCE} == set()


def test_every_word_of_a_pipeline_is_documented() -> None:
    assert {name for name in filiera.__all__ if f"fl.{name}" not in REFERENCE} == set()


def test_links_between_pages_lead_somewhere() -> None:
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
