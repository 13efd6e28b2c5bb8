"""Everything a function can reach: its code closure, by static resolution of names.

    closure = units reachable from the entry + effects of every project module that importing them runs
              + order of both, where it counts + outside libraries with their versions

A unit is a top-level name with every statement that sets or changes it (`modules`). An effect is a statement that may
change something besides (`quiet`). The digest changes when a reachable statement changes, and not when a comment, a
docstring, the layout or unrelated code does. Where code is named by computed texts (`hints`), everything that may be
meant counts whole: coarser, never wrong. Runs in the project's interpreter, since syntax trees differ between Python
versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from filiera.code.flags import sentence
from filiera.code.look import Looks
from filiera.code.project import Project
from filiera.code.quiet import Quiet
from filiera.code.walk import Walk
from filiera.digest import digest_json


@dataclass(frozen=True)
class Closure:
    """What a function can reach, as a manifest that can be compared."""

    units: Mapping[str, str]  #: "module.name" -> hash
    effects: Mapping[str, str]  #: module -> hash of what its import changes
    order: Mapping[str, str]  #: module -> hash of the order of what runs at import, where it counts
    libraries: Mapping[str, str]  #: distribution -> version
    flags: tuple[str, ...]  #: what a person should know, as of `flags.sentences`
    variables: tuple[str, ...]  #: names of the environment variables that are read
    modules: tuple[str, ...]  #: every module that importing it loads; what counts of them are units and effects

    def manifest(self) -> dict[str, Any]:
        """The closure as data."""
        return {
            "units": dict(sorted(self.units.items())),
            "effects": dict(sorted(self.effects.items())),
            "order": dict(sorted(self.order.items())),
            "libraries": dict(sorted(self.libraries.items())),
            "flags": list(self.flags),
            "variables": list(self.variables),
            "modules": list(self.modules),
        }

    @cached_property
    def digest(self) -> str:
        """Identity of the closure."""
        return identity(self.manifest())


def identity(manifest: Mapping[str, Any]) -> str:
    """Digest of a manifest; flags, variables and modules follow from the rest or say nothing by themselves."""
    kept = {name: part for name, part in manifest.items() if name not in ("flags", "variables", "modules")}
    return digest_json("closure", 2, kept)


class Closures:
    """The closures of one project."""

    def __init__(self, project: Project, start: str = "pipeline") -> None:
        """`start` is the module that is imported first, whatever runs."""
        self._project, self._start = project, start
        self._quiet, self._looks = Quiet(project), Looks(project)

    def of(self, module: str, name: str, frames: Iterable[str] = (), uses: Sequence[str] = ()) -> Closure:
        """Everything that `name` of `module`, the definition of an asset, can reach.

        Args:
            module: of the project.
            name: of the definition.
            frames: libraries whose frames it is handed, whether it names them or not.
            uses: dotted names of what its dynamic code reaches; empty = anything may be meant.
        """
        walk = self._walk(module, name, frames, uses, docstrings=False)
        if walk.reads_docstrings:
            walk = self._walk(module, name, frames, uses, docstrings=True)
        flags, variables = tuple(sorted(walk.flags)), tuple(sorted(walk.variables))
        return Closure(walk.units, walk.effects, walk.order, walk.libraries, flags, variables, walk.modules)

    def _walk(self, module: str, name: str, frames: Iterable[str], uses: Sequence[str], *, docstrings: bool) -> Walk:
        walk = Walk(self._looks, self._quiet, self._project, (module, name), uses, docstrings=docstrings)
        walk.run(self._start, frames)
        return walk


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
    old, new = before.get("order", {}), now.get("order", {})
    if not texts:  # added and removed statements move the order, too
        moved = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
        texts += [f"order of statements in {name} changed" for name in moved]
    old, new = before.get("libraries", {}), now.get("libraries", {})
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            texts.append(f"{name} {old.get(name, 'absent')} -> {new.get(name, 'absent')}")
    return texts + [f"it {sentence(flag)}" for flag in now.get("flags", []) if flag not in before.get("flags", [])]
