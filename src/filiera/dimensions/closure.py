"""Everything a function can reach: its code closure, by static resolution of names.

    closure = units reachable from the entry + effects of every project module that importing them runs
              + outside libraries with their versions + flags

Its digest changes when a reachable statement changes, and not when a comment, a docstring, the layout or unrelated
code does. Where names cannot be resolved (`getattr` with a computed name, `exec`), every project module that is
reached counts whole: coarser, never wrong. Runs in the project's interpreter, since `ast.dump` differs between
Python versions. Known holes: plug-ins found by entry points, registries filled through `__init_subclass__` or by
modules that nobody imports by name, code shipped as data.
"""

from __future__ import annotations

import ast
import hashlib
import symtable
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filiera.digest import digest_json
from filiera.dimensions.bundle import code_files
from filiera.dimensions.modules import BUILTINS, Import, Module, shape, without_definition
from filiera.errors import CodeError

DYNAMIC = frozenset({"getattr", "setattr", "eval", "exec", "globals", "locals", "vars", "__import__", "import_module"})
NONDETERMINISTIC = frozenset({"random", "uuid", "secrets"})
NONDETERMINISTIC_CALLS = frozenset({("time", "time"), ("datetime", "now"), ("datetime", "today"), ("os", "urandom")})
#: The meaning of filiera's own decorators; raised when old definitions would mean something else.
AUTHORING = "1"


@dataclass(frozen=True)
class Closure:
    """What a function can reach, as a manifest that can be compared."""

    units: Mapping[str, str]  #: "module.name" -> hash
    effects: Mapping[str, str]  #: module -> hash of what its import runs
    libraries: Mapping[str, str]  #: distribution -> version
    flags: tuple[str, ...]

    def manifest(self) -> dict[str, Any]:
        """The closure as data."""
        return {
            "units": dict(sorted(self.units.items())),
            "effects": dict(sorted(self.effects.items())),
            "libraries": dict(sorted(self.libraries.items())),
            "flags": list(self.flags),
        }

    @cached_property
    def digest(self) -> str:
        """Identity of the closure."""
        return digest_json("closure", 1, self.manifest())


def explain(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """How two manifests differ, one sentence a difference; library changes contain an arrow."""
    texts: list[str] = []
    for part, word in (
        ("units", ""), ("effects", "import of "), ("files", ""), ("declared_variables", "variable "),
    ):  # fmt: skip
        old, new = before.get(part, {}), now.get(part, {})
        texts += [f"{word}{name} changed" for name in sorted(old.keys() & new.keys()) if old[name] != new[name]]
        texts += [f"{word}{name} added" for name in sorted(new.keys() - old.keys())]
        texts += [f"{word}{name} gone" for name in sorted(old.keys() - new.keys())]
    old, new = before.get("libraries", {}), now.get("libraries", {})
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            texts.append(f"{name} {old.get(name, 'absent')} -> {new.get(name, 'absent')}")
    texts += [f"flag {flag}" for flag in now.get("flags", []) if flag not in before.get("flags", [])]
    return texts


def normalised_digest(root: Path) -> str:
    """Digest of all project code without comments, docstrings and formatting: the cache key of the describe step."""
    listing = []
    for path in code_files(root):
        content = path.read_bytes()
        name = path.relative_to(root).as_posix()
        listing.append([name, _normalised(content, name) if path.suffix == ".py" else _hash(content)])
    return digest_json("code", 1, listing)


def _normalised(content: bytes, name: str) -> str:
    try:
        tree = ast.parse(content, name)
    except SyntaxError as error:
        raise syntax_error(name, error) from error
    return shape(tree)


def syntax_error(name: str, error: SyntaxError) -> CodeError:
    """The error of a file that is no Python."""
    return CodeError(
        "code.syntax_error",
        f"{error.msg}",
        where=f"{name}:{error.lineno}",
        found=(error.text or "").strip(),
        next="mend the line and run again",
    )


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Project:
    """The parsed modules of one source tree."""

    def __init__(
        self, root: Path, libraries: Mapping[str, str], requirements: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Index the modules below `root`; `libraries` and `requirements` are as of `installed` and `required`."""
        self._root = root
        self._paths = _index(root)
        self._modules: dict[str, Module | bytes] = {}
        self._libraries = libraries
        self._requirements = requirements or {}

    def closure(self, module: str, name: str, frames: Iterable[str] = ()) -> Closure:
        """Everything that `name` of `module`, the definition of an asset, can reach.

        Args:
            module: of the project.
            name: of the definition.
            frames: libraries whose frames it is handed, whether it names them or not.
        """
        return _Walk(self, module, name).closure(frames)

    def requirements(self, top: str) -> Sequence[str]:
        """Top-level modules of the distributions that the one behind `top` requires."""
        return self._requirements.get(top, ())

    def module(self, name: str) -> Module | bytes | None:
        """A project module, its bytes if it is compiled, or None if it is not the project's."""
        path = self._paths.get(name)
        if path is None:
            return None
        if name not in self._modules:
            self._modules[name] = self._load(name, path)
        return self._modules[name]

    def version(self, top: str) -> tuple[str, str] | None:
        """Distribution and version behind a top-level module outside the project; None for the standard library."""
        if top in sys.stdlib_module_names or top == "":
            return None
        if top == "filiera":
            return "filiera authoring", AUTHORING
        return top, self._libraries.get(top, "unknown")

    def _load(self, name: str, path: Path) -> Module | bytes:
        content = path.read_bytes()
        if path.suffix != ".py":
            return content
        relative = path.relative_to(self._root).as_posix()
        try:
            return Module.parse(name, content.decode(), package=path.name == "__init__.py", path=relative)
        except SyntaxError as error:
            raise syntax_error(relative, error) from error


def _index(root: Path) -> dict[str, Path]:
    found = {}
    for path in code_files(root):
        if path.suffix not in (".py", ".so", ".pyd"):
            continue
        parts = list(path.relative_to(root).parts)
        parts[-1] = parts[-1].split(".")[0]
        if parts[-1] == "__init__":
            parts.pop()
        if parts:
            found[".".join(parts)] = path
    return found


def installed() -> dict[str, str]:
    """Version of the distribution behind each top-level module of this interpreter."""
    from importlib.metadata import distributions

    versions: dict[str, str] = {}
    for distribution in distributions():
        for top in _tops(distribution):
            versions.setdefault(top, _identity(distribution))
    return versions


def required() -> dict[str, tuple[str, ...]]:
    """Top-level modules that the distribution behind each top-level module requires, without extras."""
    from importlib.metadata import distributions

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found = {canonicalize_name(str(d.metadata["Name"])): d for d in distributions()}
    needs: dict[str, tuple[str, ...]] = {}
    for distribution in found.values():
        wanted = [Requirement(text) for text in distribution.requires or ()]
        names = [canonicalize_name(r.name) for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""})]
        tops = tuple(top for name in names if name in found for top in _tops(found[name]))
        for top in _tops(distribution):
            needs.setdefault(top, tops)
    return needs


