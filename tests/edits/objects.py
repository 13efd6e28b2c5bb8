"""Edits about objects: classes, globals, and who changes them."""

from __future__ import annotations

from edits.edit import edit, pipeline

CONFIG = {
    "pipeline.py": pipeline("import third\nfrom config import CONFIG", "scada * CONFIG.rate"),
    "config.py": "class Config:\n    rate = 1\n\nCONFIG = Config()\n",
    "third.py": "from config import CONFIG\nCONFIG.rate = 2\nIDLE = 1\n",
}
SHAPES = """
class Meta(type):
    def __getitem__(cls, item):
        return item + 1


class Box(metaclass=Meta):
    def __class_getitem__(cls, item):
        return item + 2


class Unit:
    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner):
        return len(self.name)


class Old:
    size = 1

    def grow(self, x):
        return x + self.size

    def __add__(self, other):
        return other * 3

    @property
    def width(self):
        return 4

    @staticmethod
    def still(x):
        return x - 1


class New(Old):
    length = Unit()

    def grow(self, x):
        return super().grow(x) * 2


Old.size = 5
"""
CLASSES = {
    "pipeline.py": pipeline(
        "from shapes import Box, New",
        "(New().grow(scada), New() + scada, New().width, New.still(scada), New().length, Box[1])",
    ),
    "shapes.py": SHAPES,
}
MONKEY = {
    "pipeline.py": pipeline("import helpers\nimport patches", "helpers.scale(scada)"),
    "helpers.py": "def scale(x):\n    return x\n",
    "patches.py": "import helpers\n\ndef better(x):\n    return x * 3\n\nhelpers.scale = better\nsetattr(helpers, 'other', 1)\n",
}
BY_SETATTR = {
    **MONKEY,
    "patches.py": "import helpers\n\nfor name, rate in {'scale': 3}.items():\n"
    "    setattr(helpers, name, lambda x: x * rate)\n",
}
ALIAS = {"pipeline.py": pipeline("CONFIG = {'rate': 1}\nalias = CONFIG\nalias['rate'] = 2", "scada * CONFIG['rate']")}
SHARED = {"pipeline.py": pipeline("a = b = []\na.append(2)", "scada * b[0]")}
NESTED = {
    "pipeline.py": pipeline("BASE = {'rate': 1}\nALL = {'base': BASE}\nALL['base']['rate'] = 2", "scada * BASE['rate']")
}
BORG = {
    "pipeline.py": pipeline(
        "class Borg:\n    shared = {}\n    def __init__(self):\n        self.__dict__ = self.shared\n\n"
        "one = Borg()\nother = Borg()\none.rate = 2",
        "scada * other.rate",
    )
}
SINGLE = {
    "pipeline.py": pipeline(
        "ALL = []\nclass Item:\n    def __init__(self, rate):\n        ALL.append(rate)\n\nfirst = Item(2)",
        "scada * ALL[0]",
    )
}
RETURNED = {
    "pipeline.py": pipeline("CFG = {}\ndef config():\n    return CFG\n\nconfig()['rate'] = 2", "scada * CFG['rate']")
}
INIT = {"pipeline.py": pipeline("RATE = 1\ndef init():\n    global RATE\n    RATE = 2\n\ninit()", "scada * RATE")}
INIT_BOUND = {
    "pipeline.py": pipeline(
        "RATE = 1\ndef init():\n    global RATE\n    RATE = 2\n    return 0\n\nSTATE = init()", "scada * RATE"
    )
}
ONLY_GLOBAL = {
    "pipeline.py": pipeline("import other", "scada * other.RATE"),
    "other.py": "def init():\n    global RATE\n    RATE = 2\n\ninit()\n",
}
ORDER = {"pipeline.py": pipeline("A = [1]\nA.append(2)\nB = list(A)", "(scada, B)")}
FILLED = {
    "pipeline.py": pipeline(
        "def fill(d):\n    d['rate'] = 2\n    return d\n\nCFG = {}\nSPARE = fill(CFG)", "scada * CFG['rate']"
    )
}
LOOP = {"pipeline.py": pipeline("TABLE = {}\nfor k in range(3):\n    TABLE[k] = k * 2", "scada * TABLE[2]")}
DATA = {
    "pipeline.py": pipeline("from data import LIMITS", "scada + LIMITS['low']"),
    "data.py": "LIMITS = {\n    'low': 1,\n    'high': 9,\n}\nOTHER = [1, 2]\n",
}
DATACLASS = {
    "pipeline.py": pipeline(
        "from dataclasses import dataclass, field\nSTART = 3\n@dataclass\nclass Item:\n    rate: int = 2\n"
        "    more: list = field(default_factory=lambda: [START])",
        "(scada, Item())",
    )
}
ENUM = {
    "pipeline.py": pipeline(
        "from enum import Enum\nclass Level(Enum):\n    LOW = 1\n    HIGH = 2", "(scada, Level.LOW.value)"
    )
}
TUPLE = {"pipeline.py": pipeline("LOW, HIGH = 1, 9\nSPARE = 3", "scada + HIGH")}
HINTS = {
    "pipeline.py": pipeline(
        "from typing import get_type_hints\nLevel = int\ndef f(x: 'Level'):\n    return x", "(scada, get_type_hints(f))"
    )
}
PROPERTY = {
    "pipeline.py": pipeline("from models import Pump", "Pump(scada).power"),
    "models.py": "from units import Field\n\nclass Pump:\n    power = Field(2)\n    def __init__(self, x):\n        self.x = x\n",
    "units.py": "class Field:\n    def __init__(self, rate):\n        self.rate = rate\n    def __get__(self, item, owner):\n"
    "        return item.x * self.rate\n",
}
LOGGED = {
    "pipeline.py": pipeline(
        "import logging\nLOG = logging.getLogger('x')\nLOG.setLevel(30)\n\ndef unused():\n    LOG.info('hello')",
        "scada",
    )
}

