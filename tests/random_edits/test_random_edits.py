"""A thousand random edits of a project of 200 tables: no stale result, and no table runs that need not run.

The closure, the describe step, the keys, the plan and the digests of rows are the real ones; the functions run in this
process and results are kept in memory. The oracle knows what a table truly depends on, since it wrote the code.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from filiera.core.plan import Action
from random_edits import memory as engine
from random_edits.edits import KINDS, edit
from random_edits.oracle import Oracle, true_key
from random_edits.remembered import remember
from random_edits.toy import IN_MEMORY, make, write

#: A thousand with FILIERA_RANDOM_EDITS_IN_MEMORY=1000: some ten minutes.
STEPS, EDITS, PARTS = 200, int(os.environ.get("FILIERA_RANDOM_EDITS_IN_MEMORY", "240")), 8
TOLERATED = 0.02  #: share of runs over the least possible


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder from which modules can be loaded again and again."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    remember(monkeypatch)
    yield tmp_path
    for name in engine.MODULES:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("part", range(PARTS))
def test_after_every_edit_results_equal_a_clean_run_and_nothing_runs_needlessly(root: Path, part: int) -> None:
    draw = random.Random(part)
    toy, memory, oracle = make(draw, STEPS), engine.Memory(), Oracle()
    kinds, runs, least, history = Counter[str](), 0, 0, []
    for number in range(EDITS // PARTS + 1):
        if number:
            kind, toy = edit(toy, history[-30:], draw)
            kinds[kind] += 1
        history.append(toy)
        write(toy, root, IN_MEMORY)
        graph = engine.graph_of(root, memory)
        planned = {step.asset: step.action for step in engine.plan(graph, memory, toy).steps}
        expected = engine.clean_run(root, toy)
        ran, stale = engine.apply(graph, memory, toy, expected)
        needed = oracle.least(toy, expected)
        assert not stale, f"edit {number}: {stale} are not what a clean run gives"
        assert {name for name, action in planned.items() if action is Action.RUN} <= set(ran)
        assert {name for name in ran if planned[name] in (Action.REUSE, Action.RESTORE, Action.HOLD)} == set()
        runs, least = runs + len(ran), least + len(needed)
    assert least > STEPS, "the edits had an effect"
    assert EDITS < 1_000 or set(kinds) == set(KINDS)
    assert runs <= least * (1 + TOLERATED), f"{runs} runs, {least} would have done"


def test_the_oracle_and_the_code_agree_on_what_is_computed(root: Path) -> None:
    """The generator is right: equal true inputs give equal results, whatever the edits were."""
    draw = random.Random(99)
    toy, known = make(draw, 40), {}
    history = [toy]
    for _ in range(60):
        _, toy = edit(toy, history, draw)
        history.append(toy)
        write(toy, root, IN_MEMORY)
        results = engine.clean_run(root, toy)
        for name in toy.ordered():
            assert known.setdefault(true_key(toy, name, results), results[name]) == results[name]
