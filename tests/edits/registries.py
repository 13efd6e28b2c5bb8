"""Edits about code that registers itself: whoever imports the module sees it."""

from __future__ import annotations

from edits.edit import SITE, edit, library, pipeline

SUBCLASS = {
    "pipeline.py": pipeline("import plugins\nfrom base import ALL", "[k(scada) for k in ALL]"),
    "base.py": "ALL = []\n\nclass Base:\n    def __init_subclass__(cls, **more):\n        ALL.append(cls.run)\n",
    "plugins.py": "from base import Base\n\nclass Plus(Base):\n    def run(x):\n        return x + 1\n\ndef idle():\n    return 1\n",
}
FOUND = {
    "pipeline.py": pipeline("import plugins\nfrom base import Base", "[c().run(scada) for c in Base.__subclasses__()]"),
    "base.py": "class Base:\n    pass\n",
    "plugins.py": "from base import Base\n\nclass Plus(Base):\n    def run(self, x):\n        return x + 1\n",
    "unrelated.py": "X = 1\n",
}
DISPATCH = {
    "pipeline.py": pipeline("from ops import process", "process(scada)"),
    "ops.py": "from functools import singledispatch\n\n@singledispatch\ndef process(x):\n    return x\n\n"
    "@process.register(float)\ndef _(x):\n    return x * 2\n\n\n@process.register\ndef _(x: int):\n    return x * 3\n\n"
    "@singledispatch\ndef other(x):\n    return x\n\n@other.register(int)\ndef _o(x):\n    return x * 4\n",
}
CALLED = {
    "pipeline.py": pipeline("import models\nfrom registry import ALL", "ALL['linear'](scada)"),
    "registry.py": "ALL = {}\n\ndef register(name, f):\n    ALL[name] = f\n    return f\n",
    "models.py": "from registry import register\n\ndef linear(x):\n    return x + 1\n\nhandler = register('linear', linear)\n",
}
WITH_NAME = {
    "pipeline.py": pipeline("import models\nfrom registry import ALL", "ALL['linear'](scada)"),
    "registry.py": "ALL = {}\n\ndef register(name):\n    def keep(f):\n        ALL[name] = f\n        return f\n    return keep\n",
    "models.py": "from registry import register\n\n@register('linear')\ndef linear(x):\n    return x + 1\n\ndef idle():\n    return 1\n",
}
INSTANCE = {
    "pipeline.py": pipeline("import models\nfrom registry import ALL", "ALL.found['linear'](scada)"),
    "registry.py": "class Registry:\n    def __init__(self):\n        self.found = {}\n    def add(self, f):\n"
    "        self.found[f.__name__] = f\n        return f\n\nALL = Registry()\n",
    "models.py": "from registry import ALL\n\n@ALL.add\ndef linear(x):\n    return x + 1\n",
}
TIMED = {
    "pipeline.py": pipeline("from deco import timed\nfrom ops import go", "go(scada)"),
    "deco.py": "import functools\n\ndef timed(unit):\n    def wrap(f):\n        @functools.wraps(f)\n        def inner(*a):\n"
    "            return f(*a)\n        return inner\n    return wrap\n",
    "ops.py": "from deco import timed\n\n@timed('s')\ndef go(x):\n    return x + 1\n\n@timed('s')\ndef idle(x):\n    return x + 2\n",
}
STRANGE = {
    "pipeline.py": pipeline("import ops\nimport zoo", "[f(scada) for f in zoo.ALL]"),
    "ops.py": "import zoo\n\n@zoo.keep\ndef go(x):\n    return x + 1\n",
    **library("zoo", "1.0", "ALL = []\n\ndef keep(f):\n    ALL.append(f)\n    return f\n"),
}
STRANGE_BASE = {
    "pipeline.py": pipeline("import ops\nimport zoo", "[k().go(scada) for k in zoo.Animal.ALL]"),
    "ops.py": "import zoo\n\nclass Cat(zoo.Animal):\n    def go(self, x):\n        return x + 1\n",
    **library(
        "zoo", "1.0", "class Animal:\n    ALL = []\n    def __init_subclass__(cls):\n        Animal.ALL.append(cls)\n"
    ),
}
META = {
    "pipeline.py": pipeline("import ops\nfrom base import ALL", "[k().go(scada) for k in ALL]"),
    "base.py": "ALL = []\n\nclass Meta(type):\n    def __init__(cls, *a):\n        super().__init__(*a)\n        if a[1]:\n"
    "            ALL.append(cls)\n\nclass Base(metaclass=Meta):\n    pass\n",
    "ops.py": "from base import Base\n\nclass Plus(Base):\n    def go(self, x):\n        return x + 1\n",
}
SET_NAME = {
    "pipeline.py": pipeline("import ops\nfrom base import ALL", "(scada, ALL)"),
    "base.py": "ALL = []\n\nclass Field:\n    def __init__(self, rate):\n        self.rate = rate\n"
    "    def __set_name__(self, owner, name):\n        ALL.append((name, self.rate))\n",
    "ops.py": "from base import Field\n\nclass Pump:\n    power = Field(2)\n",
}
TEXTS = {
    "pipeline.py": pipeline("import loader\nMODELS = {'linear': 'models.linear.fit'}", "loader.load(MODELS['linear'])(scada)"),
    "models/__init__.py": "",
    "models/linear.py": "def fit(x):\n    return x + 1\n\ndef idle(x):\n    return x\n",
    **library("loader", "1.0", "import importlib\n\ndef load(text):\n    module, _, name = text.rpartition('.')\n"
              "    return getattr(importlib.import_module(module), name)\n"),
}  # fmt: skip
SIDE = {
    "pipeline.py": pipeline("import setup_plots\nfrom helpers import go", "go(scada)"),
    "setup_plots.py": "from style import THEME\nTHEME.update(size=2)\n",
    "style.py": "THEME = {'size': 1}\n",
    "helpers.py": "from style import THEME\n\ndef go(x):\n    return x * THEME['size']\n",
}
EXPRESSION = {
    "pipeline.py": pipeline(
        "from dag import Step, ALL\nfirst = Step('a')\nlast = Step('b')\nfirst >> last", "(scada, ALL)"
    ),
    "dag.py": "ALL = []\n\nclass Step:\n    def __init__(self, name):\n        self.name = name\n    def __rshift__(self, other):\n"
    "        ALL.append((self.name, other.name))\n        return other\n",
}
assert SITE

