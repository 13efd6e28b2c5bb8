"""The code of a commit is what a clean folder would hold."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from filiera.automation.gitref import bundle_at, commit_of
from filiera.code.bundle import collect_bundle
from filiera.errors import CodeError, NotFoundError, UnavailableError


def git(root: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(root), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("place", [".", "below/project"])
def test_a_commit_holds_the_code_of_the_project_and_nothing_else(tmp_path: Path, place: str) -> None:
    git(tmp_path, "init", "--initial-branch=main")
    root = tmp_path / place
    for name in ("pipeline.py", "lib/a.py", "lib/.hidden/b.py", "node_modules/c.py", "uv.lock", "data/x.csv", "n.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"# {name}\n")
    (root / "lib" / "link.py").symlink_to("a.py")
    git(tmp_path, "add", "."), git(tmp_path, "commit", "-m", "one")
    commit = commit_of(root, "main")
    assert commit == git(tmp_path, "rev-parse", "HEAD")
    found = bundle_at(root, commit)
    assert {name for name, _ in found.files} == {"pipeline.py", "lib/a.py", "lib/link.py", "uv.lock"}
    assert found.digest == collect_bundle(root).digest
    (root / "pipeline.py").write_text("an edit\n")
    assert bundle_at(root, commit).digest == found.digest != collect_bundle(root).digest


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no commit main"):
        commit_of(tmp_path, "main")
    git(tmp_path, "init", "--initial-branch=main")
    with pytest.raises(NotFoundError, match="no commit main"):
        commit_of(tmp_path, "main")
    with pytest.raises(UnavailableError, match="cannot read commit"):
        bundle_at(tmp_path, "0" * 40)


def test_a_commit_holds_the_files_that_its_code_declares(tmp_path: Path) -> None:
    git(tmp_path, "init", "--initial-branch=main")
    (tmp_path / "params").mkdir()
    for name in ("params/a.json", "params/b.txt", "holidays.csv"):
        (tmp_path / name).write_text(name)
    text = 'import filiera as fl\n\n@fl.table(files=["params/*.json", "holidays.csv"])\ndef t(r): ...\n'
    (tmp_path / "pipeline.py").write_text(text)
    git(tmp_path, "add", "."), git(tmp_path, "commit", "-m", "one")
    (tmp_path / "holidays.csv").write_text("edited")
    found = dict(bundle_at(tmp_path, commit_of(tmp_path, "main")).files)
    assert sorted(found) == ["holidays.csv", "params/a.json", "pipeline.py"]
    assert found["holidays.csv"] == b"holidays.csv"
    git(tmp_path, "rm", "--cached", "holidays.csv"), git(tmp_path, "commit", "-m", "two")
    with pytest.raises(CodeError, match="no file fits `holidays"):
        bundle_at(tmp_path, commit_of(tmp_path, "main"))
