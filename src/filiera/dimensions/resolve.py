"""What a dotted name stands for: units of the project, whole modules, or something outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from filiera.dimensions.modules import Import, Module
from filiera.dimensions.project import Project

LocalImports = Mapping[str, Sequence[Import]]


@dataclass(frozen=True, slots=True)
class Unit:
    """A name of a project module, and the attributes that are read of it."""

    module: str
    name: str
    rest: tuple[str, ...] = ()


@dataclass(slots=True)
class Found:
    """Everything a dotted name may stand for."""

    places: list[tuple[str, str]] = field(default_factory=list)  #: module and name of every binding on the way
    units: list[Unit] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)  #: modules used as a value, or of which an attribute was not found
    outside: list[str] = field(default_factory=list)  #: dotted names of libraries
    loaded: list[str] = field(default_factory=list)  #: modules that importing it runs


def resolve(project: Project, module: Module, chain: Sequence[str], local: LocalImports | None = None) -> Found:
    """Follow `a.b.c`, read in `module`; nothing is found for a name that the module does not bind."""
    search = _Search(project)
    search.name(module, chain[0], tuple(chain[1:]), local or {})
    return search.found


def resolve_dotted(project: Project, dotted: str) -> Found:
    """What `pkg.module.name` stands for; nothing when the project has no such module."""
    search = _Search(project)
    parts = tuple(dotted.split("."))
    if project.module(parts[0]) is not None:
        search.found.loaded.append(parts[0])
        search.attribute(parts[0], parts[1:])
    return search.found


def offers(project: Project, star: str, name: str) -> bool:
    """Whether `from star import *` may bind `name`."""
    module = project.source(star)
    if module is None:
        return False
    public = module.public()
    if public is not None:
        return name in public
    if name.startswith("_") and "__all__" not in module.units:
        return False
    if name in module.units or name in module.imports:
        return True
    return any(other != star and offers(project, other, name) for _, other in module.stars)


def names_something(project: Project, dotted: str) -> bool:
    """Whether a text is the name of a project module, or of something that one sets."""
    home, _, last = dotted.rpartition(".")
    module = project.source(home) if home else None
    return project.module(dotted) is not None or (module is not None and last in {*module.units, *module.imports})


def known_names(project: Project) -> list[str]:
    """Every module of the project, and every name that one sets."""
    found = list(project.names)
    for name in project.names:
        module = project.source(name)
        found += [f"{name}.{unit}" for unit in module.units] if module else []
    return found


class _Search:
    def __init__(self, project: Project) -> None:
        self._project = project
        self._seen: set[tuple[str, str]] = set()
        self.found = Found()

    def name(self, module: Module, head: str, rest: tuple[str, ...], local: LocalImports) -> bool:
        """Follow a name as it is bound in a module; False when it is not."""
        if (module.name, head) in self._seen and not local:
            return True
        self._seen.add((module.name, head))
        known = head in module.units
        self.found.places.append((module.name, head))
        if known:
            self.found.units.append(Unit(module.name, head, rest))
        for item in (*local.get(head, ()), *module.imports.get(head, ())):
            self._import(item, rest)
            known = True
        for _, star in module.stars:
            other = self._project.module(star)
            if other is None:
                self.found.outside.append(f"{star}.{head}")
            elif isinstance(other, Module) and offers(self._project, star, head):
                if other.public() is None and "__all__" in other.units:
                    self.name(other, "__all__", (), {})
                self.name(other, head, rest, {})
                known = True
        return known

    def attribute(self, name: str, rest: tuple[str, ...]) -> None:
        """Follow attributes of a module."""
        if not rest:
            self.found.whole.append(name)
            return
        inner = f"{name}.{rest[0]}"
        module = self._project.source(name)
        if self._project.module(inner) is not None:
            self.found.loaded.append(inner)
            self.attribute(inner, rest[1:])
            if module is not None and (rest[0] in module.units or rest[0] in module.imports):
                self.name(module, rest[0], rest[1:], {})
        elif module is not None:
            self._member(module, rest[0], rest[1:])

    def _member(self, module: Module, head: str, rest: tuple[str, ...]) -> None:
        if self.name(module, head, rest, {}):
            return
        if "__getattr__" in module.units:
            self.name(module, "__getattr__", (), {})
        else:
            self.found.whole.append(module.name)

    def _import(self, item: Import, rest: tuple[str, ...]) -> None:
        inside = self._project.module(item.module) is not None
        if item.name is None:
            if not inside:
                self.found.outside.append(".".join([item.module, *rest]))
                return
            self.found.loaded.append(item.loaded)
            self.attribute(item.module, rest)
        elif inside or self._project.module(f"{item.module}.{item.name}") is not None:
            self.found.loaded.append(item.module)
            self.attribute(item.module, (item.name, *rest))
        else:
            self.found.outside.append(".".join([item.module, item.name, *rest]))
