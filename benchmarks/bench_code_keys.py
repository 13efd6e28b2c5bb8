"""Of 26 edits, how many leave a stale result, and how many run a step for nothing?

Eighteen edits change what a step gives, eight do not; running the step before and after proves which. Each tool is
asked by its own code whether it would run the step again: `joblib.Memory`, the hash of a redun task, Hamilton's hash of
a function, and DVC's digest of the step's file as a dependency. Peers that are not installed are left out.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import record

sys.path.insert(0, str(record.HERE.parent / "tests"))

from edits.edit import Edit, write
from edits.first import EDITS
from edits.test_edits import closure, results

QUESTION = "stale results and needless runs after 26 edits of code"
PEERS = {"joblib": "joblib", "redun": "redun", "hamilton": "hamilton", "dvc": "dvc_data"}


def ours(folder: Path, edit: Edit) -> bool:
    before, after = (closure(folder / name, files, edit) for name, files in (("a", edit.before), ("b", edit.after)))
    return before.digest != after.digest


def peers(python: str, tool: str, folders: Sequence[Path]) -> list[bool]:
    command = [python, str(record.HERE / "peer_code_keys.py"), tool, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return [line == "runs" for line in done.stdout.split()]


def main() -> None:
    pythons = {tool: python for tool, module in PEERS.items() if (python := record.peer_python(module))}
    figures: dict[str, dict[str, list[str]]] = {}
    with record.scratch() as folder:
        folders = [folder / f"edit{number}" for number in range(len(EDITS))]
        for place, edit in zip(folders, EDITS, strict=True):
            write(place / "a", edit.before)
            write(place / "b", edit.after)
        proofs = [results(edit.asset, place / "a", place / "b") for place, edit in zip(folders, EDITS, strict=True)]
        truth = {edit.name: one != other for edit, (one, other) in zip(EDITS, proofs, strict=True)}
        print(f"{len(EDITS)} edits: {sum(truth.values())} change the result, the others do not")
        print("           stale  needless")
        answers = {"filiera": [ours(folder / f"ours{number}", edit) for number, edit in enumerate(EDITS)]}
        answers |= {tool: peers(python, tool, folders) for tool, python in pythons.items()}
        for tool, answer in answers.items():
            runs = dict(zip(truth, answer, strict=True))
            stale = [name for name, again in runs.items() if truth[name] and not again]
            needless = [name for name, again in runs.items() if again and not truth[name]]
            figures[tool] = {"stale": stale, "needless": needless}
            print(f"{tool:10} {len(stale):5}  {len(needless):8}")
    headline = {f"{word} of {tool}": float(len(found[word])) for tool, found in figures.items() for word in found}
    record.write("code_keys", QUESTION, {"edits": truth, "tools": figures}, headline)
    assert not figures["filiera"]["stale"], "stale results"
    assert not figures["filiera"]["needless"], "needless runs"


if __name__ == "__main__":
    main()
