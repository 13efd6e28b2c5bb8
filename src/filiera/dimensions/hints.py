"""What a statement says besides names: code named by text, environment variables, values that no key holds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from filiera.dimensions import known
from filiera.dimensions.modules import Module, at_import, chain_of
from filiera.dimensions.resolve import LocalImports


@dataclass(slots=True)
class Hints:
    """Findings in one statement."""

    modules: set[str] = field(default_factory=set)  #: named by a text: `import_module("models.linear")`
    prefixes: set[str] = field(default_factory=set)  #: `import_module(f"models.{name}")`
    anything: bool = False  #: any module of the project may be meant
    imported: bool = False  #: any module that was imported may be meant
    namespace: bool = False  #: any name of this module may be meant
    docstrings: bool = False  #: docstrings are read
    variables: set[str] = field(default_factory=set)  #: environment variables that are read by name
    any_variable: bool = False  #: environment variables are read by computed names
    nondeterministic: set[str] = field(default_factory=set)
    outside: set[str] = field(default_factory=set)  #: files, network and processes


def hints(module: Module, node: ast.AST, local: LocalImports) -> Hints:
    """Look through a statement, with the imports in it."""
    found = Hints()
    parents = {child: item for item in ast.walk(node) for child in ast.iter_child_nodes(item)}
    now = {id(item) for item in at_import(node)}
    for item in ast.walk(node):
        if isinstance(item, ast.Constant) and isinstance(item.value, str):
            found.modules |= {item.value} if "." in item.value and item.value.replace(".", "").isidentifier() else set()
        if isinstance(item, ast.Attribute):
            found.imported |= item.attr in known.IMPORTED_ATTRIBUTES
            found.docstrings |= item.attr == "__doc__"
        if not isinstance(item, ast.Name | ast.Attribute) or not isinstance(item.ctx, ast.Load):
            continue
        parent = parents.get(item)
        if isinstance(item, ast.Name):
            found.docstrings |= item.id == "__doc__"
            found.anything |= item.id in ("__file__", "__path__") and item.id not in module.units
        if isinstance(item, ast.Attribute) and item.attr in known.OUTSIDE_METHODS and _is_called(parent, item):
            found.outside.add(item.attr)
        for name in module.origin(chain_of(item), local):
            _by_name(found, name, item, parent, parents, id(item) in now)
    return found


def _by_name(
    found: Hints, name: str, item: ast.expr, parent: ast.AST | None, parents: dict[ast.AST, ast.AST], now: bool
) -> None:
    top = name.rpartition(".")[0]
    call = parent if isinstance(parent, ast.Call) and parent.func is item else None
    found.docstrings |= name in known.DOCSTRINGS
    found.imported |= name in known.IMPORTED
    if name in known.IMPORTERS:
        _import(found, call)
    elif name in known.NAMESPACES:
        found.namespace |= call is None or (not call.args and (now or name == "builtins.globals"))
    elif name in known.ANYTHING or (name.split(".")[0] in known.ANYTHING_OF and call is not None):
        found.anything = True
    elif name in known.ENVIRON:
        _environ(found, item, parent, parents)
    elif name in known.GETENV:
        _variable(found, call.args[0] if call is not None and call.args else None)
    elif name in known.NONDETERMINISTIC or top in known.NONDETERMINISTIC_OF:
        seeded = name in known.SEEDED and call is not None and (call.args or call.keywords)
        if not seeded and name not in known.REPEATABLE:
            found.nondeterministic.add(name)
    elif name in known.OUTSIDE or name.split(".")[0] in known.OUTSIDE_OF:
        found.outside.add(name.removeprefix("builtins."))


def _is_called(parent: ast.AST | None, item: ast.AST) -> bool:
    return isinstance(parent, ast.Call) and parent.func is item


def _import(found: Hints, call: ast.Call | None) -> None:
    """A module named by a text, by a text that begins with a known prefix, or by anything."""
    argument = call.args[0] if call is not None and call.args else None
    package = call is not None and (len(call.args) > 1 or bool(call.keywords))
    texts = list(_prefix(argument)) if argument is not None else []
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and not package:
        found.modules.add(argument.value)
    elif texts and "." in texts[0] and not texts[0].startswith(".") and not package:
        found.prefixes.add(texts[0].rpartition(".")[0])
    else:
        found.anything = True


def _prefix(node: ast.expr) -> Iterator[str]:
    """The text that a computed text begins with, if it is written there."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr) and node.values:
        yield from _prefix(node.values[0])
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from _prefix(node.left)


def _environ(found: Hints, item: ast.expr, parent: ast.AST | None, parents: dict[ast.AST, ast.AST]) -> None:
    if isinstance(parent, ast.Subscript) and parent.value is item:
        if isinstance(parent.ctx, ast.Load):
            _variable(found, parent.slice)
    elif isinstance(parent, ast.Attribute):
        call = parents.get(parent)
        named = isinstance(call, ast.Call) and parent.attr in ("get", "pop", "setdefault") and call.args
        _variable(found, call.args[0] if named and isinstance(call, ast.Call) else None)
    elif isinstance(parent, ast.Compare) and item in parent.comparators:
        _variable(found, parent.left)
    else:
        found.any_variable = True


def _variable(found: Hints, name: ast.expr | None) -> None:
    if isinstance(name, ast.Constant) and isinstance(name.value, str):
        found.variables.add(name.value)
    else:
        found.any_variable = True