EDITS = (
    edit("__init_subclass__", SUBCLASS, "plugins.py", "x + 1", "x + 2", reruns=True),
    edit("beside __init_subclass__", SUBCLASS, "plugins.py", "return 1", "return 2", reruns=False),
    edit("__subclasses__", FOUND, "plugins.py", "x + 1", "x + 2", reruns=True, flags=("dynamic",)),
    edit("module that __subclasses__ cannot know", FOUND, "unrelated.py", "X = 1", "X = 2", reruns=False),
    edit("singledispatch", DISPATCH, "ops.py", "x * 2", "x * 5", reruns=True),
    edit("singledispatch by annotation", DISPATCH, "ops.py", "x * 3", "x * 5", reruns=True),
    edit("singledispatch of another function", DISPATCH, "ops.py", "x * 4", "x * 5", reruns=False),
    edit("registration by a call", CALLED, "models.py", "x + 1", "x + 2", reruns=True),
    edit("name of a registration", {**CALLED, "pipeline.py": pipeline("import models\nfrom registry import ALL", "(scada, sorted(ALL))")},
         "models.py", "'linear', linear", "'line', linear", reruns=True),
    edit("decorator with arguments that registers", WITH_NAME, "models.py", "x + 1", "x + 2", reruns=True),
    edit("beside a decorator that registers", WITH_NAME, "models.py", "return 1", "return 2", reruns=False),
    edit("method of a registry as decorator", INSTANCE, "models.py", "x + 1", "x + 2", reruns=True),
    edit("decorator with arguments that registers nothing", TIMED, "ops.py", "x + 1", "x + 3", reruns=True),
    edit("other function under such a decorator", TIMED, "ops.py", "x + 2", "x + 3", reruns=False),
    edit("decorator of a library that registers", STRANGE, "ops.py", "x + 1", "x + 2", reruns=True),
    edit("base class of a library that registers", STRANGE_BASE, "ops.py", "x + 1", "x + 2", reruns=True),
    edit("metaclass that registers", META, "ops.py", "x + 1", "x + 2", reruns=True),
    edit("__set_name__ that registers", SET_NAME, "ops.py", "Field(2)", "Field(3)", reruns=True),
    edit("functions named by texts", TEXTS, "models/linear.py", "x + 1", "x + 2", reruns=True),
    edit("function beside one named by a text", TEXTS, "models/linear.py", "return x\n", "return 0\n", reruns=False),
    edit("side module that changes a third", SIDE, "setup_plots.py", "size=2", "size=3", reruns=True),
    edit("operator for its effect", EXPRESSION, "pipeline.py", "first >> last", "last >> first", reruns=True),
)  # fmt: skip
