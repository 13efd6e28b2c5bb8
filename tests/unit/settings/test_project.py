"""A new project is whole or absent, and takes nothing away from the folder it is made in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from filiera import project
from filiera.errors import ConflictError, FilieraError, NotFoundError, SettingsError, UsageError
from filiera.project import make_project
from filiera.settings import load

GOOD: dict[str, Any] = {"name": None, "owner": "me", "purposes": ["testing"]}


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"owner": ""}, UsageError),
        ({"owner": "two\nlines"}, UsageError),
        ({"owner": "a\x00b"}, UsageError),
        ({"purposes": []}, UsageError),
        ({"purposes": ["Power Forecast"]}, UsageError),
        ({"purposes": [""]}, UsageError),
        ({"name": "My Farm"}, UsageError),
        ({"name": ""}, UsageError),
        ({"currency": "euro"}, UsageError),
        ({"currency": "eur"}, UsageError),
        ({"currency": ""}, UsageError),
        ({"example": "wnd"}, NotFoundError),
        ({"example": "wind", "currency": "USD"}, UsageError),
    ],
)
def test_a_bad_word_leaves_no_trace_and_the_next_try_works(
    tmp_path: Path, said: dict[str, Any], kind: type[FilieraError]
) -> None:
    root = tmp_path / "new"
    with pytest.raises(kind) as caught:
        make_project(root, **(GOOD | said))
    assert not isinstance(caught.value, SettingsError), "flags are no lines of a file"
    assert not root.exists()
    make_project(root, **GOOD)
    assert load(root).project.owner == "me"


@pytest.mark.parametrize("example", [None, "wind"])
def test_what_is_written_can_be_read(tmp_path: Path, example: str | None) -> None:
    owner = 'Ölfeld "Nord" \\ Süd'
    kept = make_project(tmp_path / "Werk Köln", name=None, owner=owner, purposes=["a", "b-c"], example=example)
    settings = load(tmp_path / "Werk Köln")
    assert (settings.project.owner, settings.project.purposes) == (owner, ("a", "b-c"))
    assert settings.project.name == ("wind" if example else "werk-koln")
    assert kept == []


def test_a_pipeline_and_an_ignore_file_are_kept(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text("mine = 1\n")
    (tmp_path / ".gitignore").write_bytes(b"/__pycache__/\n# B\xfccher\n*.log")
    (tmp_path / "data").mkdir()
    kept = make_project(tmp_path, **GOOD)
    assert (tmp_path / "pipeline.py").read_text() == "mine = 1\n"
    assert (tmp_path / ".gitignore").read_bytes() == b"/__pycache__/\n# B\xfccher\n*.log\n.filiera/\n"
    assert [line.split(" ")[0] for line in kept] == [".gitignore", "pipeline.py"]


def test_a_new_data_folder_is_ignored_and_a_second_look_adds_nothing(tmp_path: Path) -> None:
    make_project(tmp_path, **GOOD)
    before = (tmp_path / ".gitignore").read_text()
    assert before.splitlines() == [".filiera/", "__pycache__/", "data/"]
    (tmp_path / "filiera.toml").unlink()
    make_project(tmp_path, **GOOD)
    assert (tmp_path / ".gitignore").read_text() == before


def test_an_example_takes_no_pipeline_away(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text("mine = 1\n")
    with pytest.raises(ConflictError, match="brings its own"):
        make_project(tmp_path, **GOOD, example="wind")
    assert [path.name for path in tmp_path.iterdir()] == ["pipeline.py"]


@pytest.mark.parametrize("example", [None, "wind"])
def test_an_init_that_is_cut_short_anywhere_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, example: str | None
) -> None:
    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    for door in ("write_settings", "_copy_example" if example else "_ignore", "_ignore"):
        with monkeypatch.context() as patch:
            patch.setattr(project, door, cut)
            with pytest.raises(KeyboardInterrupt):
                make_project(tmp_path, **GOOD, example=example)
        assert not (tmp_path / "filiera.toml").exists()
    make_project(tmp_path, **GOOD, example=example)
    load(tmp_path)
    assert "data/" in (tmp_path / ".gitignore").read_text()


def test_settings_that_are_there_are_kept_and_the_rest_is_completed(tmp_path: Path) -> None:
    make_project(tmp_path, **GOOD)
    before = (tmp_path / "filiera.toml").read_bytes()
    (tmp_path / "pipeline.py").unlink()
    kept = make_project(tmp_path, name=None, owner="", purposes=[])
    assert kept[0] == "filiera.toml was there and is kept as it is"
    assert (tmp_path / "filiera.toml").read_bytes() == before
    assert (tmp_path / "pipeline.py").exists()
    (tmp_path / "filiera.toml").write_text("[projct]\n")
    with pytest.raises(SettingsError):
        make_project(tmp_path, **GOOD)


def test_nothing_is_written_into_a_project_that_has_a_ledger(tmp_path: Path) -> None:
    (tmp_path / ".filiera").mkdir()
    (tmp_path / ".filiera" / "ledger.db").touch()
    (tmp_path / "filiera.toml").write_text('[project]\nname = "p"\nowner = "o"\npurposes = ["t"]\n')
    assert make_project(tmp_path, **GOOD) == []
    assert not (tmp_path / "pipeline.py").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        make_project(tmp_path / "file" / "new", **GOOD)


def test_settings_behind_a_link_are_written_where_they_lie(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "settings.toml").write_text("old")
    (tmp_path / "filiera.toml").symlink_to(tmp_path / "real" / "settings.toml")
    project.write_settings(tmp_path, "new")
    assert (tmp_path / "filiera.toml").is_symlink()
    assert (tmp_path / "real" / "settings.toml").read_text() == "new"
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["settings.toml"]
