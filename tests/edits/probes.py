"""Edits that were found by looking for holes."""

from __future__ import annotations

from edits.edit import edit, library, pipeline

FAR = {
    "pipeline.py": pipeline("import models\nfrom store import ALL", "ALL['linear'](scada)"),
    "store.py": "ALL = {}\n",
    "registry.py": "from store import ALL\n\ndef register(name, f):\n    ALL[name] = f\n    return f\n\ndef getter():\n    return register\n",
    "models.py": "from registry import register\n\ndef linear(x):\n    return x + 1\n\nhandler = register('linear', linear)\n",
}
GOTTEN = {
    **FAR,
    "models.py": "from registry import getter\n\ndef linear(x):\n    return x + 1\n\nhandler = getter()('linear', linear)\n",
}
MAPPED = {
    **FAR,
    "models.py": "from registry import register\n\ndef linear(x):\n    return x + 1\n\n"
    "kept = list(map(register, ['linear'], [linear]))\n",
}
BY_TABLE = {
    **FAR,
    "registry.py": "from store import ALL\nTOOLS = {'keep': ALL.__setitem__}\n\ndef keep(name, f):\n    return TOOLS['keep'](name, f)\n",
    "models.py": "from registry import keep\n\ndef linear(x):\n    return x + 1\n\nhandler = keep('linear', linear)\n",
}
PARTIAL = {
    **FAR,
    "models.py": "from functools import partial\nfrom registry import register\n\ndef linear(x):\n    return x + 1\n\n"
    "handler = partial(register, 'linear')(linear)\n",
}
NESTED = {
    **FAR,
    "models.py": "from registry import register\n\ndef linear(x):\n    return x + 1\n\nclass Setup:\n    done = register('linear', linear)\n",
}
IN_CONDITION = {
    **FAR,
    "models.py": "from registry import register\n\ndef linear(x):\n    return x + 1\n\nif register('linear', linear):\n    pass\n",
}
IN_DEFAULT = {
    **FAR,
    "models.py": "from registry import register\n\ndef linear(x):\n    return x + 1\n\ndef idle(f=register('linear', linear)):\n    pass\n",
}
IN_METHOD = {
    **FAR,
    "models.py": "from registry import register\n\nclass Linear:\n    @staticmethod\n    def fit(x):\n        return x + 1\n\n"
    "    def __init__(self):\n        self.done = register('linear', self.fit)\n\nlinear = Linear()\n",
}
DRAWS = {
    "pipeline.py": pipeline("import random\nrandom.seed(1)\nA = random.random()\nB = random.random()", "(scada, B)")
}
OPERATOR = {
    "pipeline.py": pipeline(
        "from dag import Step, ALL\nfirst = Step('a')\nlast = Step('b')\nedge = first >> last", "(scada, ALL)"
    ),
    "dag.py": "ALL = []\n\nclass Step:\n    def __init__(self, name):\n        self.name = name\n    def __rshift__(self, other):\n"
    "        ALL.append((self.name, other.name))\n        return other\n",
}
ORDINARY = """
import argparse, collections, dataclasses, enum, functools, logging, math, re, typing
from pathlib import Path
import numpy as np
T = typing.TypeVar("T")
Point = collections.namedtuple("Point", "x y")
PATTERN = re.compile("a")
HERE = Path("data") / "raw"
LOG = logging.getLogger("x")
TABLE = {k: math.sqrt(k) for k in range(3)}
PARSER = argparse.ArgumentParser()
PARSER.add_argument("--a")
GRID = np.linspace(0, 1, 3)
GRID[0] = 2
def square(x): return x * x
NINE = square(3)
NAMES = [name.upper() for name in ("a", "b")]
@functools.lru_cache(maxsize=3)
def cached(x): return x
@dataclasses.dataclass
class Row:
    a: int = 1
    b: list = dataclasses.field(default_factory=list)
class Level(enum.IntEnum):
    LOW = 1
class Options(typing.TypedDict, total=False):
    a: int
class Kind(typing.Protocol):
    size: int
class Width:
    def __init__(self): self.found = 1
    @property
    def power(self): return 1
    @power.setter
    def power(self, value): self.found = value
WIDTH = Width()
class Failure(ValueError):
    code = 1
"""
ORDINARY_FILES = {"pipeline.py": pipeline(ORDINARY, "scada")}
ORDINARY_EDITS = {
    "TypeVar": ('TypeVar("T")', 'TypeVar("T", int, float)'),
    "namedtuple": ('"x y"', '"x y z"'),
    "compiled pattern": ('compile("a")', 'compile("b")'),
    "path": ('"data"', '"other"'),
    "logger": ('getLogger("x")', 'getLogger("y")'),
    "computed table": ("range(3)}", "range(4)}"),
    "argument parser": ('"--a"', '"--b"'),
    "numpy array": ("0, 1, 3", "0, 1, 4"),
    "item of an array": ("GRID[0] = 2", "GRID[0] = 3"),
    "call of a project function": ("square(3)", "square(4)"),
    "comprehension": ('("a", "b")', '("a", "c")'),
    "cached function": ("maxsize=3", "maxsize=4"),
    "dataclass": ("a: int = 1", "a: int = 2"),
    "enum": ("LOW = 1", "LOW = 2"),
    "typed dict": ("    a: int\nclass Kind", "    a: str\nclass Kind"),
    "protocol": ("size: int", "size: float"),
    "class with a setter": ("self.found = value", "self.found = -value"),
    "exception": ("code = 1", "code = 2"),
}
STYLE = {
    "pipeline.py": pipeline("import style\nstyle.use('dark')", "scada"),
    **library("style", "1.0", "def use(name):\n    pass\n"),
}
PARENT = {
    "pipeline.py": pipeline("import pkg.tools\nimport state", "scada * state.RATE"),
    "state.py": "RATE = 1\n",
    "pkg/__init__.py": "import state\nstate.RATE = 2\n",
    "pkg/tools.py": "",
}
INSIDE = {
    "pipeline.py": pipeline(
        "import state\ndef idle():\n    import other\n\ndef f(x):\n    import patch\n    return x * state.RATE",
        "f(scada)",
    ),
    "state.py": "RATE = 1\n",
    "patch.py": "import state\nstate.RATE = 2\n",
    "other.py": "import state\nstate.IDLE = 3\n",
}
STAR_ORDER = {
    "pipeline.py": pipeline("def scale(x):\n    return x\n\nfrom ops import *", "scale(scada)"),
    "ops.py": "def scale(x):\n    return x * 2\n",
}
REBOUND = {"pipeline.py": pipeline("RATE = 1\nfrom ops import RATE", "scada * RATE"), "ops.py": "RATE = 2\n"}
WRAPPED = {
    "pipeline.py": pipeline("from ops import scale\nscale = (lambda f: lambda x: f(x) + 1)(scale)", "scale(scada)"),
    "ops.py": "def scale(x):\n    return x * 2\n",
}
ITERATOR = {"pipeline.py": pipeline("IT = iter([1, 2, 3])\nA = next(IT)\nB = next(IT)", "(scada, B)")}
POPPED = {"pipeline.py": pipeline("L = [1, 2, 3]\nA = L.pop()\nB = L.pop()", "(scada, B)")}
IMPORTED_CALL = {
    "pipeline.py": pipeline("from conf import CFG\nCFG.update(rate=2)", "scada * CFG['rate']"),
    "conf.py": "CFG = {}\n",
}
CACHE = {
    "pipeline.py": pipeline("import functools\nRATE = 2\n@functools.cache\ndef f(x):\n    return x * RATE", "f(scada)")
}
PACKAGE_DATA = {
    "pipeline.py": pipeline("from conf.base import *\nfrom conf.site import *", "scada * RATE + SIZE"),
    "conf/__init__.py": "",
    "conf/base.py": "RATE = 1\nSIZE = 2\nIDLE = 3\n",
    "conf/site.py": "from .base import *\nRATE = SIZE * 2\n",
}
INHERITED = {
    "pipeline.py": pipeline("from deep import C", "C().go(scada)"),
    "deep.py": "from mid import B\n\nclass C(B):\n    pass\n",
    "mid.py": "import low\n\nclass B(low.A):\n    pass\n",
    "low.py": "class A:\n    def go(self, x):\n        return x + 1\n",
}
SLOT = {"pipeline.py": pipeline("def f(x):\n    return x\nf.rate = 1\ng = f\ng.rate = 2", "scada * f.rate")}
CLASS_ALIAS = {"pipeline.py": pipeline("class C:\n    rate = 1\nD = C\nD.rate = 2", "scada * C.rate")}
SUBCLASS_SET = {
    "pipeline.py": pipeline("class C:\n    rates = []\nclass D(C):\n    pass\nD.rates.append(2)", "scada * C.rates[0]")
}
UNPACKED = {"pipeline.py": pipeline("A, *B = 1, 2, 3\n(C, D), E = (4, 5), 6", "(scada, B, D)")}
SWAPPED = {"pipeline.py": pipeline("A = 1\nB = 2\nA, B = B, A", "scada + A")}
DELETED_STAR = {
    "pipeline.py": pipeline("from ops import *\ndel sum", "sum([scada])"),
    "ops.py": "def sum(x):\n    return 0\n",
}
EXCEPT = {
    "pipeline.py": pipeline(
        "class Wrong(Exception):\n    text = 'a'\n\ndef f(x):\n    try:\n        raise Wrong\n    except Wrong as error:\n        return x, error.text",
        "f(scada)",
    )
}
BIG = {"pipeline.py": pipeline("def f(x, *, unit: str = 'kW'):\n    return f'{x!s:>{8}}{unit}'", "f(scada)")}

