"""Which notebooks of a project are code: `pipeline.ipynb`, and those that code imports."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping

from filiera.errors import CodeError
from filiera.runner.notebook import to_module

_SUFFIX = ".ipynb"
PIPELINE = "pipeline.ipynb"


def with_notebooks(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a project, notebooks that are code as modules and all others left out.

    Raises:
        CodeError: there are two pipelines, or a notebook cannot be a module.
    """
    notebooks = {name for name in files if name.endswith(_SUFFIX)}
    kept = {name: content for name, content in files.items() if name not in notebooks}
    if PIPELINE in notebooks and ("pipeline.py" in kept or "pipeline/__init__.py" in kept):
        raise CodeError(
            "code.two_pipelines", "the project has both a pipeline.py and a pipeline.ipynb",
            next="keep one of them, and give the other another name",
        )  # fmt: skip
    wanted = [PIPELINE] if PIPELINE in notebooks else []
    while True:
        for name in wanted:
            kept[_module(name)] = to_module(files[name], name)
        left = {name for name in notebooks if _module(name) not in kept}
        imported = set(_imported(kept)) if left else set()
        wanted = sorted(name for name in left if name.removesuffix(_SUFFIX).replace("/", ".") in imported)
        if not wanted:
            return kept


def _module(name: str) -> str:
    return name.removesuffix(_SUFFIX) + ".py"


def _imported(files: Mapping[str, bytes]) -> Iterator[str]:
    """Every module name that an import statement may mean."""
    for name, content in files.items():
        if not name.endswith(".py"):
            continue
        try:
            with warnings.catch_warnings(action="ignore"):
                tree = ast.parse(content)
        except (SyntaxError, ValueError):
            continue  # it is told with its line when the code is looked at
        home = name.split("/")[:-1]
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                parts = home[: len(home) - node.level + 1] if node.level else []
                base = ".".join([*parts, *([node.module] if node.module else [])])
                yield base
                yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)