def _tops(distribution: Any) -> list[str]:
    tops = (distribution.read_text("top_level.txt") or "").split()
    names = tops or sorted({str(file).split("/")[0].removesuffix(".py") for file in distribution.files or []})
    return [top for top in names if top.isidentifier() and top != "__pycache__"]


def _identity(distribution: Any) -> str:
    """The version; of direct-URL and editable installs also what is installed, since their version may stand still."""
    version = str(distribution.version)
    if distribution.read_text("direct_url.json"):
        return f"{version}+{_hash((distribution.read_text('RECORD') or '').encode())[:12]}"
    return version


class _Walk:
    """One walk over everything that an entry reaches."""

    def __init__(self, project: Project, module: str, name: str) -> None:
        self._project = project
        self._entry = (module, name)
        self._units: dict[str, str] = {}
        self._effects: dict[str, str] = {}
        self._libraries: dict[str, str] = {}
        self._flags: set[str] = set()
        self._work = [(module, name)]
        self._done: set[tuple[str, str]] = set()
        self._whole: set[str] = set()

    def closure(self, frames: Iterable[str]) -> Closure:
        for library in frames:
            self._outside(library)
        self._touch(self._entry[0])
        self._drain()
        if "dynamic" in self._flags:
            for name in list(self._effects):
                self._take_whole(name)
            self._drain()
        return Closure(self._units, self._effects, self._libraries, tuple(sorted(self._flags)))

    def _drain(self) -> None:
        while self._work:
            place = self._work.pop()
            if place not in self._done:
                self._done.add(place)
                self._visit(*place)

    def _visit(self, module_name: str, name: str) -> None:
        module = self._project.module(module_name)
        if not isinstance(module, Module):
            return
        if name not in module.units:
            self._resolve(module, [name], {})
            return
        own = module.is_own if (module_name, name) == self._entry else None
        statements = list({id(s): s for s in module.units[name]}.values())
        parts = [shape(statement, own) for statement in statements]
        self._units[f"{module_name}.{name}"] = _hash("".join(parts).encode())
        for statement in statements:
            self._scan(module, without_definition(statement, own) if own else statement)

    def _touch(self, name: str) -> None:
        """Importing a module runs it and its parent packages."""
        parts = name.split(".")
        for count in range(1, len(parts) + 1):
            self._touch_one(".".join(parts[:count]))

    def _touch_one(self, name: str) -> None:
        module = self._project.module(name)
        if module is None or name in self._effects:
            return
        if isinstance(module, bytes):
            self._effects[name] = _hash(module)
            return
        definition = self._entry[1] if name == self._entry[0] else None
        kept = [s for s in module.effects if getattr(s, "name", None) != definition or definition is None]
        self._effects[name] = _hash("".join(shape(statement) for statement in kept).encode())
        for statement in kept:
            self._scan(module, statement)
        for item in module.imports.values():
            self._touch_import(item)
        for star in module.stars:
            self._touch(star)

    def _touch_import(self, item: Import) -> None:
        if self._project.module(item.loaded) is not None:
            self._touch(item.loaded)
        if item.name is not None and self._project.module(f"{item.module}.{item.name}") is not None:
            self._touch(f"{item.module}.{item.name}")

    def _outside(self, name: str) -> None:
        top = name.split(".")[0]
        found = self._project.version(top)
        if found is None or found[0] in self._libraries:
            return
        self._libraries[found[0]] = found[1]
        if found[1] == "unknown":
            self._flags.add(f"unlocked:{found[0]}")
        for required in self._project.requirements(top) if top != "filiera" else ():
            self._outside(required)

    def _take_whole(self, name: str) -> None:
        module = self._project.module(name)
        self._touch(name)
        if isinstance(module, Module) and name not in self._whole:
            self._whole.add(name)
            self._work += [(name, unit) for unit in module.units]

    def _resolve(self, module: Module, chain: list[str], local: Mapping[str, Import]) -> None:
        """Follow `a.b.c`, read in `module`, to the units it stands for."""
        head = chain[0]
        found = local.get(head) or module.imports.get(head)
        if head in module.units:
            self._work.append((module.name, head))
        if found is None:
            if head not in module.units:
                self._resolve_star(module, head)
            return
        if found.name is None:
            if self._project.module(found.module) is None:
                self._outside(found.module)
                return
            self._touch(found.loaded)
            self._attributes(found.module, chain[1:])
        else:
            self._from_import(found.module, found.name, chain[1:])

    def _resolve_star(self, module: Module, head: str) -> None:
        for star in module.stars:
            other = self._project.module(star)
            if other is None:
                self._outside(star)
            elif isinstance(other, Module) and (head in other.units or head in other.imports or other.stars):
                self._work.append((star, head))

    def _from_import(self, module: str, name: str, rest: list[str]) -> None:
        if self._project.module(f"{module}.{name}") is not None:
            self._touch(f"{module}.{name}")
            self._attributes(f"{module}.{name}", rest)
        elif self._project.module(module) is None:
            self._outside(module)
        else:
            self._touch(module)
            self._work.append((module, name))

    def _attributes(self, name: str, rest: list[str]) -> None:
        while rest and self._project.module(f"{name}.{rest[0]}") is not None:
            name, rest = f"{name}.{rest[0]}", rest[1:]
            self._touch(name)
        module = self._project.module(name)
        known = isinstance(module, Module) and rest and (rest[0] in module.units or rest[0] in module.imports)
        if known or (isinstance(module, Module) and rest and module.stars):
            self._work.append((name, rest[0]))
        else:
            self._take_whole(name)  # used as a value, or an attribute that cannot be found

    def _scan(self, module: Module, node: ast.AST) -> None:
        local, stars = module.imports_of(node)
        for item in local.values():
            if self._project.module(item.loaded) is None and self._project.module(item.module) is None:
                self._outside(item.loaded)
            else:
                self._touch_import(item)
        for star in stars:
            self._take_whole(star)
        reads = _global_reads(node)
        for chain in _chains(node):
            if chain[0] not in reads and chain[0] not in local:
                continue  # a parameter or a variable of a function, whatever the module calls by that name
            self._flag(module, chain)
            if chain[0] in module.units or chain[0] in module.imports or chain[0] in local or chain[0] not in BUILTINS:
                self._resolve(module, chain, local)

    def _flag(self, module: Module, chain: list[str]) -> None:
        if chain[-1] in DYNAMIC and chain[-1] not in module.units:
            self._flags.add("dynamic")
        origin = module.imports.get(chain[0])
        if tuple(chain[-2:]) in NONDETERMINISTIC_CALLS or (origin and origin.module in NONDETERMINISTIC):
            self._flags.add(f"nondeterministic:{'.'.join(chain)}")


def _global_reads(node: ast.AST) -> set[str]:
    """Names below a statement that are looked up in the module, by Python's own rules of scope."""
    names: set[str] = set()
    waiting = [symtable.symtable(ast.unparse(node), "unit", "exec")]
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


def _chains(node: ast.AST) -> Iterable[list[str]]:
    """Every name or dotted chain that is read below `node`, longest form only."""
    inner: set[int] = set()
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
        elif isinstance(item, ast.Name) and isinstance(item.ctx, ast.Load):
            yield [item.id]
