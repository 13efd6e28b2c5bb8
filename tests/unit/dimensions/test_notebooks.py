"""A notebook as the pipeline: its code cells are a module, and nothing else in it counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from filiera.dimensions.bundle import collect_bundle
from filiera.errors import CodeError
from filiera.workspace import Workspace
from projects import PIPELINE, SETTINGS, rows


def notebook(*cells: str, text: str = "# A title", output: str = "old", **metadata: Any) -> str:
    code = [
        {"cell_type": "code", "source": cell.splitlines(keepends=True), "outputs": [{"text": output}],
         "execution_count": number, "metadata": {"tags": [output]}}
        for number, cell in enumerate(cells)
    ]  # fmt: skip
    cells_ = [{"cell_type": "markdown", "source": [text], "metadata": {}}, *code]
    return json.dumps({"cells": cells_, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def bundle_of(root: Path, files: dict[str, str]) -> dict[str, str]:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return {name: content.decode() for name, content in collect_bundle(root).files}


def test_cells_in_the_order_of_the_document_are_the_module(tmp_path: Path) -> None:
    found = bundle_of(
        tmp_path, {"pipeline.ipynb": notebook("import json\n", "X = 1\nY = 2"), "other.ipynb": notebook("%%bash\nls")}
    )
    assert found == {"pipeline.py": "# from pipeline.ipynb\n# code cell 1\nimport json\n# code cell 2\nX = 1\nY = 2\n"}


def test_outputs_texts_and_metadata_change_nothing(tmp_path: Path) -> None:
    one = bundle_of(tmp_path / "a", {"pipeline.ipynb": notebook("X = 1")})
    changed = notebook("X = 1", text="# Another", output="new", language_info={"name": "python"})
    assert bundle_of(tmp_path / "b", {"pipeline.ipynb": changed}) == one


def test_a_notebook_that_code_imports_is_code(tmp_path: Path) -> None:
    files = {
        "pipeline.py": "from lib import first\n",
        "lib/first.ipynb": notebook("from .second import X"),
        "lib/second.ipynb": notebook("X = 1"),
        "lib/notes.ipynb": notebook("!ls"),
    }
    assert sorted(bundle_of(tmp_path, files)) == ["lib/first.py", "lib/second.py", "pipeline.py"]


@pytest.mark.parametrize("line", ["%matplotlib inline", "!pip install x", "files = !ls", "df?", "%%time\nx = 1"])
def test_lines_for_ipython_are_refused_with_their_cell(tmp_path: Path, line: str) -> None:
    with pytest.raises(CodeError) as caught:
        bundle_of(tmp_path, {"pipeline.ipynb": notebook("import json", f"{line}\ny = 2")})
    assert caught.value.code == "code.magic"
    assert "code cell 2 of pipeline.ipynb" in caught.value.message
    assert caught.value.found == line.splitlines()[0]


@pytest.mark.parametrize(
    ("content", "code"),
    [("{}", "code.notebook"), ("no json", "code.notebook"), ('{"worksheets": []}', "code.notebook"),
     (notebook("x = 1", language_info={"name": "R"}), "code.notebook"), (notebook("x = ("), "code.syntax_error")],
)  # fmt: skip
def test_what_is_no_python_notebook_is_refused(tmp_path: Path, content: str, code: str) -> None:
    with pytest.raises(CodeError) as caught:
        bundle_of(tmp_path, {"pipeline.ipynb": content})
    assert caught.value.code == code
    assert "pipeline.ipynb" in f"{caught.value.message} {caught.value.where}"


def test_two_pipelines_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CodeError, match="both a pipeline"):
        bundle_of(tmp_path, {"pipeline.ipynb": notebook("x = 1"), "pipeline.py": ""})


def test_a_project_with_a_notebook_runs_and_an_edited_text_runs_nothing(tmp_path: Path) -> None:
    cells = PIPELINE.replace("\n\n\n@fl", "\n\0@fl").split("\0")
    assert len(cells) == 3
    for name, text in {"filiera.toml": SETTINGS, "pipeline.ipynb": notebook(*cells), "data/a.csv": rows(1, 60)}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with Workspace.create(tmp_path)[0] as workspace:
        report = workspace.apply()
        assert report.failure is None
        assert {step.asset for step in report.steps} == {"readings", "features", "usage"}
        (tmp_path / "pipeline.ipynb").write_text(notebook(*cells, text="# Seen", output="new"))
        assert not workspace.plan().work
        broken = [cells[0], cells[1].replace('readings["at"]', 'readings["gone"]'), cells[2]]
        (tmp_path / "pipeline.ipynb").write_text(notebook(*broken))
        failure = workspace.apply().failure
        assert failure is not None
        assert failure.where == "pipeline.ipynb, code cell 2, line 3"
