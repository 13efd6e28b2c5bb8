"""Notebooks as modules: the code cells in the order of the document; outputs, texts and metadata are no code."""

from __future__ import annotations

import ast
import json
import re
import warnings
from pathlib import Path
from typing import Any

from filiera.errors import CodeError

_FIRST = "# from {0}"
_CELL = "# code cell {0}"
_MAGIC = re.compile(r"\s*([%!?]|[\w\s,]+=\s*[%!])|.*\?\s*$")


def to_module(content: bytes, name: str) -> bytes:
    """The Python source of a notebook.

    Raises:
        CodeError: it is no notebook with Python cells of format 4 or newer; or a cell has a line for IPython or the
            shell, or is no Python.
    """
    parts = [_FIRST.format(name)]
    for number, text in enumerate(_code_cells(content, name), 1):
        _require_python(text, name, number)
        parts += [_CELL.format(number), text.rstrip("\n")]
    return ("\n".join(parts) + "\n").encode()


def place(root: Path | str, file: str, line: int | None) -> str:
    """`helpers.py:12`, or `pipeline.ipynb, code cell 3, line 2` for a line that came from a notebook."""
    path = Path(file)
    shown = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    lines = _lines(path) if line else []
    if line is None or not lines or not lines[0].startswith(_FIRST.format("")):
        return f"{shown}:{line}"
    first = max(at for at, text in enumerate(lines[:line]) if text.startswith(_CELL.format("")) or at == 0)
    return f"{lines[0].removeprefix(_FIRST.format(''))}, {lines[first].removeprefix('# ')}, line {line - first - 1}"


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):  # the place of an error is told as well as it can be
        return []


def _code_cells(content: bytes, name: str) -> list[str]:
    try:
        notebook = json.loads(content)
        cells, metadata = notebook["cells"], notebook.get("metadata", {})
        texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError) as error:
        raise CodeError(
            "code.notebook", f"{name} is no notebook", expected="a .ipynb file of format 4 or newer",
            next="open it in Jupyter and save it again",
        ) from error  # fmt: skip
    language = _language(metadata)
    if language != "python":
        raise CodeError("code.notebook", f"the cells of {name} are no Python", expected="python", found=language)
    return texts


def _language(metadata: Any) -> str:
    stated = metadata.get("language_info", {}).get("name") or metadata.get("kernelspec", {}).get("language")
    return str(stated or "python").lower()


def _require_python(text: str, name: str, number: int) -> None:
    try:
        with warnings.catch_warnings(action="ignore"):  # they are told when the module is imported
            ast.parse(text)
    except SyntaxError as error:
        lines = text.splitlines()
        at = min(error.lineno or 1, len(lines)) - 1
        magic = next((line for line in (lines[at], lines[0]) if _MAGIC.match(line)), None)
        where = f"{name}, code cell {number}, line {at + 1}"
        if magic is not None:
            raise CodeError(
                "code.magic", f"code cell {number} of {name} has a line for IPython or the shell",
                found=magic.strip(), where=where, next="take it out, or put it into a notebook that is not imported",
            ) from error  # fmt: skip
        raise CodeError(
            "code.syntax_error", error.msg, where=where, found=lines[at].strip(), next="mend the line and run again"
        ) from error
