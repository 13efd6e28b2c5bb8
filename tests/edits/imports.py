"""Edits about imports: which name stands for what, and what an import runs."""

from __future__ import annotations

from edits.edit import PATH, SITE, Edit, edit, library, pipeline

HELPERS = "RATE = 2\n\ndef scale(x):\n    return x * RATE\n\ndef shift(x):\n    return x + 1\n"
TWO = {"helpers.py": HELPERS}
PACKAGE = {
    "pkg/__init__.py": "from .tools import trim as cut, grow as more\n",
    "pkg/tools.py": "def trim(x):\n    return x - 1\n\ndef grow(x):\n    return x + 2\n\ndef idle(x):\n    return x\n",
    "pkg/deep/__init__.py": "",
    "pkg/deep/inner.py": "from ..tools import trim\n\ndef inner(x):\n    return trim(x) * 3\n",
}
REGISTRY = {
    "pipeline.py": pipeline("import one\nimport two\nfrom names import NAMES", "(scada, list(NAMES))"),
    "names.py": "NAMES = []\n",
    "one.py": "from names import NAMES\nNAMES.append('one')\n",
    "two.py": "from names import NAMES\nNAMES.append('two')\n",
}
STARS = {
    "pipeline.py": pipeline("from one import *\nfrom two import *", "scale(scada) + round(scada)"),
    "one.py": "__all__ = ['scale', 'round']\n\ndef scale(x):\n    return x\n\ndef round(x):\n    return x + 1\n",
    "two.py": "__all__ = []\n\ndef scale(x):\n    return x * 2\n\ndef round(x):\n    return x\n",
}
FALLBACK = {
    "pipeline.py": pipeline(
        "try:\n    from quick import go\nexcept ImportError:\n    from slow import go", "go(scada)"
    ),
    "quick.py": "def go(x):\n    return x + 1\n",
    "slow.py": "def go(x):\n    return x + 2\n",
}
SWITCHED = {
    "pipeline.py": pipeline(
        "FAST = True\nif FAST:\n    from quick import go\nelse:\n    from slow import go", "go(scada)"
    ),
    "quick.py": "def go(x):\n    return x + 1\n",
    "slow.py": "def go(x):\n    return x + 2\n",
}
CIRCLE = {
    "pipeline.py": pipeline("import left", "left.go(scada)"),
    "left.py": "import right\n\ndef go(x):\n    return right.back(x)\n\ndef rate():\n    return 3\n",
    "right.py": "import left\n\ndef back(x):\n    return x * left.rate()\n",
}
LAZY = {
    "pipeline.py": pipeline("import lazy", "lazy.answer + scada"),
    "lazy.py": "STORE = {'answer': 42}\n\ndef __getattr__(name):\n    return STORE[name]\n\ndef other():\n    return 1\n",
}
SHADOW = {
    "pipeline.py": pipeline("from tools import *", "max(scada, 1)"),
    "tools.py": "def max(a, b):\n    return a + b\n",
}
BY_PATH = {
    "pipeline.py": "import os, sys\nsys.path.insert(0, os.path.join(os.getcwd(), 'src'))\n"
    + pipeline("import tools", "tools.go(scada)"),
    "src/tools.py": "def go(x):\n    return x + 1\n",
}
LOCAL_TWICE = {
    "pipeline.py": pipeline(
        "",
        "pick(scada)\n\ndef pick(x):\n    if x > 0:\n        from one import go\n    else:\n        from two import go\n    return go(x)",
    ),
    "one.py": "def go(x):\n    return x + 1\n",
    "two.py": "def go(x):\n    return x + 2\n",
}
GAUGE = {
    "pipeline.py": pipeline("import gauge", "scada + gauge.level()"),
    **library("gauge", "1.0", "import needle\n\ndef level():\n    return needle.turn()\n"),
    **library("needle", "1.0", "def turn():\n    return 1\n"),
    **library("spare", "1.0", "def other():\n    return 1\n"),
}
GAUGE[f"{SITE}gauge-1.0.dist-info/METADATA"] += "Requires-Dist: needle\n"
PLUGIN = {
    "pipeline.py": pipeline("import gauge\nimport codec", "scada + gauge.LEVEL"),
    **library("gauge", "1.0", "LEVEL = 1\n"),
    **library("codec", "1.0", "import gauge\ngauge.LEVEL = 2\n"),
}
SHARED = {
    "pipeline.py": pipeline("from plant.two import go", "go(scada)"),
    f"{SITE}plant/one.py": "",
    f"{SITE}plant_one-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: plant-one\nVersion: 1.0\n",
    f"{SITE}plant_one-1.0.dist-info/RECORD": "plant/one.py,,\n",
    f"{SITE}plant/two.py": "def go(x):\n    return x + 1\n",
    f"{SITE}plant_two-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: plant-two\nVersion: 1.0\n",
    f"{SITE}plant_two-1.0.dist-info/RECORD": "plant/two.py,,\n",
}

