"""Doctor looks at everything, whatever it finds first."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import projects
from filiera.doctor import ERROR, OK, WARNING, Finding, diagnose
from filiera.workspace import Workspace, key_file

NAMES = {"python", "libraries", "sandbox", "swap", "settings", "state folder", "disk", "pipeline python",
         "source readings", "ledger", "audit log", "currency", "key file"}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A project that read one file, and its key file."""
    root = projects.make(tmp_path_factory.mktemp("doctor") / "small", days=2, files=1)
    (root / "pipeline.py").write_text("import filiera as fl\n")
    with Workspace.open(root) as workspace:
        workspace.apply()
        return root, workspace.key_path


@pytest.fixture
def project(made: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """A copy of it that may be broken."""
    shutil.copytree(made[0], tmp_path / "small")
    shutil.copy(made[1], tmp_path / "key")
    return tmp_path / "small", tmp_path / "key"


def looked(root: Path, key: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in diagnose(root, lambda _: key)}


def test_a_good_project_has_no_error(project: tuple[Path, Path]) -> None:
    found = looked(*project)
    assert set(found) == NAMES
    assert {f.name for f in found.values() if f.status == ERROR} == set()
    assert "opens what is stored" in found["key file"].found


def test_without_a_project_the_machine_is_looked_at() -> None:
    found = {finding.name: finding for finding in diagnose(None, lambda ledger: key_file({}, ledger))}
    assert found["project"].status == WARNING
    assert found["libraries"].status == OK


def cut_ledger(root: Path, _: Path) -> None:
    path = root / ".filiera" / "ledger.db"
    path.write_bytes(b"no database at all" * 100)


BREAKS: dict[str, Callable[[Path, Path], object]] = {
    "settings": lambda root, _: (root / "filiera.toml").write_text("[projct]\n"),
    "state folder": lambda root, _: (root / ".filiera").chmod(0o755),
    "ledger": cut_ledger,
    "pipeline python": lambda root, _: change(root, "purposes =", 'python = "nowhere/python"\npurposes ='),
    "currency": lambda root, _: change(root, "purposes =", 'currency = "USD"\npurposes ='),
    "key file": lambda _, key: key.chmod(0o644),
}


def change(root: Path, old: str, new: str) -> None:
    path = root / "filiera.toml"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("name", BREAKS)
def test_one_fault_is_found_and_hides_no_other_finding(project: tuple[Path, Path], name: str) -> None:
    BREAKS[name](*project)
    found = looked(*project)
    hidden = {"settings": {"pipeline python", "source readings", "currency"},
              "ledger": {"audit log", "currency", "key file"}}  # fmt: skip
    assert set(found) == NAMES - hidden.get(name, set())
    assert {f.name for f in found.values() if f.status == ERROR} == {name}
    assert found[name].next


def test_all_faults_together_are_all_found(project: tuple[Path, Path]) -> None:
    for name in ("settings", "state folder", "key file"):
        BREAKS[name](*project)
    assert {f.name for f in looked(*project).values() if f.status == ERROR} == {"settings", "state folder", "key file"}


def test_a_missing_key_and_a_key_of_another_project_are_told_apart(project: tuple[Path, Path]) -> None:
    root, key = project
    key.write_bytes(b"x" * 32)
    assert "key file" in looked(root, key)["key file"].found
    key.unlink()
    found = looked(root, key)["key file"]
    assert found.status == ERROR
    assert "filiera key restore" in found.next


def test_sources_without_files_and_files_of_two_sources_are_warned_about(project: tuple[Path, Path]) -> None:
    root, key = project
    text = (root / "filiera.toml").read_text()
    second = text[text.index("[source.readings]") :].replace("readings", "others")
    (root / "filiera.toml").write_text(text + second)
    found = looked(root, key)
    assert found["source readings"].status == found["source others"].status == WARNING
    assert "reads too" in found["source others"].found
    (root / "filiera.toml").write_text(text + second.replace("data/*.csv", "dta/*.csv"))
    found = looked(root, key)["source others"]
    assert "no file matches dta/*.csv" in found.found
    assert "filiera.toml:" in found.next


def test_a_folder_without_ledger_says_how_it_is_completed(tmp_path: Path) -> None:
    (tmp_path / "filiera.toml").write_text(projects.SETTINGS)
    found = looked(tmp_path, tmp_path / "key")
    assert found["state folder"].status == found["ledger"].status == ERROR
    assert f"filiera init {tmp_path}" in found["state folder"].next
