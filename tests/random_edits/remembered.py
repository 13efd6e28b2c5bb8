"""Pure functions of the code dimension with a memory, so that a thousand edits of a large project take a minute.

Between two edits nearly all modules stay, and what a statement is or reads does not depend on when it is asked.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from filiera.code.modules import Module
from filiera.dimensions import closure
from filiera.runner import describe


def remember(patch: pytest.MonkeyPatch) -> None:
    """Parse a module once for each text, look at a statement once, and list the installed libraries once."""
    parse = cache(Module.parse.__func__)  # type: ignore[attr-defined]
    patch.setattr(Module, "parse", lambda *words, **named: parse(Module, *words, **named))
    patch.setattr(closure, "_normalised", cache(closure._normalised))
    for name in ("shape", "without_definition", "_global_reads", "_chains"):
        patch.setattr(closure, name, _by_statement(getattr(closure, name)))
    imports = Module.imports_of
    patch.setattr(Module, "imports_of", _by_module(imports))
    installed, required = closure.installed(), closure.required()
    patch.setattr(describe, "installed", lambda: installed)
    patch.setattr(describe, "required", lambda: required)


def _by_statement(function: Callable[..., Any]) -> Callable[..., Any]:
    """Remember by the very statement, and by whether filiera's own decorators are left out of it."""
    kept: dict[tuple[int, bool], tuple[ast.AST, Any]] = {}

    def asked(node: ast.AST, own: Any = None) -> Any:
        place = (id(node), own is not None)
        if place not in kept:
            found = function(node) if own is None else function(node, own)
            kept[place] = (
                node,
                list(found) if function.__name__ == "_chains" else found,
            )  # the node lives on: ids stay
        return kept[place][1]

    return asked


def _by_module(function: Callable[..., Any]) -> Callable[..., Any]:
    """Remember by module and statement; both are remembered and live on."""
    kept: dict[tuple[int, int], tuple[Any, ast.AST, Any]] = {}

    def asked(module: Any, node: ast.AST) -> Any:
        place = (id(module), id(node))
        if place not in kept:
            kept[place] = (module, node, function(module, node))
        return kept[place][2]

    return asked
