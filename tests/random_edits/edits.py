"""Random edits of a toy project: some change what is computed, some only how it is written."""

from __future__ import annotations

import copy
import random

from random_edits.toy import SOURCES, Toy, add_step

#: Kind of edit -> how often, relative to the others.
KINDS = {
    "body": 14, "helper": 8, "constant": 3, "setting": 12, "looks of a step": 10, "looks of a helper": 8,
    "unrelated": 12, "new day": 5, "changed row": 5, "rewritten file": 8, "revert": 10, "added step": 5,
    "removed step": 4,
}  # fmt: skip


def edit(toy: Toy, earlier: list[Toy], draw: random.Random) -> tuple[str, Toy]:
    """The kind of an edit, and the project after it; the one given stays as it is."""
    (kind,) = draw.choices(list(KINDS), list(KINDS.values()))
    if kind == "revert":
        return kind, copy.deepcopy(draw.choice(earlier))
    after = copy.deepcopy(toy)
    _EDITS[kind](after, draw)
    return kind, after


def _body(toy: Toy, draw: random.Random) -> None:
    toy.steps[draw.choice(toy.ordered())].factor += draw.randrange(1, 50)


def _helper(toy: Toy, draw: random.Random) -> None:
    toy.helpers[draw.choice(sorted(toy.helpers))].factor += draw.randrange(1, 50)


def _constant(toy: Toy, draw: random.Random) -> None:
    toy.constants[draw.choice(sorted(toy.constants))] += draw.randrange(1, 50)


def _setting(toy: Toy, draw: random.Random) -> None:
    toy.steps[draw.choice(toy.ordered())].setting += draw.randrange(1, 10)


def _step_looks(toy: Toy, draw: random.Random) -> None:
    toy.steps[draw.choice(toy.ordered())].looks += draw.randrange(1, 12)


def _helper_looks(toy: Toy, draw: random.Random) -> None:
    toy.helpers[draw.choice(sorted(toy.helpers))].looks += draw.randrange(1, 12)


def _unrelated(toy: Toy, draw: random.Random) -> None:
    toy.idle[draw.choice(sorted(toy.idle))] += 1


def _new_day(toy: Toy, draw: random.Random) -> None:
    days = toy.days[draw.choice(SOURCES)]
    days[max(days) + 1] = [draw.randrange(1000) for _ in range(6)]


def _changed_row(toy: Toy, draw: random.Random) -> None:
    days = toy.days[draw.choice(SOURCES)]
    values = days[draw.choice(sorted(days))]
    values[draw.randrange(len(values))] += draw.randrange(1, 100)


def _rewritten_file(toy: Toy, draw: random.Random) -> None:
    toy.files[draw.choice(SOURCES)] += 1


def _added(toy: Toy, draw: random.Random) -> None:
    add_step(toy, draw)


def _removed(toy: Toy, draw: random.Random) -> None:
    leaves = [name for name in toy.ordered() if not toy.readers(name)]
    del toy.steps[draw.choice(leaves)]


_EDITS = {
    "body": _body, "helper": _helper, "constant": _constant, "setting": _setting, "looks of a step": _step_looks,
    "looks of a helper": _helper_looks, "unrelated": _unrelated, "new day": _new_day, "changed row": _changed_row,
    "rewritten file": _rewritten_file, "added step": _added, "removed step": _removed,
}  # fmt: skip