BESIDE = {
    "pipeline.py": pipeline("from plantlib.tools import go\nimport plantlib", "go(scada)"),
    f"{PATH}plantlib/__init__.py": "",
    f"{PATH}plantlib/tools.py": "from .inner import RATE\n\ndef go(x):\n    return x * RATE\n\ndef idle(x):\n    return x\n",
    f"{PATH}plantlib/inner.py": "RATE = 2\n",
}


def _swap(files: dict[str, str], gone: tuple[str, ...], new: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in files.items() if not name.startswith(gone)} | new


EDITS = (
    edit(
        "name of another module's function", {"pipeline.py": pipeline("from math import floor as f", "f(scada)")},
        "pipeline.py", "floor as f", "ceil as f", reruns=True,
    ),
    edit(
        "two imports that trade names", {"pipeline.py": pipeline("from helpers import scale as f, shift as g", "f(g(scada))"), **TWO},
        "pipeline.py", "scale as f, shift as g", "scale as g, shift as f", reruns=True,
    ),
    edit(
        "alias of a module", {"pipeline.py": pipeline("import helpers as h", "h.scale(scada)"), **TWO, "spare.py": HELPERS.replace("2", "3")},
        "pipeline.py", "helpers as h", "spare as h", reruns=True,
    ),
    edit("import split into lines", {"pipeline.py": pipeline("from helpers import scale, shift", "scale(shift(scada))"), **TWO},
         "pipeline.py", "from helpers import scale, shift", "from helpers import scale\nfrom helpers import shift", reruns=False),
    edit("unused import of the project", {"pipeline.py": pipeline("from helpers import scale", "scale(scada)"), **TWO, "spare.py": "X = 1\n"},
         "pipeline.py", "from helpers", "import spare\nfrom helpers", reruns=False),
    edit("unused import of the standard library", {"pipeline.py": pipeline("", "scada")},
         "pipeline.py", "import filiera", "import json\nimport filiera", reruns=False),
    edit("re-export by a package", {"pipeline.py": pipeline("import pkg", "pkg.cut(scada)"), **PACKAGE},
         "pkg/tools.py", "x - 1", "x - 2", reruns=True),
    edit("re-exports that trade names", {"pipeline.py": pipeline("import pkg", "pkg.cut(scada) + 2 * pkg.more(scada)"), **PACKAGE},
         "pkg/__init__.py", "trim as cut, grow as more", "trim as more, grow as cut", reruns=True),
    edit("function that a package does not use", {"pipeline.py": pipeline("import pkg", "pkg.cut(scada)"), **PACKAGE},
         "pkg/tools.py", "return x\n", "return 0\n", reruns=False),
    edit("relative import", {"pipeline.py": pipeline("from pkg.deep.inner import inner", "inner(scada)"), **PACKAGE},
         "pkg/tools.py", "x - 1", "x - 2", reruns=True),
    edit("long attribute chain", {"pipeline.py": pipeline("import pkg.deep.inner", "pkg.deep.inner.inner(scada)"), **PACKAGE},
         "pkg/deep/inner.py", "* 3", "* 4", reruns=True),
    edit("folder without __init__", {"pipeline.py": pipeline("import space.tools", "space.tools.go(scada)"), "space/tools.py": "def go(x):\n    return x\n"},
         "space/tools.py", "return x", "return x + 1", reruns=True),
    edit("from a folder without __init__", {"pipeline.py": pipeline("from space import tools", "tools.go(scada)"), "space/tools.py": "def go(x):\n    return x\n"},
         "space/tools.py", "return x", "return x + 1", reruns=True),
    edit("order of imports with effects", REGISTRY, "pipeline.py", "import one\nimport two", "import two\nimport one", reruns=True),
    edit("order of imports without effects", {"pipeline.py": pipeline("import helpers\nimport spare", "helpers.scale(spare.X + scada)"), **TWO, "spare.py": "X = 1\n"},
         "pipeline.py", "import helpers\nimport spare", "import spare\nimport helpers", reruns=False),
    edit("effect before or after an import",
         {**REGISTRY, "pipeline.py": pipeline("from names import NAMES\nNAMES.append('here')\nimport one", "(scada, list(NAMES))")},
         "pipeline.py", "NAMES.append('here')\nimport one", "import one\nNAMES.append('here')", reruns=True),
    edit("a module that an effect comes from is no longer imported", REGISTRY, "pipeline.py", "import two\n", "", reruns=True),
    edit("__all__ of a star import", STARS, "two.py", "__all__ = []", "__all__ = ['scale']", reruns=True),
    edit("star import that hides a builtin", STARS, "one.py", "return x + 1", "return x + 2", reruns=True),
    edit("star import that hides max", SHADOW, "tools.py", "a + b", "a - b", reruns=True),
    edit("__all__ names something that nobody reads", STARS, "one.py", "['scale', 'round']", "['scale', 'round', '__doc__']", reruns=False),
    edit("order of star imports", {**STARS, "two.py": STARS["two.py"].replace("[]", "['scale']")},
         "pipeline.py", "from one import *\nfrom two import *", "from two import *\nfrom one import *", reruns=True),
    edit("try and except around imports, first", FALLBACK, "quick.py", "x + 1", "x + 5", reruns=True),
    edit("try and except around imports, second", FALLBACK, "slow.py", "x + 2", "x + 5", reruns=False,
         coarse="which of the two is imported is known at run time only"),
    edit("condition around imports", SWITCHED, "pipeline.py", "FAST = True", "FAST = False", reruns=True),
    edit("circular imports", CIRCLE, "left.py", "return 3", "return 4", reruns=True),
    edit("__getattr__ of a module", LAZY, "lazy.py", "42", "43", reruns=True),
    edit("beside __getattr__ of a module", LAZY, "lazy.py", "return 1", "return 2", reruns=False),
    edit("module path changed by code", BY_PATH, "src/tools.py", "x + 1", "x + 2", reruns=True),
    edit("two imports of one name in a function, first", LOCAL_TWICE, "one.py", "x + 1", "x + 5", reruns=True),
    edit("two imports of one name in a function, second", LOCAL_TWICE, "two.py", "x + 2", "x + 5", reruns=True),
    edit("module handed over as a value", {"pipeline.py": pipeline("import helpers\n\ndef use(module, x):\n    return module.shift(x)", "use(helpers, scada)"), **TWO},
         "helpers.py", "x + 1", "x + 2", reruns=True, flags=("whole:helpers",)),
    edit("module handed over as a value, another function", {"pipeline.py": pipeline("import helpers\n\ndef use(module, x):\n    return module.shift(x)", "use(helpers, scada)"), **TWO},
         "helpers.py", "x * RATE", "x", reruns=False, coarse="what is read of a value is known at run time only"),
    edit("modules in a list", {"pipeline.py": pipeline("import helpers\nALL = [helpers]", "ALL[0].shift(scada)"), **TWO},
         "helpers.py", "x + 1", "x + 2", reruns=True),
    edit("imports for the type checker",
         {"pipeline.py": pipeline("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from helpers import scale", "scada"), **TWO},
         "pipeline.py", "import scale", "import shift", reruns=False),
    edit("submodule and name of one name",
         {"pipeline.py": pipeline("from pkg import tools", "tools"), "pkg/__init__.py": "from . import tools\ntools = 1\n", "pkg/tools.py": "X = 1\n"},
         "pkg/__init__.py", "tools = 1", "tools = 2", reruns=True),
    Edit("version of a required library", "requirements of a library", GAUGE,
         _swap(GAUGE, (f"{SITE}needle",), library("needle", "2.0", "def turn():\n    return 2\n")), reruns=True),
    Edit("version of a library that is not reached", "outside libraries", GAUGE,
         _swap(GAUGE, (f"{SITE}spare",), library("spare", "2.0", "def other():\n    return 2\n")), reruns=False),
    Edit("library imported for its effect", "outside libraries", PLUGIN,
         _swap(PLUGIN, (f"{SITE}codec",), library("codec", "2.0", "import gauge\ngauge.LEVEL = 3\n")), reruns=True),
    Edit("second library of a shared namespace", "outside libraries", SHARED,
         _swap(SHARED, (f"{SITE}plant_two", f"{SITE}plant/two"), {
             f"{SITE}plant/two.py": "def go(x):\n    return x + 2\n",
             f"{SITE}plant_two-2.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: plant-two\nVersion: 2.0\n",
             f"{SITE}plant_two-2.0.dist-info/RECORD": "plant/two.py,,\n"}), reruns=True),
    edit("package that is installed as editable", BESIDE, f"{PATH}plantlib/inner.py", "RATE = 2", "RATE = 3", reruns=True),
    edit("unrelated function of an editable package", BESIDE, f"{PATH}plantlib/tools.py", "return x\n", "return 0\n", reruns=False),
    Edit("module that hides an installed one", "outside libraries", GAUGE, {**GAUGE, "gauge.py": "def level():\n    return 9\n"}, reruns=True),
)  # fmt: skip
