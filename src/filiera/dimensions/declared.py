"""What the code says that it reads beside its inputs: `files=[...]` and `variables=[...]` of its definitions.

Read from the source text, since the files must lie in the bundle before the code is imported for the first time. So
both lists must be written out in the definition.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from filiera.collect.pattern import matches
from filiera.dimensions.modules import Module
from filiera.dimensions.notebooks import PIPELINE
from filiera.errors import CodeError, nearest
from filiera.runner.notebook import to_module

WORDS = ("files", "variables")
UNSET = "unset"  #: stands for the digest of a variable that has no value
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
#: What filiera itself sets in a child, so that every run has the same.
_FIXED = re.compile(
    r"(PATH|HOME|TMPDIR|TZ|LANG|LC_\w+|(PYTHON|LD_|DYLD_|FILIERA)\w*|\w+_(NUM|MAX)_THREADS|\w+MALLOC\w*)\Z"
)


@dataclass(frozen=True, slots=True)
class Declared:
    """Everything that the definitions of a project declare, with the place of each."""

    files: Mapping[str, str]  #: path or pattern -> file:line
    variables: Mapping[str, str]  #: name -> file:line


def declarations(root: Path, code: Iterable[Path]) -> Declared:
    """What the definitions in these code files declare.

    Raises:
        CodeError: a list is not written out, a file is outside the project, or a variable is one of filiera's own.
    """
    found: dict[str, dict[str, str]] = {word: {} for word in WORDS}
    for path in code:
        content = _source(path, path.relative_to(root).as_posix())
        if b"files" in content or b"variables" in content:
            for word, text, where in _declared_in(content, path.relative_to(root).as_posix()):
                (_check_file if word == "files" else _check_variable)(text, where)
                found[word].setdefault(text, where)
    return Declared(**found)


def _source(path: Path, name: str) -> bytes:
    if name == PIPELINE:
        return to_module(path.read_bytes(), name)
    return path.read_bytes() if path.suffix == ".py" else b""


def _declared_in(content: bytes, name: str) -> Iterator[tuple[str, str, str]]:
    try:
        module = Module.parse(name, content, package=name.endswith("__init__.py"), path=name)
        tree = ast.parse(content, name)
    except CodeError:
        return  # the describe step tells it, with its line
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and any(k.arg in WORDS for k in node.keywords) and module.is_own(node):
            for keyword in node.keywords:
                if keyword.arg in WORDS:
                    for text in _written_out(keyword, f"{name}:{node.lineno}"):
                        yield keyword.arg, text, f"{name}:{node.lineno}"


def _written_out(keyword: ast.keyword, where: str) -> list[str]:
    try:
        values = ast.literal_eval(keyword.value)
    except ValueError:
        values = None
    if not isinstance(values, list | tuple) or not all(isinstance(value, str) and value for value in values):
        raise CodeError(
            f"code.{keyword.arg}", f"`{keyword.arg}` is read before the code runs, so it is written out",
            where=where, expected="a list of texts" + (' such as ["holidays.csv"]' if keyword.arg == "files" else ""),
            found=ast.unparse(keyword.value)[:80],
        )  # fmt: skip
    return list(values)


def _check_file(pattern: str, where: str) -> None:
    parts = PurePosixPath(pattern).parts
    if os.path.isabs(pattern) or "\\" in pattern or any(part.startswith(".") for part in parts) or not parts:
        raise CodeError(
            "code.files", f"`{pattern}` cannot be a declared file", where=where,
            expected='a path or pattern below the project, such as "holidays.csv" or "params/*.json"; none is hidden',
            next="copy it into the project; rows come in as a source",
        )  # fmt: skip


def _check_variable(name: str, where: str) -> None:
    if not _VARIABLE.match(name) or _FIXED.match(name):
        raise CodeError(
            "code.variables", f"`{name}` cannot be a declared variable", where=where,
            expected="a name of your own, such as REGION; what filiera sets for every run stays as it is",
        )  # fmt: skip


def declared_files(root: Path, patterns: Mapping[str, str]) -> dict[str, list[Path]]:
    """The files that each pattern names.

    Args:
        root: the project, or an unpacked bundle.
        patterns: each with the place where it is declared.

    Raises:
        CodeError: a pattern that no file fits, or a file that is a link out of the project.
    """
    found: dict[str, list[Path]] = {}
    for pattern, where in patterns.items():
        try:
            fitting = [path for path in matches(root, pattern) if path.is_file() and not _hidden(root, path)]
        except ValueError as error:
            raise CodeError("code.files", f"`{pattern}` is no pattern", where=where, found=str(error)) from error
        if not fitting:
            raise CodeError(
                "code.no_file", f"no file fits `{pattern}`", where=where,
                expected="a file of the project", next=_nearest(root, pattern),
            )  # fmt: skip
        for path in fitting:
            if not path.resolve().is_relative_to(root.resolve()):
                raise CodeError(
                    "code.files", f"{path.relative_to(root).as_posix()} leads out of the project", where=where,
                    next="copy it into the project; rows come in as a source",
                )  # fmt: skip
        found[pattern] = sorted(fitting)
    return found


def _hidden(root: Path, path: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(root).parts)


def _nearest(root: Path, pattern: str) -> str:
    """The sentence with the nearest files; without a near one it would name the whole folder."""
    names = {path.relative_to(root).as_posix() for path in _visible(root)}
    told = nearest(pattern, names)
    return told if told.startswith("did you") else "write its path relative to the project"


def _visible(root: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if not name.startswith(".") and name not in ("__pycache__", "node_modules")]
        yield from (Path(folder) / name for name in files if not name.startswith("."))
