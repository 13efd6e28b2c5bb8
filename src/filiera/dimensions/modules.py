"""A project module as statements: which names each of them binds or changes, and what importing the module loads.

Only what runs at import counts here: the body of a function is looked at when something reaches the function.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from filiera.dimensions.known import READ_ONLY
from filiera.dimensions.shape import parse

BUILTINS = frozenset(dir(builtins))
OWN_DECORATORS = frozenset({"table", "model"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, slots=True)
class Import:
    """What a name stands for: `module`, or `name` of `module`."""

    module: str
    name: str | None
    loaded: str  #: the module that importing runs
    position: int = -1  #: of the statement; -1 = below one


@dataclass(slots=True, eq=False)
class Statement:
    """One top-level statement."""

    position: int
    node: ast.stmt
    binds: tuple[str, ...]  #: names it sets or deletes
    changes: tuple[str, ...]  #: names whose object it changes or may change: `CONFIG["rate"] = ...`


@dataclass(slots=True)
class Module:
    """One parsed module of the project."""

    name: str
    package: bool
    statements: list[Statement] = field(default_factory=list)
    units: dict[str, list[Statement]] = field(default_factory=dict)  #: by name: what sets or changes it, in order
    imports: dict[str, list[Import]] = field(default_factory=dict)  #: by name: each import that may bind it
    loads: list[Import] = field(default_factory=list)  #: what importing this one imports
    stars: list[tuple[int, str]] = field(default_factory=list)  #: star-imported modules, with position
    read: frozenset[str] = frozenset()  #: every name that occurs

    @classmethod
    def parse(cls, name: str, source: bytes, *, package: bool, path: str) -> Module:
        """Parse a source file; CodeError when it is no Python."""
        module = cls(name, package)
        tree = parse(source, path)
        module.read = frozenset(item.id for item in ast.walk(tree) if isinstance(item, ast.Name))
        for position, node in enumerate(_body(tree.body)):
            module._take(position, node)
        bound = {name for statement in module.statements for name in statement.binds}
        module.units = {name: found for name, found in module.units.items() if name in bound}
        return module

    def imports_of(self, node: ast.AST) -> tuple[dict[str, list[Import]], list[str]]:
        """Names bound by the import statements below `node`, and star-imported modules."""
        names: dict[str, list[Import]] = {}
        stars: list[str] = []
        for item in ast.walk(node):
            if isinstance(item, ast.Import):
                for alias in item.names:
                    top = alias.name.split(".")[0]
                    found = Import(alias.name if alias.asname else top, None, alias.name)
                    names.setdefault(alias.asname or top, []).append(found)
            elif isinstance(item, ast.ImportFrom):
                base = self._absolute(item)
                for alias in item.names:
                    if alias.name == "*":
                        stars.append(base)
                    else:
                        names.setdefault(alias.asname or alias.name, []).append(Import(base, alias.name, base))
        return names, stars

    def is_own(self, decorator: ast.expr) -> bool:
        """Whether a decorator is filiera's own, whatever the module calls it."""
        parts = self.origin(chain_of(decorator.func if isinstance(decorator, ast.Call) else decorator))
        return any(part.startswith("filiera.") and part.split(".")[-1] in OWN_DECORATORS for part in parts)

    def origin(self, chain: list[str], local: Mapping[str, Sequence[Import]] | None = None) -> list[str]:
        """Dotted names that a chain may stand for, by the imports: `dt.now` is `datetime.datetime.now`."""
        if not chain:
            return []
        head, rest = chain[0], chain[1:]
        found = (local or {}).get(head) or self.imports.get(head, [])
        texts = [".".join(filter(None, [item.module, item.name, *rest])) for item in found]
        if not texts and head in BUILTINS and head not in self.units:
            texts = [".".join(["builtins", *chain])]
        return texts

    def public(self) -> frozenset[str] | None:
        """The names in a literal `__all__`; None when it is missing or computed."""
        statements = self.units.get("__all__", [])
        if len(statements) != 1 or not isinstance(statements[0].node, ast.Assign):
            return None
        value = statements[0].node.value
        if not isinstance(value, ast.List | ast.Tuple) or not all(isinstance(e, ast.Constant) for e in value.elts):
            return None
        return frozenset(str(e.value) for e in value.elts if isinstance(e, ast.Constant))

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        parts = parts[: len(parts) - node.level + (1 if self.package else 0)]
        return ".".join([*parts, *([node.module] if node.module else [])])

    def _take(self, position: int, node: ast.stmt) -> None:
        for item in at_import(node):
            if isinstance(item, ast.Import | ast.ImportFrom):
                names, stars = self.imports_of(item)
                for name, found in names.items():
                    placed = [replace(one, position=position) for one in found]
                    self.imports.setdefault(name, []).extend(placed)
                    self.loads += placed
                self.stars += [(position, star) for star in stars]
                self.loads += [Import(star, None, star, position) for star in stars]
        if isinstance(node, ast.Import | ast.ImportFrom):
            return
        binds = tuple(dict.fromkeys(_bound(node)))
        changes = tuple(dict.fromkeys(root for root, _ in changed(node)))
        statement = Statement(position, node, binds, changes)
        self.statements.append(statement)
        for name in dict.fromkeys((*binds, *changes)):
            if name in binds or name not in self.imports:
                self.units.setdefault(name, []).append(statement)


