"""Does the key of an asset change exactly when its result may?

Every edit is proved by running the function before and after it in fresh processes. *Stale* is a result that differs
under an equal key; *needless* is another key for equal results. Where a key changes although the result does not, the
edit says why that cannot be told.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edits import dynamic, first, imports, objects, outside, probes, registries, scopes
from edits.edit import Edit, Files, write
from filiera.dimensions.closure import Closure, Closures
from filiera.dimensions.libraries import installed, required, source_of
from filiera.dimensions.project import Project

EDITS = tuple(e for part in (first, imports, objects, registries, scopes, dynamic, outside, probes) for e in part.EDITS)


def closure(folder: Path, files: Files, edit: Edit) -> Closure:
    root, site = write(folder, files)
    project = Project(root, installed([str(site)]), required([str(site)]), source_of)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder / "path")
        return Closures(project).of("pipeline", edit.asset, uses=edit.uses)


def results(asset: str, *folders: Path) -> list[list[str]]:
    script = Path(__file__).with_name("execute.py")
    command = [sys.executable, str(script), asset, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(folders), done.stderr
    assert ["failed"] not in found, done.stderr
    return found


def test_there_are_enough_edits_and_no_name_twice() -> None:
    assert len(first.EDITS) == 26
    assert sum(edit.reruns for edit in first.EDITS) == 18
    names = [edit.name for edit in EDITS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("edit", EDITS, ids=[edit.name for edit in EDITS])
def test_an_asset_runs_again_exactly_when_its_result_may_differ(tmp_path: Path, edit: Edit) -> None:
    before, after = closure(tmp_path / "a", edit.before, edit), closure(tmp_path / "b", edit.after, edit)
    one, other = results(edit.asset, tmp_path / "a", tmp_path / "b")
    assert (one != other) == edit.reruns, f"a wrong case: {one} and {other}"
    if edit.reruns:
        assert before.digest != after.digest, "stale"
    else:
        assert (before.digest != after.digest) == bool(edit.coarse), (
            "needless" if not edit.coarse else "no longer coarse"
        )
    assert set(edit.flags) <= set(after.flags)
    assert set(edit.variables) <= set(after.variables)
