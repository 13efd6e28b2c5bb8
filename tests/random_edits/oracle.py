"""What must run at least, told by what a table truly depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from random_edits.toy import Toy, digest


def true_key(toy: Toy, name: str, results: Mapping[str, Sequence[int]]) -> str:
    """Everything that a table's rows depend on."""
    return digest([toy.meaning(name), *(list(results[port]) for port in toy.steps[name].inputs)])


@dataclass
class Oracle:
    """Remembers every state; a table must run whose true inputs differ from those of all earlier ones."""

    seen: set[str] = field(default_factory=set)

    def least(self, toy: Toy, results: Mapping[str, Sequence[int]]) -> list[str]:
        """The tables that must run now, given the results of a clean run."""
        keys = {name: true_key(toy, name, results) for name in toy.ordered()}
        found = [name for name, key in keys.items() if key not in self.seen]
        self.seen |= set(keys.values())
        return found
