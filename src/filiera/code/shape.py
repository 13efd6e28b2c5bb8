"""The meaning of a statement as a hash: comments, docstrings, layout and positions are not part of it."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from filiera.code.bundle import code_files
from filiera.code.notebooks import with_notebooks
from filiera.digest import digest_json
from filiera.errors import CodeError

IsOwn = Callable[[ast.expr], bool]
_Node = TypeVar("_Node", bound=ast.AST)


def shape(node: ast.AST, own: IsOwn | None = None, *, docstrings: bool = False) -> str:
    """Hash of a statement without positions, comments and docstrings.

    Args:
        node: the statement.
        own: it is the definition of an asset, and this tells filiera's own decorators: they and the defaults of its
            parameters are left out, since they are recorded as settings, where their change is told as such.
        docstrings: keep them, for code that reads them.
    """
    fresh = without_definition(node, own) if own is not None else copied(node)
    fresh = _Normal(docstrings).visit(fresh)
    return hashlib.sha256(ast.dump(fresh, annotate_fields=False).encode()).hexdigest()


def without_definition(node: ast.AST, own: IsOwn) -> ast.AST:
    """A copy of an asset's definition without what is recorded as settings."""
    fresh = copied(node)
    if isinstance(fresh, ast.FunctionDef | ast.AsyncFunctionDef):
        fresh.decorator_list = [item for item in fresh.decorator_list if not own(item)]
        fresh.args.kw_defaults = [None if default is None else ast.Constant(0) for default in fresh.args.kw_defaults]
        fresh.args.defaults = [ast.Constant(0) for _ in fresh.args.defaults]
    return fresh


def copied(node: _Node) -> _Node:
    """A copy of a tree; `copy.deepcopy` takes three times as long."""
    fresh = type(node)()
    for name, value in vars(node).items():
        setattr(fresh, name, _copied(value))
    return fresh


def _copied(value: Any) -> Any:
    if isinstance(value, ast.AST):
        return copied(value)
    return [_copied(item) for item in value] if isinstance(value, list) else value


def normalised_digest(root: Path) -> str:
    """Digest of all project code without comments, docstrings and formatting: the cache key of the describe step."""
    contents = with_notebooks({path.relative_to(root).as_posix(): path.read_bytes() for path in code_files(root)})
    # docstrings count where some code may read them
    docstrings = any(word in content for content in contents.values() for word in (b"__doc__", b"getdoc"))
    listing = []
    for name, content in sorted(contents.items()):
        if name.endswith(".py"):
            tree = _Normal(docstrings).visit(parse(content, name))
            content = ast.dump(tree, annotate_fields=False).encode()
        listing.append([name, hashlib.sha256(content).hexdigest()])
    return digest_json("code", 2, listing)


def parse(content: bytes, name: str) -> ast.Module:
    """The syntax tree of a file, read as its coding line says.

    Raises:
        CodeError: it is no Python.
    """
    try:
        return ast.parse(content, name)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise CodeError(
            "code.syntax_error",
            getattr(error, "msg", str(error)),
            where=f"{name}:{line}" if line else name,
            found=(getattr(error, "text", "") or "").strip(),
            next="mend the line and run again",
        ) from error


class _Normal(ast.NodeTransformer):
    """Takes out what has no meaning at run time."""

    def __init__(self, docstrings: bool) -> None:
        self._docstrings = docstrings
        self._in_function = False

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        """u"x" is "x"."""
        node.kind = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Its body is a scope of its own."""
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        """The same."""
        return self._function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Annotations of a class body are read, by dataclasses for one."""
        outer, self._in_function = self._in_function, False
        self.generic_visit(node)
        self._in_function = outer
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        """A variable's annotation in a function is never evaluated."""
        self.generic_visit(node)
        if not self._in_function or not isinstance(node.target, ast.Name):
            return node
        if node.value is None:
            return ast.AnnAssign(node.target, ast.Constant(0), None, 1)  # it still makes the name local
        return ast.Assign([node.target], node.value)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Drop docstrings and other texts that stand alone."""
        super().generic_visit(node)
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list):
                setattr(node, field, [item for item in statements if not self._is_idle(item)])
        return node

    def _function(self, node: ast.AST) -> ast.AST:
        outer, self._in_function = self._in_function, True
        self.generic_visit(node)
        self._in_function = outer
        return node

    def _is_idle(self, statement: ast.stmt) -> bool:
        """`pass`, or a constant that stands alone."""
        if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant):
            return isinstance(statement, ast.Pass)
        return not (self._docstrings and isinstance(statement.value.value, str))