EDITS = (
    edit("instance that a third module changes", CONFIG, "third.py", "rate = 2", "rate = 3", reruns=True),
    edit("constant beside such a change", CONFIG, "third.py", "IDLE = 1", "IDLE = 2", reruns=False),
    edit("super()", CLASSES, "shapes.py", "x + self.size", "x - self.size", reruns=True),
    edit("operator of a class", CLASSES, "shapes.py", "other * 3", "other * 4", reruns=True),
    edit("property", CLASSES, "shapes.py", "return 4", "return 5", reruns=True),
    edit("static method", CLASSES, "shapes.py", "return x - 1", "return x - 2", reruns=True),
    edit("descriptor of a class", CLASSES, "shapes.py", "len(self.name)", "-len(self.name)", reruns=True),
    edit("metaclass", CLASSES, "shapes.py", "item + 1", "item + 7", reruns=True),
    edit("__class_getitem__ under a metaclass", CLASSES, "shapes.py", "item + 2", "item + 7", reruns=False,
         coarse="a class counts as a whole"),
    edit("class attribute set later", CLASSES, "shapes.py", "Old.size = 5", "Old.size = 6", reruns=True),
    edit("descriptor elsewhere", PROPERTY, "units.py", "item.x * self.rate", "item.x + self.rate", reruns=True),
    edit("monkey patching", MONKEY, "patches.py", "x * 3", "x * 4", reruns=True),
    edit("monkey patching by setattr in a loop", BY_SETATTR, "patches.py", "{'scale': 3}", "{'scale': 4}", reruns=True),
    edit("change through another name", ALIAS, "pipeline.py", "alias['rate'] = 2", "alias['rate'] = 3", reruns=True),
    edit("one list under two names", SHARED, "pipeline.py", "a.append(2)", "a.append(3)", reruns=True),
    edit("change of an inner object", NESTED, "pipeline.py", "['rate'] = 2", "['rate'] = 3", reruns=True),
    edit("instances that share their state", BORG, "pipeline.py", "one.rate = 2", "one.rate = 3", reruns=True),
    edit("constructor that registers", SINGLE, "pipeline.py", "Item(2)", "Item(3)", reruns=True),
    edit("change of what a function gave", RETURNED, "pipeline.py", "['rate'] = 2", "['rate'] = 3", reruns=True),
    edit("global statement", INIT, "pipeline.py", "    RATE = 2", "    RATE = 3", reruns=True),
    edit("global statement, result kept", INIT_BOUND, "pipeline.py", "    RATE = 2", "    RATE = 3", reruns=True),
    edit("name that only a global statement sets", ONLY_GLOBAL, "other.py", "RATE = 2", "RATE = 3", reruns=True),
    edit("order of statements that change a list", ORDER, "pipeline.py", "A.append(2)\nB = list(A)", "B = list(A)\nA.append(2)", reruns=True),
    edit("order of two constants", TUPLE, "pipeline.py", "LOW, HIGH = 1, 9\nSPARE = 3", "SPARE = 3\nLOW, HIGH = 1, 9", reruns=False),
    edit("function that fills what it is given", FILLED, "pipeline.py", "= 2", "= 3", reruns=True),
    edit("call that fills a global", FILLED, "pipeline.py", "SPARE = fill(CFG)", "SPARE = fill({**CFG}); CFG['rate'] = 5", reruns=True),
    edit("loop at the top", LOOP, "pipeline.py", "k * 2", "k * 3", reruns=True),
    edit("names unpacked", TUPLE, "pipeline.py", "1, 9", "1, 8", reruns=True),
    edit("module of data", DATA, "data.py", "'low': 1", "'low': 2", reruns=True),
    edit("layout of a module of data", DATA, "data.py", "{\n    'low': 1,\n    'high': 9,\n}", "{'low': 1, 'high': 9}", reruns=False),
    edit("data that nobody reads", DATA, "data.py", "[1, 2]", "[1, 3]", reruns=False),
    edit("dataclass", DATACLASS, "pipeline.py", "rate: int = 2", "rate: int = 3", reruns=True),
    edit("factory of a dataclass", DATACLASS, "pipeline.py", "START = 3", "START = 4", reruns=True),
    edit("enum", ENUM, "pipeline.py", "LOW = 1", "LOW = 3", reruns=True),
    edit("annotation as a text", HINTS, "pipeline.py", "Level = int", "Level = float", reruns=True),
    edit("augmented assignment", {"pipeline.py": pipeline("TOTAL = 1\nTOTAL += 2", "scada + TOTAL")}, "pipeline.py", "+= 2", "+= 3", reruns=True),
    edit("list extended through another name", {"pipeline.py": pipeline("A = [1]\nB = A\nB += [2]", "(scada, A)")},
         "pipeline.py", "B += [2]", "B += [3]", reruns=True),
    edit("del of an item", {"pipeline.py": pipeline("D = {'a': 1, 'b': 2}\ndel D['a']", "(scada, D)")}, "pipeline.py", "del D['a']", "del D['b']", reruns=True),
    edit("del of a name", {"pipeline.py": pipeline("from helpers import max\ndel max", "max(scada, 2)"), "helpers.py": "def max(a, b):\n    return a\n"},
         "pipeline.py", "\ndel max", "\nmax", reruns=True),
    edit("level of a logger", LOGGED, "pipeline.py", "setLevel(30)", "setLevel(20)", reruns=False),
    edit("attribute of a function", {"pipeline.py": pipeline("def f(x):\n    return x * f.rate\n\nf.rate = 2", "f(scada)")}, "pipeline.py", "f.rate = 2", "f.rate = 3", reruns=True),
    edit("nested literal changed inside", {"pipeline.py": pipeline("CFG = {'a': {'b': 1}}\nCFG['a']['b'] = 2", "scada + CFG['a']['b']")},
         "pipeline.py", "= 2", "= 3", reruns=True),
    edit("nested literal of nobody", {"pipeline.py": pipeline("CFG = {'a': {'b': 1}}\nCFG['a']['b'] = 2", "scada")}, "pipeline.py", "= 2", "= 3", reruns=False),
)  # fmt: skip
