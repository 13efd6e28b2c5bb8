"""What a statement names: imports, places of the project, libraries, and hints of code named by texts.

Many definitions reach the same statements, so what was seen of a statement is remembered.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from filiera.code.hints import Hints, hints
from filiera.code.modules import Import, Module
from filiera.code.names import chains, global_reads, spelled_out
from filiera.code.project import Project
from filiera.code.resolve import Found, resolve
from filiera.code.shape import shape


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of one statement."""

    imports: tuple[Import, ...]  #: below it, such as those inside a function
    stars: tuple[str, ...]
    found: tuple[Found, ...]  #: what each of its names stands for
    hints: Hints


class Looks:
    """Looks at the statements of one project."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._looks: dict[int, tuple[ast.AST, Look]] = {}  # by identity; the node is kept, so that it stays its own
        self._shapes: dict[tuple[int, bool], tuple[ast.AST, str]] = {}

    def of(self, module: Module, node: ast.AST) -> Look:
        """What a statement of a module names."""
        known = self._looks.get(id(node))
        if known is None:
            known = self._looks[id(node)] = (node, self._look(module, node))
        return known[1]

    def shape(self, node: ast.stmt, *, docstrings: bool) -> str:
        """`shape.shape` of a statement, remembered."""
        known = self._shapes.get((id(node), docstrings))
        if known is None:
            known = self._shapes[id(node), docstrings] = (node, shape(node, docstrings=docstrings))
        return known[1]

    def _look(self, module: Module, node: ast.AST) -> Look:
        node = spelled_out(node)
        local, stars = module.imports_of(node)
        reads = global_reads(node)
        found = tuple(
            resolve(self._project, module, chain, local)
            for chain in chains(node)
            if chain[0] in reads or chain[0] in local  # else a parameter or a variable of a function
        )
        imports = tuple(item for items in local.values() for item in items)
        return Look(imports, tuple(stars), found, hints(module, node, local))
