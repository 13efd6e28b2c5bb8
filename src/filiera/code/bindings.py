"""Which names a piece of code reads, binds and changes."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from filiera.code.known import READ_ONLY
from filiera.code.modules import Definition, at_import, chain_of, root_of

#: Expressions that make a new object of parts.
DISPLAYS = (ast.Constant, ast.JoinedStr, ast.Dict, ast.List, ast.Set, ast.Tuple, ast.ListComp, ast.SetComp,
            ast.DictComp, ast.BinOp, ast.UnaryOp)  # fmt: skip


def names_read(node: ast.AST) -> set[str]:
    """Names of data that a statement reads at import."""
    return {item.id for item in at_import(node) if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Load)}


def inner_names(node: ast.AST) -> set[str]:
    """Names that class bodies and comprehensions below a statement set: they are no names of the module."""
    found: set[str] = set()
    for item in at_import(node):
        if isinstance(item, ast.comprehension):
            found |= {n.id for n in ast.walk(item.target) if isinstance(n, ast.Name)}
        if isinstance(item, ast.ClassDef):
            for part in item.body:
                found |= {n.id for n in at_import(part) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
                found |= {part.name} if isinstance(part, Definition) else set()
    return found


def inside(node: ast.AST) -> Iterator[ast.AST]:
    """Everything that runs when a function is called, or a method of a class: not what decorates it."""
    for part in ast.iter_child_nodes(node):
        if part not in getattr(node, "decorator_list", ()):
            yield from ast.walk(part)


def local_names(node: ast.AST) -> tuple[frozenset[str], frozenset[str]]:
    """Names that belong to a function, and those of them that only ever hold what the function made itself."""
    names: set[str] = set()
    shared: set[str] = set()
    for item in ast.walk(node):
        if isinstance(item, ast.arg):
            names.add(item.arg)
            shared.add(item.arg)
        elif isinstance(item, ast.Name) and not isinstance(item.ctx, ast.Load):
            names.add(item.id)
        elif isinstance(item, Definition) and item is not node:
            names.add(item.name)
    fresh = set()
    for item in ast.walk(node):
        if isinstance(item, ast.Assign) and isinstance(item.value, DISPLAYS):
            fresh |= {id(target) for target in item.targets}
        elif isinstance(item, ast.AugAssign):
            fresh.add(id(item.target))
    for item in ast.walk(node):
        if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store) and id(item) not in fresh:
            shared.add(item.id)
    return frozenset(names), frozenset(names - shared)


def sets_itself(item: ast.AST, node: ast.AST) -> bool:
    """`self.x = ...` in a class: an object that is being made."""
    return isinstance(node, ast.ClassDef) and isinstance(item, ast.Attribute) and chain_of(item)[:1] == ["self"]


def changed_root(item: ast.AST) -> str | None:
    """The name whose object a node changes."""
    if isinstance(item, ast.Attribute | ast.Subscript) and not isinstance(item.ctx, ast.Load):
        return root_of(item)[0]
    if isinstance(item, ast.AugAssign) and isinstance(item.target, ast.Name):
        return item.target.id
    if isinstance(item, ast.Call) and isinstance(item.func, ast.Attribute) and item.func.attr not in READ_ONLY:
        return root_of(item.func)[0]
    return None
