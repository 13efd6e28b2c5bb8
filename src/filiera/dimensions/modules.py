"""A project module as units: top-level bindings, and effects that run at its import.

A unit is one top-level name with every top-level statement that sets or changes it. Effects are all other top-level
statements. Comments, formatting and docstrings are not part of either.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

#: Decorators known to register nothing, besides those of the standard library and filiera's own; a definition under
#: any other is an effect of its module, too.
PURE_BUILTINS = frozenset({"property", "staticmethod", "classmethod"})
PURE_DECORATORS = {"numba": frozenset({"njit", "jit"}), "jax": frozenset({"jit"}), "torch": frozenset({"no_grad"})}
OWN_DECORATORS = frozenset({"table", "model"})
BUILTINS = frozenset(dir(builtins))
IsOwn = Callable[[ast.expr], bool]


@dataclass(frozen=True, slots=True)
class Import:
    """What a name stands for: `module`, or `name` of `module`."""

    module: str
    name: str | None
    loaded: str  #: the module that importing runs


@dataclass(slots=True)
class Module:
    """One parsed module of the project."""

    name: str
    package: bool
    units: dict[str, list[ast.stmt]] = field(default_factory=lambda: defaultdict(list))
    imports: dict[str, Import] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    effects: list[ast.stmt] = field(default_factory=list)

    @classmethod
    def parse(cls, name: str, source: str, *, package: bool, path: str) -> Module:
        """Parse source text; SyntaxError when it is none."""
        module = cls(name, package)
        for statement in ast.parse(source, path).body:
            module._take(statement)
        return module

    def imports_of(self, node: ast.AST) -> tuple[dict[str, Import], list[str]]:
        """Names bound by the import statements below `node`, and star-imported modules."""
        names: dict[str, Import] = {}
        stars: list[str] = []
        for item in ast.walk(node):
            if isinstance(item, ast.Import):
                for alias in item.names:
                    top = alias.name.split(".")[0]
                    names[alias.asname or top] = Import(alias.name if alias.asname else top, None, alias.name)
            elif isinstance(item, ast.ImportFrom):
                base = self._absolute(item)
                for alias in item.names:
                    if alias.name == "*":
                        stars.append(base)
                    else:
                        names[alias.asname or alias.name] = Import(base, alias.name, base)
        return names, stars

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        parts = parts[: len(parts) - node.level + (1 if self.package else 0)]
        return ".".join([*parts, *([node.module] if node.module else [])])

    def _take(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self.units[statement.name].append(statement)
            metaclass = isinstance(statement, ast.ClassDef) and bool(statement.keywords)
            if metaclass or any(not self._is_pure(decorator) for decorator in statement.decorator_list):
                self.effects.append(statement)
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            self._take_imports(statement)
        elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                self._take_target(target, statement)
        elif isinstance(statement, ast.Expr):
            self._take_expression(statement)
        elif not _is_main_guard(statement):
            self._take_block(statement)

    def _take_imports(self, node: ast.AST) -> None:
        names, stars = self.imports_of(node)
        self.imports |= names
        self.stars += stars

    def _take_target(self, target: ast.expr, statement: ast.stmt) -> None:
        for name in _names(target):
            self.units[name].append(statement)
        root = root_name(target)
        if root is None or isinstance(target, ast.Name):
            return
        if root in self.imports:
            self.effects.append(statement)  # changes another module
        else:
            self.units[root].append(statement)  # CONFIG["rate"] = ...

    def _take_expression(self, statement: ast.Expr) -> None:
        if isinstance(statement.value, ast.Constant):
            return
        root = root_name(statement.value.func) if isinstance(statement.value, ast.Call) else None
        if root is not None and root in self.units and root not in self.imports:
            self.units[root].append(statement)  # CONFIG.update(...)
            if isinstance(statement.value, ast.Call) and isinstance(statement.value.func, ast.Name):
                self.effects.append(statement)  # set_up(): may change anything
        else:
            self.effects.append(statement)

    def _take_block(self, statement: ast.stmt) -> None:
        """if, try, with, for: an effect, and a part of every name it may set."""
        self._take_imports(statement)
        for node in ast.walk(statement):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self.units[node.name].append(statement)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self.units[node.id].append(statement)
        self.effects.append(statement)

    def is_own(self, decorator: ast.expr) -> bool:
        """Whether a decorator is filiera's own, whatever the module calls it."""
        return self._decorator(decorator)[0] == "filiera" and self._decorator(decorator)[1] in OWN_DECORATORS

    def _is_pure(self, decorator: ast.expr) -> bool:
        top, name = self._decorator(decorator)
        if top == "":
            return name in PURE_BUILTINS and name not in self.units
        return top in sys.stdlib_module_names or name in PURE_DECORATORS.get(top, ()) or self.is_own(decorator)

    def _decorator(self, decorator: ast.expr) -> tuple[str, str]:
        """The outside package that a decorator comes from ("" = none that is known), and its name there."""
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        origin = self.imports.get(root_name(called) or "")
        name = called.attr if isinstance(called, ast.Attribute) else str(getattr(called, "id", ""))
        if origin is None:
            return "", name
        return origin.module.split(".")[0], origin.name if origin.name and isinstance(called, ast.Name) else name


def root_name(node: ast.expr) -> str | None:
    """`x` of `x.y[0].z`."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _names(target: ast.expr) -> Iterator[str]:
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, ast.Tuple | ast.List):
        for element in target.elts:
            yield from _names(element)
    elif isinstance(target, ast.Starred):
        yield from _names(target.value)


def _is_main_guard(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and "'__main__'" in ast.dump(statement.test)


def shape(node: ast.AST, own: IsOwn | None = None) -> str:
    """Hash of a statement without positions, comments and docstrings.

    Args:
        node: the statement.
        own: it is the definition of an asset, and this tells filiera's own decorators: they and the defaults of its
            keyword parameters are left out, since they are recorded as settings, where their change is told as such.
    """
    fresh = ast.parse(ast.unparse(node))
    for item in ast.walk(fresh):
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            _drop_docstring(item)
    if own is not None:
        _drop_definition(fresh.body[0], own)
    return hashlib.sha256(ast.dump(fresh, annotate_fields=False).encode()).hexdigest()


def _drop_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module) -> None:
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        node.body = node.body[1:] or [ast.Pass()]


def without_definition(node: ast.stmt, own: IsOwn) -> ast.stmt:
    """A copy of an asset's definition without what is recorded as settings."""
    fresh = ast.parse(ast.unparse(node)).body[0]
    _drop_definition(fresh, own)
    return fresh


def _drop_definition(node: ast.stmt, own: IsOwn) -> None:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return
    node.decorator_list = [item for item in node.decorator_list if not own(item)]
    node.args.kw_defaults = [None if default is None else ast.Constant(0) for default in node.args.kw_defaults]
    node.args.defaults = [ast.Constant(0) for _ in node.args.defaults]
