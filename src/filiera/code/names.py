"""The names that a statement reads, by Python's own rules of scope."""

from __future__ import annotations

import ast
import contextlib
import symtable
from collections.abc import Iterator

from filiera.code.shape import copied


def global_reads(node: ast.AST) -> set[str]:
    """Names below a statement that are looked up in the module."""
    try:
        waiting = [symtable.symtable(ast.unparse(node), "unit", "exec")]
    except ValueError:  # an f-string that cannot be printed again: every name counts
        return {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}
    names: set[str] = set()
    top = waiting[0]
    while waiting:
        table = waiting.pop()
        waiting += table.get_children()
        for symbol in table.get_symbols():
            # a class body that sets a name reads the module's before it did: `class C: RATE = RATE`
            early = table.get_type() == "class" and symbol.is_assigned()
            if symbol.is_referenced() and (table is top or symbol.is_global() or early):
                names.add(symbol.get_name())
    return names


def chains(node: ast.AST) -> Iterator[list[str]]:
    """Every name or dotted chain that is read below `node`, longest form only."""
    inner: set[int] = set()
    augmented = {id(item.target) for item in ast.walk(node) if isinstance(item, ast.AugAssign)}  # `X += 1` reads X, too
    for item in ast.walk(node):
        if id(item) in inner:
            continue
        if isinstance(item, ast.Attribute):
            chain, value = [item.attr], item.value
            while isinstance(value, ast.Attribute):
                inner.add(id(value))
                chain.append(value.attr)
                value = value.value
            if isinstance(value, ast.Name):
                inner.add(id(value))
                yield [value.id, *reversed(chain)]
        elif isinstance(item, ast.Name) and (isinstance(item.ctx, ast.Load) or id(item) in augmented):
            yield [item.id]


def spelled_out(node: ast.AST) -> ast.AST:
    """The statement with names that are given as texts read as names: `x: "Config"`, `getattr(module, "rate")`."""
    plain = not any(isinstance(item, ast.Name) and item.id == "getattr" for item in ast.walk(node))
    if plain and not any(isinstance(text, ast.Constant) for text in _annotations(node)):
        return node
    spelled: ast.AST = _SpelledOut().visit(copied(node))
    return ast.fix_missing_locations(spelled)


def _annotations(node: ast.AST) -> Iterator[ast.AST]:
    for item in ast.walk(node):
        for field in ("annotation", "returns"):
            value = getattr(item, field, None)
            if value is not None:
                yield from ast.walk(value)


class _SpelledOut(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name) or node.func.id != "getattr" or len(node.args) < 2:
            return node
        name = node.args[1]
        if not isinstance(name, ast.Constant) or not isinstance(name.value, str) or not name.value.isidentifier():
            return node
        value = ast.Attribute(node.args[0], name.value, ast.Load())
        return ast.Tuple([value, *node.args[2:]], ast.Load()) if node.args[2:] else value

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for field in ("annotation", "returns"):
            value = getattr(node, field, None)
            if value is not None:
                setattr(node, field, _Texts().visit(value))
        return node


class _Texts(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, str):
            with contextlib.suppress(SyntaxError):  # any text may stand there; it then names nothing
                return ast.parse(node.value, mode="eval").body
        return node
