"""Random edits through whole applies: real files, ledger, lake and child processes.

`FILIERA_RANDOM_EDITS=200x1000` runs them once more on a project of so many tables and with so many edits; that takes
hours. `FILIERA_RANDOM_SEED` chooses other edits.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from filiera.lake.semantic import hash_rows
from filiera.workspace import Workspace
from random_edits import memory as engine
from random_edits.edits import edit
from random_edits.oracle import Oracle
from random_edits.toy import IN_FRAMES, IN_MEMORY, SOURCES, Toy, make, write

ASKED = os.environ.get("FILIERA_RANDOM_EDITS", "")
SEED = int(os.environ.get("FILIERA_RANDOM_SEED", "7"))
SETTINGS = """
[project]
name = "toy"
owner = "tests"
purposes = ["testing"]
""" + "".join(
    f"""
[source.{source}]
from = "data/{source}/*.csv"
files = "replace"
key = ["day", "place"]

[source.{source}.columns]
day = {{ type = "integer" }}
place = {{ type = "integer" }}
value = {{ type = "integer" }}
"""
    for source in SOURCES
)
SCHEMA = ({"name": "row", "type": "integer"}, {"name": "value", "type": "integer"})


def write_rows(toy: Toy, root: Path) -> None:
    """A file a day; of a day that a revert took away a file without rows is left."""
    for source in SOURCES:
        folder = root / "data" / source
        folder.mkdir(parents=True, exist_ok=True)
        there = {int(path.stem) for path in folder.iterdir()}
        for day in sorted(there | toy.days[source].keys()):
            lines = [f"{day},{place},{value}\n" for place, value in enumerate(toy.days[source].get(day, []))]
            turn = toy.files[source] % (len(lines) or 1)
            text = "".join(["day,place,value\n", *lines[turn:], *lines[:turn]])
            path = folder / f"{day}.csv"
            if not path.exists() or path.read_text() != text:
                path.write_text(text)


def differing(workspace: Workspace, expected: dict[str, list[int]], names: list[str]) -> list[str]:
    """Tables whose rows are not those of a clean run."""
    found = []
    for name in names:
        table = pa.table({"row": [0], "value": expected[name]})
        wanted = hash_rows(table, ["row"], None).leaves.total().digest(SCHEMA)
        if workspace.snapshot(name).semantic != wanted:
            found.append(name)
    return found


def play(root: Path, plain: Path, steps: int, edits: int, seed: int) -> tuple[int, int, float]:
    """Make a project, edit and apply it; gives its runs, the least possible, and the seconds of the applies."""
    draw = random.Random(seed)
    toy, oracle, history = make(draw, steps), Oracle(), []
    root.mkdir()
    (root / "filiera.toml").write_text(SETTINGS)
    runs = least = 0
    spent = 0.0
    workspace = Workspace.create(root)[0]
    with workspace:
        for number in range(edits + 1):
            kind, toy = edit(toy, history[-30:], draw) if number else ("first", toy)
            history.append(toy)
            write(toy, root, IN_FRAMES)
            write_rows(toy, root)
            began = time.perf_counter()
            report = workspace.apply()
            spent += time.perf_counter() - began
            assert report.failure is None
            write(toy, plain, IN_MEMORY)
            expected = engine.clean_run(plain, toy)
            assert differing(workspace, expected, toy.ordered()) == [], f"edit {number}, {kind}"
            ran = [step.asset for step in report.steps if step.operation == "compute"]
            needed = oracle.least(toy, expected)
            assert set(needed) <= set(ran), f"edit {number}, {kind}: chance alone kept the result right"
            runs, least = runs + len(ran), least + len(needed)
        assert workspace.verify_audit().ok
    return runs, least, spent


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the same project lies as code that needs no engine."""
    folder = tmp_path / "plain"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    yield folder
    for name in engine.MODULES:
        sys.modules.pop(name, None)


def test_whole_applies_after_random_edits_give_what_a_clean_run_gives_and_run_no_more(
    tmp_path: Path, plain: Path
) -> None:
    runs, least, _ = play(tmp_path / "toy", plain, steps=30, edits=25, seed=SEED)
    assert runs == least > 30


@pytest.mark.slow
@pytest.mark.skipif(not ASKED, reason="set FILIERA_RANDOM_EDITS, such as 200x1000: takes hours")
def test_so_many_edits_as_asked_for(tmp_path: Path, plain: Path) -> None:
    steps, edits = map(int, ASKED.split("x"))
    runs, least, spent = play(tmp_path / "toy", plain, steps, edits, SEED)
    told = f"{edits} edits of {steps} tables: {runs} runs, {least} would have done, {spent:.0f} s of applies"
    sys.stderr.write(told + "\n")
    assert runs <= least * 1.02, told
