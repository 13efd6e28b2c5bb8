"""What definitions declare, read from their text."""

from __future__ import annotations

from pathlib import Path

import pytest

from filiera.code.bundle import MAX_DECLARED_BYTES, code_files, collect_bundle, open_bundle
from filiera.dimensions.declared import Declared, declarations, declared_files
from filiera.errors import CodeError, UsageError


def declared(root: Path, text: str) -> Declared:
    (root / "pipeline.py").write_text(text)
    return declarations(root, code_files(root))


@pytest.mark.parametrize(
    "text",
    [
        'import filiera as fl\n@fl.table(files=["a.csv"])\ndef t(r): ...',
        'import filiera\n@filiera.model(predicts="x", inputs=["y"], files=("a.csv",))\ndef t(r): ...',
        'from filiera import table as one\n@one(files=["a.csv"])\ndef t(r): ...',
        'import filiera as fl\ndef t(r): ...\nt = fl.table(t, files=["a.csv"])',
    ],
)
def test_every_way_to_write_a_definition_is_found(tmp_path: Path, text: str) -> None:
    assert list(declared(tmp_path, text).files) == ["a.csv"]


@pytest.mark.parametrize(
    "text",
    [
        'def table(files): ...\n@table(files=["a.csv"])\ndef t(r): ...',
        'import other as fl\n@fl.table(files=["a.csv"])\ndef t(r): ...',
        'import filiera as fl\nload(files=["a.csv"], variables=["REGION"])',
        "import filiera as fl\n@fl.table(files=",
    ],
)
def test_other_functions_declare_nothing(tmp_path: Path, text: str) -> None:
    assert declared(tmp_path, text) == Declared(files={}, variables={})


def test_declarations_of_every_module_come_together_with_their_places(tmp_path: Path) -> None:
    (tmp_path / "tables.py").write_text('import filiera as fl\n\n@fl.table(variables=["REGION"])\ndef t(r): ...')
    found = declared(tmp_path, 'import filiera as fl\n@fl.table(files=["a.csv", "p/*.json"])\ndef u(r): ...')
    assert found.files == {"a.csv": "pipeline.py:2", "p/*.json": "pipeline.py:2"}
    assert found.variables == {"REGION": "tables.py:3"}


@pytest.mark.parametrize("name", ["PATH", "PYTHONPATH", "LD_PRELOAD", "OMP_NUM_THREADS", "A-B", "1A", "HOME"])
def test_some_variables_cannot_be_declared(tmp_path: Path, name: str) -> None:
    with pytest.raises(CodeError, match="cannot be a declared variable"):
        declared(tmp_path, f'import filiera as fl\n@fl.table(variables=["{name}"])\ndef t(r): ...')


def test_a_pattern_gives_files_and_neither_folders_nor_hidden_ones(tmp_path: Path) -> None:
    for name in ("p/a.json", "p/b.json", "p/.c.json", "p/d.json/e", "a.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    found = declared_files(tmp_path, {"p/*.json": "", "**/a.*": "", "./a.csv": ""})
    names = {pattern: [path.relative_to(tmp_path).as_posix() for path in paths] for pattern, paths in found.items()}
    assert names == {"p/*.json": ["p/a.json", "p/b.json"], "**/a.*": ["a.csv", "p/a.json"], "./a.csv": ["a.csv"]}


@pytest.mark.parametrize(("pattern", "says"), [("p/x.json", "did you mean p/a.json?"), ("zz**", "is no pattern")])
def test_a_pattern_that_nothing_fits_is_refused_with_the_nearest(tmp_path: Path, pattern: str, says: str) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.json").write_text("1")
    with pytest.raises(CodeError) as caught:
        declared_files(tmp_path, {pattern: "pipeline.py:7"})
    assert says in str(caught.value)
    assert caught.value.where == "pipeline.py:7"


def test_a_bundle_keeps_declared_files_and_opens_again_with_the_same_digest(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text("")
    (tmp_path / "a.csv").write_bytes(bytes(range(256)))
    plain, bundle = collect_bundle(tmp_path), collect_bundle(tmp_path, [tmp_path / "a.csv"])
    assert [name for name, _ in bundle.files] == ["a.csv", "pipeline.py"]
    assert bundle.digest != plain.digest
    again = open_bundle(bundle.pack(), bundle.digest)
    assert again.contents == bundle.contents
    (tmp_path / "out").mkdir()
    assert (again.unpack(tmp_path / "out") / "a.csv").read_bytes() == bytes(range(256))


def test_declared_files_that_are_too_large_are_refused_before_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "big.bin").touch()
    with (tmp_path / "big.bin").open("r+b") as file:
        file.truncate(MAX_DECLARED_BYTES + 1)  # sparse: it takes no room
    with pytest.raises(UsageError, match="the declared files are 256 MiB") as caught:
        collect_bundle(tmp_path, [tmp_path / "big.bin"])
    assert "source" in caught.value.next
