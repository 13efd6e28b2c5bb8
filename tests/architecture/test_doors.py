"""Everything sensitive goes through one of five doors: a walk over the syntax tree finds any other way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import filiera

ROOT = Path(filiera.__file__).parent
SOURCES = sorted(path for path in ROOT.rglob("*.py") if "examples" not in path.parts)

#: What a call looks like, and the only files that may make it.
DOORS: dict[str, set[str]] = {
    # Sealed objects write bytes for keeps; the others write what a person asked for, or code and caches without rows.
    "write_text": {
        "project.py",
        "demo.py",
        "cli/adopt.py",
        "cli/graph.py",
        "dimensions/stamp.py",
        "dimensions/describe.py",
        "dimensions/shown.py",
        "dimensions/runtimes.py",
    },
    "write_bytes": {"dimensions/bundle.py", "runner/package.py"},
    # Rows leave the lake through the Reader.
    "get_table": {"lake/rows.py", "lake/append.py"},
    "read_rows": {"lake/table.py"},
    "from_ipc": {"lake/access.py"},
    # A model becomes callable in one place.
    "Booster": {"runner/predict.py", "runner/package.py"},
    # State changes in the journal.
    "create_engine": {"ledger/journal.py"},
    "begin": {"ledger/journal.py"},
}
NOWHERE = {"eval", "exec", "extractall", "os.system", "popen", "unsafe_load"}
UNSAFE_MODULES = {"pickle", "cloudpickle", "joblib", "dill", "marshal", "shelve", "yaml"}


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield ("os.system" if ast.unparse(node.func) == "os.system" else name), node


def test_the_walk_sees_the_whole_package() -> None:
    assert len(SOURCES) > 100
    assert any(name == "get_table" for path in SOURCES for name, _ in calls(path))


@pytest.mark.parametrize("name", DOORS)
def test_a_door_is_used_by_its_own_files_only(name: str) -> None:
    users = {path.relative_to(ROOT).as_posix() for path in SOURCES if any(n == name for n, _ in calls(path))}
    assert users <= DOORS[name]


def test_nothing_evaluates_text_or_unpacks_archives_by_name() -> None:
    found = [(path.name, node.lineno, name) for path in SOURCES for name, node in calls(path) if name in NOWHERE]
    assert found == []


def test_no_format_that_runs_code_when_it_is_read_is_imported() -> None:
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [(path.name, name) for name in names if name.split(".")[0] in UNSAFE_MODULES]
    assert found == []


def test_no_call_switches_a_check_off() -> None:
    for path in SOURCES:
        for _, node in calls(path):
            for keyword in node.keywords:
                off = isinstance(keyword.value, ast.Constant) and keyword.value.value
                assert not (keyword.arg == "shell" and off is True), path
                assert not (keyword.arg == "verify" and off is False), path


def test_files_are_opened_for_writing_in_few_places() -> None:
    users = set()
    for path in SOURCES:
        for name, node in calls(path):
            mode = [a.value for a in [*node.args, *(k.value for k in node.keywords)] if isinstance(a, ast.Constant)]
            if name == "open" and any(isinstance(m, str) and set(m) & set("wax+") and len(m) <= 3 for m in mode):
                users.add(path.relative_to(ROOT).as_posix())
    # the bundle writes an archive in memory, the worker its own line under /proc
    assert users <= {"lake/objects.py", "lake/export.py", "govern/keys.py", "dimensions/bundle.py", "worker.py"}


def test_rows_of_a_snapshot_are_asked_for_through_the_reader_only() -> None:
    users = set()
    for path in SOURCES:
        for name, node in calls(path):
            lake = isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value).endswith("lake")
            if name == "rows" and lake:
                users.add(path.relative_to(ROOT).as_posix())
    assert users == {"lake/access.py"}