EDITS = (
    edit("registry of a third module", FAR, "models.py", "x + 1", "x + 2", reruns=True),
    edit("registering function that a call gave", GOTTEN, "models.py", "x + 1", "x + 2", reruns=True),
    edit("registration through map", MAPPED, "models.py", "x + 1", "x + 2", reruns=True),
    edit("registration through a table of functions", BY_TABLE, "models.py", "x + 1", "x + 2", reruns=True),
    edit("registration through a partial", PARTIAL, "models.py", "x + 1", "x + 2", reruns=True),
    edit("registration in a class body", NESTED, "models.py", "x + 1", "x + 2", reruns=True),
    edit("registration in a condition", IN_CONDITION, "models.py", "x + 1", "x + 2", reruns=True),
    edit("registration in a default", IN_DEFAULT, "models.py", "x + 1", "x + 2", reruns=True),
    edit("registration in a constructor", IN_METHOD, "models.py", "x + 1", "x + 2", reruns=True),
    edit("draws before a draw", DRAWS, "pipeline.py", "A = random.random()", "A = [random.random(), random.random()]", reruns=True),
    edit("operator whose result is kept", OPERATOR, "pipeline.py", "first >> last", "last >> first", reruns=True),
    *(edit(f"unrelated {name}", ORDINARY_FILES, "pipeline.py", old, new, reruns=False) for name, (old, new) in ORDINARY_EDITS.items()),
    edit("setting of a library", STYLE, "pipeline.py", "'dark'", "'light'", reruns=False, coarse="what a call changes in a library is not known"),
    edit("effect of a parent package", PARENT, "pkg/__init__.py", "RATE = 2", "RATE = 3", reruns=True),
    edit("effect of an import inside a function", INSIDE, "patch.py", "RATE = 2", "RATE = 3", reruns=True),
    edit("effect of an import inside another function", INSIDE, "other.py", "IDLE = 3", "IDLE = 4", reruns=False),
    edit("star import before or after a definition", STAR_ORDER, "pipeline.py", "def scale(x):\n    return x\n\nfrom ops import *", "from ops import *\n\ndef scale(x):\n    return x\n", reruns=True),
    edit("import before or after an assignment", REBOUND, "pipeline.py", "RATE = 1\nfrom ops import RATE", "from ops import RATE\nRATE = 1", reruns=True),
    edit("imported function that is wrapped", WRAPPED, "ops.py", "x * 2", "x * 3", reruns=True),
    edit("next() before next()", ITERATOR, "pipeline.py", "A = next(IT)", "A = 0", reruns=True),
    edit("pop() before pop()", POPPED, "pipeline.py", "A = L.pop()", "A = 0", reruns=True),
    edit("method of an imported object", IMPORTED_CALL, "pipeline.py", "rate=2", "rate=3", reruns=True),
    edit("global of a cached function", CACHE, "pipeline.py", "RATE = 2", "RATE = 3", reruns=True),
    edit("settings by star imports", PACKAGE_DATA, "conf/base.py", "SIZE = 2", "SIZE = 3", reruns=True),
    edit("setting that nobody reads, by star imports", PACKAGE_DATA, "conf/base.py", "IDLE = 3", "IDLE = 4", reruns=False),
    edit("base class of a base class", INHERITED, "low.py", "x + 1", "x + 2", reruns=True),
    edit("attribute of a function under another name", SLOT, "pipeline.py", "g.rate = 2", "g.rate = 3", reruns=True),
    edit("attribute of a class under another name", CLASS_ALIAS, "pipeline.py", "D.rate = 2", "D.rate = 3", reruns=True),
    edit("list of a base class changed through a subclass", SUBCLASS_SET, "pipeline.py", "append(2)", "append(3)", reruns=True),
    edit("names unpacked with a star", UNPACKED, "pipeline.py", "1, 2, 3", "1, 2, 4", reruns=True),
    edit("names unpacked in brackets", UNPACKED, "pipeline.py", "(4, 5)", "(4, 6)", reruns=True),
    edit("names that trade values", SWAPPED, "pipeline.py", "A, B = B, A", "A, B = A, B", reruns=True),
    edit("name of a star import deleted", DELETED_STAR, "pipeline.py", "del sum", "sum", reruns=True),
    edit("exception class", EXCEPT, "pipeline.py", "text = 'a'", "text = 'b'", reruns=True),
    edit("keyword default in an f-string", BIG, "pipeline.py", "'kW'", "'MW'", reruns=True),
)  # fmt: skip
