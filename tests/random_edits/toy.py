"""A generated project whose true dependencies are known, because it is written from them.

A `Toy` is a state: constants, helpers in several modules that call each other, tables that read each other and two
sources. `write` puts it down as code; `meaning` says what a table truly depends on besides its inputs. The two are
made from the same values in different ways, and nothing here knows how filiera finds dependencies.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from pathlib import Path

LIBRARIES = ("lib_a", "lib_b", "lib_c", "pkg.tools")
STEP_MODULES = 8
SOURCES = ("alpha", "beta")
FORMS = ("function", "default", "lambda", "method", "factory", "mapping", "partial")
PRIME = 1_000_003


@dataclass
class Helper:
    """A function of one number, in one of several forms."""

    module: str
    form: str
    factor: int
    calls: list[str]
    constants: list[str]
    looks: int = 0  #: comments and layout; no meaning


@dataclass
class Step:
    """A table."""

    module: str
    inputs: list[str]
    helpers: list[str]
    constants: list[str]
    factor: int
    setting: int
    modulus: int  #: a small one makes many results equal: changes stop here
    looks: int = 0


@dataclass
class Toy:
    """One state of the project."""

    constants: dict[str, int] = field(default_factory=dict)
    helpers: dict[str, Helper] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)
    idle: dict[str, int] = field(default_factory=dict)  #: module -> a function that nobody calls
    days: dict[str, dict[int, list[int]]] = field(default_factory=dict)  #: source -> day -> values
    files: dict[str, int] = field(default_factory=dict)  #: source -> how its rows are laid out; no meaning
    made: int = 0  #: steps so far, for their names

    def meaning(self, name: str) -> str:
        """Everything that a table's code and settings depend on, whatever the text looks like."""
        step = self.steps[name]
        parts = [name, step.factor, step.setting, step.modulus, *step.inputs]
        parts += [self._constant(c) for c in step.constants]
        parts += [self._helper(h) for h in step.helpers]
        return digest(parts)

    def _constant(self, name: str) -> str:
        return f"{name}={self.constants[name]}"

    def _helper(self, name: str) -> str:
        helper = self.helpers[name]
        parts = [name, helper.factor, *(self._constant(c) for c in helper.constants)]
        return digest([*parts, *(self._helper(called) for called in helper.calls)])

    def readers(self, name: str) -> list[str]:
        """Tables that read `name`."""
        return [other for other, step in self.steps.items() if name in step.inputs]

    def ordered(self) -> list[str]:
        """Names of the tables; inputs were made before their readers."""
        return sorted(self.steps)


def digest(parts: list[object]) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def make(draw: random.Random, steps: int) -> Toy:
    """A project of so many tables: chains, fan-out, and fan-in of up to eight inputs."""
    toy = Toy()
    for number in range(12):
        toy.constants[f"K{number}"] = draw.randrange(1, 100)
    for number in range(36):
        earlier = list(toy.helpers)
        toy.helpers[f"h{number:02}"] = Helper(
            module=draw.choice(LIBRARIES),
            form=FORMS[number % len(FORMS)],
            factor=draw.randrange(2, 50),
            calls=draw.sample(earlier, min(len(earlier), draw.choice((0, 0, 1, 2)))),
            constants=draw.sample(sorted(toy.constants), draw.choice((0, 0, 1))),
        )
    toy.idle = dict.fromkeys((*LIBRARIES, *(f"steps_{n}" for n in range(STEP_MODULES))), 0)
    toy.days = {source: {day: [draw.randrange(1000) for _ in range(6)] for day in range(3)} for source in SOURCES}
    toy.files = dict.fromkeys(SOURCES, 0)
    for _ in range(steps):
        add_step(toy, draw)
    return toy


def add_step(toy: Toy, draw: random.Random) -> str:
    """One more table."""
    earlier, number = toy.ordered(), toy.made
    near = earlier[-12:]
    count = min(len(earlier), draw.choice((1, 1, 1, 2, 2, 3, 8)))
    inputs = set(draw.sample(near if draw.random() < 0.6 else earlier, min(count, len(near))))
    if not inputs or draw.random() < 0.06:
        inputs.add(draw.choice(SOURCES))
    name = f"t{number:04}"
    toy.steps[name] = Step(
        module=f"steps_{number % STEP_MODULES}",
        inputs=sorted(inputs),
        helpers=draw.sample(sorted(toy.helpers), draw.choice((0, 1, 1, 2))),
        constants=draw.sample(sorted(toy.constants), draw.choice((0, 0, 0, 1))),
        factor=draw.randrange(2, 100),
        setting=draw.randrange(1, 10),
        modulus=draw.choice((PRIME, PRIME, PRIME, 97, 2)),
    )
    toy.made += 1
    return name


# ---- as code


@dataclass(frozen=True)
class Dialect:
    """How a table reads and gives rows: the one thing that differs between an engine in memory and the real one."""

    head: str  #: of each module with tables
    read: str  #: the sum of an input, `{}` = its name
    give: str  #: a result of one number, `{}` = the number
    decorator: str = "@fl.table"


IN_MEMORY = Dialect(head="import filiera as fl\n", read="sum({})", give="[{}]")
IN_FRAMES = Dialect(
    head="import pandas as pd\n\nimport filiera as fl\n",
    read='int({}["value"].sum())',
    give='pd.DataFrame({{"row": [0], "value": [{}]}})',
    decorator='@fl.table(key=["row"])',
)


