"""The first 26 edits, all of one project: 18 that must run the asset again and 8 that must not."""

from __future__ import annotations

from edits.edit import SITE, Edit, edit, library

PIPELINE = '''"""Doc of the module."""
import filiera as fl
import gauge
from helpers import scale, LIMIT
import helpers as h
import ops
from bases import Base
from deco import doubled
from zoo import MODELS

RATE = 0.1
MODE = "plus"
CFG = {"a": 1}
CFG["b"] = 2
double = lambda x: x * 2


def make(factor):
    def inner(x):
        return x * factor
    return inner


triple = make(3)


def used(x, n=5):
    """Doc."""
    return scale(x) + RATE + n


def unused(x):
    return x - 1


OTHER = 7


class Fitter(Base):
    def fit(self, x):
        return x * self.size


@doubled
def decorated(x):
    return x + 1


@fl.table(partition="month")
def features(scada):
    """The features."""
    from late import later
    value = used(scada) + CFG["b"] + double(1) + triple(1) + LIMIT
    value += h.shift(scada) + later(scada) + Fitter().fit(1) + decorated(scada)
    return value + MODELS["a"]() + getattr(ops, MODE)(scada) + gauge.level()
'''
FILES = {
    "pipeline.py": PIPELINE,
    "helpers.py": "import setup_effects\nLIMIT = 10\nIDLE = 1\n\ndef scale(x):\n    return deep(x) * 2\n\n"
    "def deep(x):\n    return x + setup_effects.START['at']\n\ndef shift(x):\n    return x + 1\n\n"
    "def idle(x):\n    return 0\n",
    "setup_effects.py": "import state\nSTART = state.START\nstate.START['at'] = 1\n",
    "state.py": "START = {'at': 0}\n",
    "late.py": "def later(x):\n    return x\n",
    "ops.py": "def plus(x):\n    return x + 1\n",
    "bases.py": "class Base:\n    size = 1\n",
    "deco.py": "def doubled(f):\n    return lambda x: f(x) * 2\n",
    "zoo.py": "import registry\nfrom registry import MODELS\nimport members\n",
    "registry.py": "MODELS = {}\n\ndef register(f):\n    MODELS[f.__name__] = f\n    return f\n",
    "members.py": "from registry import register\n\n@register\ndef a():\n    return 1\n",
    **library("gauge", "1.0", "def level():\n    return 1\n"),
}
UPGRADED = {
    **{name: text for name, text in FILES.items() if not name.startswith(SITE)},
    **library("gauge", "2.0", "def level():\n    return 2\n"),
}


def _same(construct: str, path: str, old: str, new: str) -> Edit:
    return edit(construct, FILES, path, old, new, reruns=False)


def _other(construct: str, path: str, old: str, new: str) -> Edit:
    return edit(construct, FILES, path, old, new, reruns=True)


EDITS = (
    _same("comment", "pipeline.py", "    value = used", "    # all of it\n    value = used"),
    _same("docstring", "pipeline.py", '"""The features."""', '"""All features."""'),
    _same("layout", "pipeline.py", "return value + MODELS", "return value +\\\n        MODELS"),
    _same("blank lines", "pipeline.py", "def unused(x):", "\n\n\n\ndef unused(x):"),
    _same("unrelated function", "pipeline.py", "return x - 1", "return x - 2"),
    _same("unrelated constant", "pipeline.py", "OTHER = 7", "OTHER = 8"),
    _same("unrelated function elsewhere", "helpers.py", "return 0", "return 1"),
    _same("unrelated constant elsewhere", "helpers.py", "IDLE = 1", "IDLE = 2"),
    _other("body", "pipeline.py", "value = used(scada)", "value = 2 * used(scada)"),
    _other("helper", "pipeline.py", "return scale(x) + RATE", "return scale(x) - RATE"),
    _other("helper elsewhere", "helpers.py", "return deep(x) * 2", "return deep(x) * 3"),
    _other("function through a module attribute", "helpers.py", "return x + 1", "return x + 2"),
    _other("import inside a function", "late.py", "return x", "return x * 2"),
    _other("global", "pipeline.py", "RATE = 0.1", "RATE = 0.2"),
    _other("imported constant", "helpers.py", "LIMIT = 10", "LIMIT = 11"),
    _other("default argument", "pipeline.py", "n=5", "n=6"),
    _other("item set at the top", "pipeline.py", 'CFG["b"] = 2', 'CFG["b"] = 3'),
    _other("lambda", "pipeline.py", "x * 2\n", "x * 4\n"),
    _other("factory closure", "pipeline.py", "make(3)", "make(4)"),
    _other("method", "pipeline.py", "return x * self.size", "return -x * self.size"),
    _other("base class elsewhere", "bases.py", "size = 1", "size = 2"),
    _other("decorator body", "deco.py", "f(x) * 2", "f(x) * 3"),
    _other("effect of an import", "setup_effects.py", "['at'] = 1", "['at'] = 2"),
    _other("registration by a decorator", "members.py", "return 1", "return 2"),
    _other("dispatch by getattr", "ops.py", "return x + 1", "return x + 2"),
    Edit("library version", "library version", FILES, UPGRADED, reruns=True),
)
