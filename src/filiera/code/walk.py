"""One walk over everything that a definition of an asset reaches."""

from __future__ import annotations

import ast
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

from filiera.code.hints import Hints
from filiera.code.look import Looks
from filiera.code.modules import Import, Module, Statement, at_import
from filiera.code.project import Project
from filiera.code.quiet import Quiet
from filiera.code.resolve import Found, names_something, offers, resolve, resolve_dotted
from filiera.code.shape import IsOwn, shape, without_definition


class Walk:
    """Collects units, effects, libraries, flags and variables from one entry."""

    def __init__(
        self,
        looks: Looks,
        quiet: Quiet,
        project: Project,
        entry: tuple[str, str],
        uses: Sequence[str],
        *,
        docstrings: bool,
    ) -> None:
        self.units: dict[str, str] = {}
        self.effects: dict[str, str] = {}
        self.order: dict[str, str] = {}
        self.libraries: dict[str, str] = {}
        self.flags: set[str] = set()
        self.variables: set[str] = set()
        self.reads_docstrings = False
        self._looks, self._quiet, self._project, self._entry = looks, quiet, project, entry
        self._uses, self._docstrings = uses, docstrings
        self._work: list[tuple[str, str]] = []
        self._visited: set[tuple[str, str]] = set()
        self._touched: dict[str, None] = {}
        self._whole: set[str] = set()
        self._live: dict[str, dict[int, set[str]]] = defaultdict(dict)  # module -> position -> labels
        self._anything = self._imported = False

    def run(self, start: str, frames: Iterable[str]) -> None:
        """Reach everything: from the import of `start` and of the entry's module, and from the entry."""
        for library in frames:
            self._library(library)
        self._touch(start)
        self._touch(self._entry[0])
        self._work.append(self._entry)
        for text in self._uses:
            self._follow(resolve_dotted(self._project, text), told=False)
        while self._work:
            while self._work:
                self._visit(*self._work.pop())
            if self._anything:
                self._take_all(self._project.names)
            elif self._imported:
                self._take_all(list(self._touched))
        for name in self._touched:
            self._put_in_order(name)

    @property
    def modules(self) -> tuple[str, ...]:
        """Every module that is loaded."""
        return tuple(sorted(self._touched))

    # ---- units

    def _visit(self, module_name: str, name: str) -> None:
        module = self._project.source(module_name)
        if module is None or (module_name, name) in self._visited:
            return
        self._visited.add((module_name, name))
        self._touch(module_name)
        statements, is_entry = module.units.get(name, []), (module_name, name) == self._entry
        if is_entry and not statements and name not in module.imports:
            self._take_whole(module_name)  # made by code that sets names by itself
        own = module.is_own if is_entry else None
        parts = [(s.position, self._shape(s.node, own)) for s in statements]
        parts += [(i.position, f"{i.module}:{i.name}") for i in module.imports.get(name, []) if not _is_plain(i, name)]
        parts += [(position, star) for position, star in module.stars if offers(self._project, star, name)]
        if parts:
            self.units[f"{module_name}.{name}"] = _hash([text for _, text in sorted(parts)])
        for statement in statements:
            self._mark(module, statement, name)
            self._scan(module, without_definition(statement.node, own) if own else statement.node)

    def _shape(self, node: ast.stmt, own: IsOwn | None) -> str:
        if own is not None:
            return shape(node, own, docstrings=self._docstrings)
        return self._looks.shape(node, docstrings=self._docstrings)

    def _scan(self, module: Module, node: ast.AST) -> None:
        look = self._looks.of(module, node)
        for item in look.imports:
            self._import(item)
        for star in look.stars:
            self._take_star(star)
        for found in look.found:
            self._follow(found)
        self._heed(module, look.hints)

    def _follow(self, found: Found, *, told: bool = True) -> None:
        for name in found.loaded:
            self._touch(name)
        self._work += found.places
        for name in found.outside:
            self._library(name)
        for name in found.whole:
            if told and not self._is_named(name):
                self.flags.add(f"whole:{name}")
            if not (told and self._is_named(name)):
                self._take_whole(name)

    def _is_named(self, module: str) -> bool:
        """Whether `uses` says what is taken of a module."""
        return any(text == module or text.startswith(f"{module}.") for text in self._uses)

    def _take_whole(self, name: str) -> None:
        self._touch(name)
        module = self._project.source(name)
        if module is None or name in self._whole:
            return
        self._whole.add(name)
        self._work += [(name, unit) for unit in module.units]
        for imported in module.imports:
            self._follow(resolve(self._project, module, [imported]), told=False)
        for _, star in module.stars:
            self._take_star(star)

    def _take_star(self, star: str) -> None:
        if self._project.module(star) is not None:
            self._take_whole(star)
        else:
            self._library(star)

    def _take_all(self, names: Iterable[str]) -> None:
        for name in names:
            self._take_whole(name)

    # ---- what importing runs

    def _touch(self, name: str) -> None:
        """Importing a module runs it and its parent packages."""
        parts = name.split(".")
        for count in range(1, len(parts) + 1):
            self._touch_one(".".join(parts[:count]))

    def _touch_one(self, name: str) -> None:
        module = self._project.module(name)
        if module is None or name in self._touched:
            return
        self._touched[name] = None
        if isinstance(module, bytes):
            self.effects[name] = hashlib.sha256(module).hexdigest()
            return
        definition = self._entry[1] if name == self._entry[0] else ""
        kept = [s for s in self._quiet.effects(module) if getattr(s.node, "name", None) != definition or not definition]
        if kept:
            self.effects[name] = _hash([self._shape(s.node, None) for s in kept])
        for item in module.loads:
            self._touch_import(item)
        for statement in kept:
            self._mark(module, statement, "effect")
            self._scan(module, statement.node)
        for bound, items in module.imports.items():
            if bound not in module.read and not module.package:  # imported for what its import does
                for item in items:
                    if self._project.module(item.loaded) is None:
                        self._library(item.loaded)

    def _touch_import(self, item: Import) -> None:
        if self._project.module(item.loaded) is not None:
            self._touch(item.loaded)
        if item.name is not None and self._project.module(f"{item.module}.{item.name}") is not None:
            self._touch(f"{item.module}.{item.name}")

    def _import(self, item: Import) -> None:
        if self._project.module(item.loaded) is None and self._project.module(item.module) is None:
            self._library(item.loaded)
        else:
            self._touch_import(item)

    def _library(self, name: str) -> None:
        top = name.split(".")[0]
        found = self._project.version(top)
        if found is None or found[0] in self.libraries or self._project.module(top) is not None:
            return
        self.libraries[found[0]] = found[1]
        if found[1] == "unknown":
            self.flags.add(f"unlocked:{found[0]}")
        for required in self._project.requirements(top) if top != "filiera" else ():
            self._library(required)

    # ---- the order of what runs at import

    def _mark(self, module: Module, statement: Statement, label: str) -> None:
        if label == "effect" or len(module.units[label]) > 1 or _is_live(statement.node):
            self._live[module.name].setdefault(statement.position, set()).add(label)

    def _put_in_order(self, name: str) -> None:
        """Where statements change what others made, and where imports do, their order counts."""
        module = self._project.source(name)
        if module is None:
            return
        labels = [(position, "+".join(sorted(found))) for position, found in self._live[name].items()]
        seen: set[str] = set()
        loads = sorted(module.loads, key=lambda item: item.position)
        stirring = [(i.position, f"import {', '.join(run)}") for i in loads if (run := self._first_run(i, seen))]
        texts = [text for _, text in sorted({*labels, *stirring})]
        marked = {label for found in self._live[name].values() for label in found}
        changing = bool(stirring) or "effect" in marked or any(len(module.units[unit]) > 1 for unit in marked)
        if changing and len(texts) > 1:
            self.order[name] = _hash(texts)

    def _first_run(self, item: Import, seen: set[str]) -> list[str]:
        """Modules with effects that an import is the first to run, by itself or through what it imports."""
        waiting = [*([f"{item.module}.{item.name}"] if item.name else []), item.loaded]
        found = []
        while waiting:
            name = waiting.pop()
            if name in seen or name not in self._touched:
                continue
            seen.add(name)
            if name in self.effects:
                found.append(name)
            module = self._project.source(name)
            waiting += [each.loaded for each in reversed(module.loads)] if module else []
        return found

    # ---- code named by text

    def _heed(self, module: Module, found: Hints) -> None:
        for text in found.modules:
            self._follow_text(text)
        for prefix in found.prefixes:
            self._dynamic([n for n in self._project.names if n.startswith(f"{prefix}.")], f"dynamic:{prefix}")
        if found.namespace:
            self._dynamic([module.name], f"whole:{module.name}")
        if found.anything or found.imported:
            self._anything |= found.anything and not self._uses
            self._imported |= found.imported and not self._uses
            self._dynamic([], "dynamic")
        self.reads_docstrings |= found.docstrings
        self.variables |= found.variables
        self.flags |= {"variables"} if found.any_variable else set()
        self.flags |= {f"nondeterministic:{name}" for name in found.nondeterministic}
        self.flags |= {f"outside:{name}" for name in found.outside}

    def _dynamic(self, names: Sequence[str], flag: str) -> None:
        if self._uses:
            self.flags.add("dynamic:uses")
            return
        self.flags.add(flag)
        self._take_all(names)

    def _follow_text(self, text: str) -> None:
        """A text that is the name of a module, or of something in it."""
        if self._project.module(text) is not None:
            self._take_whole(text)
        elif names_something(self._project, text):
            self._follow(resolve_dotted(self._project, text), told=False)


def _is_plain(item: Import, name: str) -> bool:
    """`import numpy`: the name says it all; so does what stands for filiera."""
    return item.module.split(".")[0] == "filiera" or (item.name is None and item.module == name)


def _is_live(node: ast.AST) -> bool:
    """Whether a statement reads or calls something when it runs at import."""
    return any(
        isinstance(item, ast.Call | ast.Subscript | ast.Attribute)
        or (isinstance(item, ast.Name) and isinstance(item.ctx, ast.Load))
        for item in at_import(node)
    )


def _hash(texts: Iterable[str]) -> str:
    return hashlib.sha256("".join(texts).encode()).hexdigest()