def write(toy: Toy, root: Path, dialect: Dialect) -> None:
    """Put the code down; a file whose text stays is not touched."""
    texts = {"consts.py": "".join(f"{name} = {value}\n" for name, value in toy.constants.items())}
    texts |= {"pkg/__init__.py": "", "pipeline.py": _pipeline(toy, dialect)}
    for library in LIBRARIES:
        texts[library.replace(".", "/") + ".py"] = _library(toy, library)
    for number in range(STEP_MODULES):
        texts[f"steps_{number}.py"] = _steps(toy, f"steps_{number}", dialect)
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def _pipeline(toy: Toy, dialect: Dialect) -> str:
    lines = []
    for number in range(STEP_MODULES):
        names = [name for name in toy.ordered() if toy.steps[name].module == f"steps_{number}"]
        lines += [f"from steps_{number} import {name}" for name in names]
    return "\n".join([dialect.head, *lines]) + "\n"


def _library(toy: Toy, library: str) -> str:
    lines = ["from functools import partial", "import consts", "from consts import *"]
    lines += [f"import {other}" for other in LIBRARIES if other != library]  # in a circle: used inside functions only
    for name, helper in toy.helpers.items():
        if helper.module == library:
            lines += ["", "", *_helper_lines(toy, name, helper)]
    return "\n".join([*lines, "", "", *_idle(toy, library)]) + "\n"


def _helper_lines(toy: Toy, name: str, helper: Helper) -> list[str]:
    def value(factor: str) -> str:
        terms = [f"x * {factor}"]
        for called in helper.calls:
            home = toy.helpers[called].module
            terms.append(f"{called}(x)" if home == helper.module else f"{home}.{called}(x)")
        terms += [c if number % 2 else f"consts.{c}" for number, c in enumerate(helper.constants)]
        return _laid_out(" + ".join(terms), helper.looks)

    number, notes = helper.factor, _notes(helper.looks)
    bodies = {
        "function": [f"def {name}(x):", *notes, f"    return {value(str(number))}"],
        "default": [f"def {name}(x, n={number}):", *notes, f"    return {value('n')}"],
        "lambda": [f"{name} = lambda x: {value(str(number))}"],
        "method": [
            f"class C{name}:", f"    rate = {number}", "", "    def __call__(self, x):",
            *("    " + note for note in notes), f"        return {value('self.rate')}", "", "", f"{name} = C{name}()",
        ],
        "factory": [
            f"def make_{name}(k):", "    def inner(x):", *("    " + note for note in notes),
            f"        return {value('k')}", "", "    return inner", "", "", f"{name} = make_{name}({number})",
        ],
        "mapping": [
            f"M{name} = {{'a': 0}}", f"M{name}['a'] = {number}", "", "", f"def {name}(x):", *notes,
            f"    return {value(f'M{name}[chr(97)]')}",
        ],
        "partial": [
            f"def _{name}(k, x):", *notes, f"    return {value('k')}", "", "",
            f"{name} = partial(_{name}, {number})",
        ],
    }  # fmt: skip
    return bodies[helper.form]


def _steps(toy: Toy, module: str, dialect: Dialect) -> str:
    lines = [dialect.head + "import lib_a", "import lib_b as b", "import pkg.tools", "from consts import *", ""]
    mine = [(name, step) for name, step in sorted(toy.steps.items()) if step.module == module]
    called = {helper for _, step in mine for helper in step.helpers if toy.helpers[helper].module == "lib_c"}
    lines += [f"from lib_c import {name}" for name in sorted(called) if _is_imported(name)]
    for name, step in mine:
        lines += ["", "", *_step_lines(toy, name, step, dialect)]
    return "\n".join([*lines, "", "", *_idle(toy, module)]) + "\n"


def _step_lines(toy: Toy, name: str, step: Step, dialect: Dialect) -> list[str]:
    total = " + ".join(f"{dialect.read.format(port)} * {n + 1}" for n, port in enumerate(step.inputs))
    lines = [dialect.decorator, f"def {name}({', '.join(step.inputs)}, *, gain={step.setting}):", *_notes(step.looks)]
    lines.append(f"    x = {_laid_out(f'{total} + {step.factor}', step.looks)}")
    for helper in step.helpers:
        home = toy.helpers[helper].module
        if home == "lib_c" and not _is_imported(helper):
            lines += [f"    from lib_c import {helper}", f"    x += {helper}(x)"]
        else:
            lead = {"lib_a": "lib_a.", "lib_b": "b.", "lib_c": "", "pkg.tools": "pkg.tools."}[home]
            lines.append(f"    x += {lead}{helper}(x)")
    lines += [f"    x += {constant}" for constant in step.constants]
    return [*lines, f"    return {dialect.give.format(f'x * gain % {step.modulus}')}"]


def _is_imported(helper: str) -> bool:
    """Whether modules import a helper of lib_c; the others are imported inside the functions that call them."""
    return int(helper[1:]) % 2 == 0


def _notes(looks: int) -> list[str]:
    """A docstring and a comment that mean nothing."""
    found = [f'    """Note {looks}."""'] if looks % 3 == 1 else []
    return [*found, f"    # note {looks}"] if looks % 2 else found


def _laid_out(expression: str, looks: int) -> str:
    return f"({expression.replace(' + ', ' +  ')})" if looks % 4 > 1 else expression


def _idle(toy: Toy, module: str) -> list[str]:
    return [f"def idle_{module.split('.')[-1]}(x):", f"    return x + {toy.idle[module]}"]