def chain_of(node: ast.AST) -> list[str]:
    """`["a", "b", "c"]` of `a.b.c`; empty for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else []


def root_of(node: ast.AST) -> tuple[str | None, int]:
    """`x` and 2 of `x.y[0]`: the name an expression begins with, and how many steps it takes."""
    depth = 0
    while isinstance(node, ast.Attribute | ast.Subscript):
        node, depth = node.value, depth + 1
    return (node.id if isinstance(node, ast.Name) else None), depth


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Everything of a statement that runs when the module is imported: not the bodies of functions."""
    yield node
    if isinstance(node, _FUNCTIONS):
        parts: list[ast.AST] = [*node.decorator_list, node.args, *([node.returns] if node.returns else [])]
    elif isinstance(node, ast.Lambda):
        parts = [node.args]
    else:
        parts = list(ast.iter_child_nodes(node))
    for part in parts:
        yield from at_import(part)


def changed(node: ast.AST) -> Iterator[tuple[str, int]]:
    """Names whose object a statement changes at import, and how deep below the name (1 = the object itself)."""
    for item in at_import(node):
        if isinstance(item, ast.Attribute | ast.Subscript) and not isinstance(item.ctx, ast.Load):
            root, depth = root_of(item)
        elif isinstance(item, ast.AugAssign) and isinstance(item.target, ast.Name):
            root, depth = item.target.id, 1
        elif isinstance(item, ast.Call) and isinstance(item.func, ast.Attribute) and item.func.attr not in READ_ONLY:
            root, depth = root_of(item.func)
        elif isinstance(item, Definition) and item is node:  # under `@name.method`, and so perhaps kept by `name`
            yield from ((root, 1) for root, depth in map(root_of, item.decorator_list) if root and depth)
            continue
        else:
            continue
        if root is not None:
            yield root, depth


def _body(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements without those that never run here: main guards and imports for the type checker."""
    for node in statements:
        if isinstance(node, ast.If) and _never(node.test):
            yield from _body(node.orelse)
        else:
            yield node


def _never(test: ast.expr) -> bool:
    """`__name__ == "__main__"` or `TYPE_CHECKING`."""
    if chain_of(test)[-1:] == ["TYPE_CHECKING"]:
        return True
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], ast.Eq):
        return False
    sides = [test.left, test.comparators[0]]
    return any(chain_of(s) == ["__name__"] for s in sides) and any(
        isinstance(s, ast.Constant) and s.value == "__main__" for s in sides
    )


def _bound(node: ast.stmt) -> Iterator[str]:
    """Names of the module that a statement sets; also those that its functions declare `global`."""
    if isinstance(node, Definition):
        yield node.name
    else:
        yield from _stores(node)
    for item in ast.walk(node):
        if isinstance(item, ast.Global):
            yield from item.names


def _stores(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, Definition):
        yield node.name
        return
    elif isinstance(node, ast.Lambda):
        return
    elif isinstance(node, ast.alias):
        yield node.asname or node.name.split(".")[0]
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest
    for part in ast.iter_child_nodes(node):
        if not isinstance(node, ast.comprehension) or part is not node.target:
            yield from _stores(part)
