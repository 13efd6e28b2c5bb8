"""The describe step, from outside: ask a child process for the graph, and remember the answer.

Remembered by the normalised code, what it declares and the interpreter, so that a comment costs nothing.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filiera.code.bundle import Bundle, code_files
from filiera.code.libraries import path_dependencies, site_folders
from filiera.code.project import AUTHORING
from filiera.code.shape import normalised_digest
from filiera.core.asset_json import graph_from_json
from filiera.digest import digest_json
from filiera.dimensions.context import Context, Definitions
from filiera.dimensions.declared import declarations, declared_files
from filiera.engine.failure import raise_failure
from filiera.engine.task import Scope, Task

DESCRIBE = "filiera.runner.describe:describe"
VERSION = 4


def describe(
    context: Context, bundle: Bundle, *, folder: Path | None = None, sources: Mapping[str, Any] | None = None
) -> Definitions:
    """The graph of a bundle.

    Args:
        context: the open project.
        bundle: the code.
        folder: where to unpack it, and nothing remembered is used; None = where bundles are kept.
        sources: key, time and device of each source; None = as they are declared now.

    Raises:
        CodeError: the pipeline cannot be imported, or a definition is wrong; with file and line.
    """
    root = bundle.unpack(folder) if folder else context.unpack(bundle)
    if sources is None:
        sources = {name: source_facts(source.contract.to_json()) for name, source in context.settings.sources.items()}
    stated = declarations(root, code_files(root))
    names = sorted(stated.variables)
    arguments = {
        "sources": dict(sources),
        "files": {
            pattern: _contents(bundle, root, paths) for pattern, paths in declared_files(root, stated.files).items()
        },
        "variables": {name: context.variable_digest(name) for name in names},
    }
    if folder is not None:
        return Definitions(graph_from_json(_ask(context, root, arguments, names)), bundle, root)
    cache = context.settings.state / "cache" / f"graph-{_key(context, root, arguments)[-32:]}.json"
    graph = _recall(cache)
    if graph is None:
        graph = _ask(context, root, arguments, names)
        _remember(cache, graph)
    return Definitions(graph_from_json(graph), bundle, root)


def _contents(bundle: Bundle, root: Path, paths: Sequence[Path]) -> dict[str, str]:
    names = [path.relative_to(root).as_posix() for path in paths]
    return {name: bundle.contents[name] for name in names}


def source_facts(contract: Mapping[str, Any]) -> dict[str, Any]:
    """What a description needs of a source's contract."""
    facts = {word: contract[word] for word in ("key", "time", "device")}
    types = {column["name"]: column["type"] for column in contract["columns"]}
    return facts | {"columns": list(types), "types": types}


def _key(context: Context, root: Path, arguments: Mapping[str, Any]) -> str:
    stated = context.settings.project.python
    python = str(context.settings.root / stated) if stated else sys.executable
    return digest_json(
        "describe",
        VERSION,
        {
            "code": normalised_digest(root),
            **arguments,
            "python": python,
            "libraries": installation(Path(python)),
            "authoring": AUTHORING,
        },
    )


def installation(python: Path) -> list[str]:
    """Other whenever something is installed or removed beside this interpreter, or its path dependencies change."""
    folders = site_folders(python)
    sources = [path for folder in folders for place in path_dependencies(folder) for path in code_files(place)]
    return [*(_stamp(path) for path in (*folders, *sources)), sys.version]


def _stamp(path: Path) -> str:
    stat = path.stat()
    return f"{path}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ino}:{stat.st_ctime_ns}"


def _ask(context: Context, root: Path, arguments: Mapping[str, Any], variables: Sequence[str]) -> dict[str, Any]:
    task = Task(
        id="describe",
        function=DESCRIBE,
        arguments={"root": str(root), **arguments},
        bundle=str(root),
        scope=Scope(variables=context.values(variables)),
        timeout_s=300,
    )
    context.engine.submit(task)
    importlib.import_module("pandas")  # pyarrow does so at its first array; now the child is at work meanwhile
    (result,) = context.engine.wait()
    raise_failure(result, "pipeline.py")
    graph: dict[str, Any] = result.value
    return graph


def _recall(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # a cache may be missing or cut off; it is made again
    return found


def _remember(path: Path, graph: dict[str, Any]) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(graph), encoding="utf-8")
    fresh.rename(path)
