"""The modules of one source tree, parsed when they are asked for, and what is known of libraries."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from filiera.dimensions.bundle import code_files
from filiera.dimensions.libraries import is_standard
from filiera.dimensions.modules import Module

#: The meaning of filiera's own decorators; raised when old definitions would mean something else.
AUTHORING = "1"
COMPILED = frozenset({".so", ".pyd"})
_PACKAGE, _COMPILED, _SOURCE, _NAMESPACE = range(4)  # what Python takes first of one name


class Project:
    """The parsed modules of one source tree."""

    def __init__(
        self,
        root: Path,
        libraries: Mapping[str, str],
        requirements: Mapping[str, Sequence[str]] | None = None,
        locate: Callable[[str], Path | None] | None = None,
    ) -> None:
        """Index the modules below `root`.

        Args:
            root: of the unpacked bundle.
            libraries: version by top-level module, as of `installed`.
            requirements: as of `required`.
            locate: where the source of a top-level module lies that is neither here nor installed; as of `source_of`.
        """
        self._root = root
        self._libraries = libraries
        self._requirements = requirements or {}
        self._locate = locate or (lambda _: None)
        self._paths = self._index(root)
        self._looked = {""}  # top-level modules that were looked for elsewhere
        self._modules: dict[str, Module | bytes] = {}

    @property
    def names(self) -> list[str]:
        """Every module of the tree."""
        return [name for name, path in self._paths.items() if path is not None and name not in self._aliases]

    def requirements(self, top: str) -> Sequence[str]:
        """Top-level modules of the distributions that the one behind `top` requires."""
        return self._requirements.get(top, ())

    def version(self, top: str) -> tuple[str, str] | None:
        """Distribution and version behind a top-level module outside the project; None for the standard library."""
        if is_standard(top) or top in ("", "builtins"):
            return None
        if top == "filiera":
            return "filiera authoring", AUTHORING
        return top, self._libraries.get(top, "unknown")

    def module(self, name: str) -> Module | bytes | None:
        """A project module, its bytes if it is compiled, or None if it is not the project's."""
        if name not in self._paths:
            self._look_elsewhere(name.split(".")[0])
        if name not in self._paths:
            return None
        if name not in self._modules:
            self._modules[name] = self._load(name, self._paths[name])
        return self._modules[name]

    def source(self, name: str) -> Module | None:
        """A project module that is Python source."""
        found = self.module(name)
        return found if isinstance(found, Module) else None

    @cached_property
    def methods(self) -> frozenset[str]:
        """Names of the methods that classes of the project define: whatever they are called, they may change things."""
        found: set[str] = set()
        for name in self.names:
            module = self.source(name)
            for statement in module.statements if module else ():
                for item in ast.walk(statement.node):
                    if isinstance(item, ast.ClassDef):
                        found |= {part.name for part in item.body if isinstance(part, ast.FunctionDef)}
        return frozenset(found)

    def _index(self, root: Path) -> dict[str, Path | None]:
        files = [path for path in code_files(root) if path.suffix == ".py" or path.suffix in COMPILED]
        found = dict(_named(root, files))
        for top in [name for name, path in found.items() if path is None and "." not in name]:
            if is_standard(top) or top in self._libraries:  # an installed package comes before a folder without code
                found = {name: path for name, path in found.items() if name.split(".")[0] != top}
        self._aliases: set[str] = set()
        if any(b"sys.path" in path.read_bytes() for path in files if path.suffix == ".py"):
            self._alias(found)
        return found

    def _alias(self, found: dict[str, Path | None]) -> None:
        """Where code changes the module path, a module may go by any end of its name."""
        for name, path in list(found.items()):
            parts = name.split(".")
            for start in range(1, len(parts)):
                alias, top = ".".join(parts[start:]), parts[start]
                if alias not in found and not is_standard(top) and top not in self._libraries:
                    found[alias] = path
                    self._aliases.add(alias)

    def _look_elsewhere(self, top: str) -> None:
        if top in self._looked or top in self._paths or top in self._libraries or is_standard(top) or top == "filiera":
            return
        self._looked.add(top)
        path = self._locate(top)
        if path is None:
            return
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        files += sorted(file for file in path.rglob("*") if file.suffix in COMPILED) if path.is_dir() else []
        for name, file in _named(path.parent, files):
            self._paths[name] = file
            self._aliases.add(name)

    def _load(self, name: str, path: Path | None) -> Module | bytes:
        if path is None:
            return Module(name, package=True)  # a folder without code of its own
        content = path.read_bytes()
        if path.suffix != ".py":
            return content
        shown = path.relative_to(self._root) if path.is_relative_to(self._root) else path
        return Module.parse(name, content, package=path.name == "__init__.py", path=shown.as_posix())


def _named(root: Path, files: Sequence[Path]) -> Iterator[tuple[str, Path | None]]:
    """Modules by dotted name; None for a package without an `__init__`."""
    best: dict[str, tuple[int, Path | None]] = {}
    for path in files:
        parts = list(path.relative_to(root).parts)
        parts[-1] = parts[-1].split(".")[0]
        rank = _COMPILED if path.suffix in COMPILED else _SOURCE
        if parts[-1] == "__init__":
            parts.pop()
            rank = _PACKAGE
        for count in range(1, len(parts)):
            best.setdefault(".".join(parts[:count]), (_NAMESPACE, None))
        name = ".".join(parts)
        if parts and rank < best.get(name, (_NAMESPACE + 1, None))[0]:
            best[name] = (rank, path)
    yield from ((name, found) for name, (_, found) in best.items())
