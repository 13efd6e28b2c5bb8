"""Edits about code that is named by texts: coarse where it must be, and shown to the user."""

from __future__ import annotations

from edits.edit import edit, pipeline

MODELS = {
    "models/__init__.py": "",
    "models/linear.py": "def fit(x):\n    return x + 1\n",
    "models/tree.py": "def fit(x):\n    return x + 2\n",
    "unrelated.py": "X = 1\n",
}
PREFIXED = {
    "pipeline.py": pipeline(
        "import importlib\ndef load(name):\n    return importlib.import_module(f'models.{name}')",
        "load('linear').fit(scada)",
    ),
    **MODELS,
}
COMPUTED = {
    "pipeline.py": pipeline(
        "from importlib import import_module\nNAME = '.'.join(['models', 'linear'])", "import_module(NAME).fit(scada)"
    ),
    **MODELS,
}
LITERAL = {"pipeline.py": pipeline("import importlib", "importlib.import_module('models.linear').fit(scada)"), **MODELS}
SINGLE = {
    "pipeline.py": pipeline("", "__import__('helpers').go(scada)"),
    "helpers.py": "def go(x):\n    return x + 1\n",
    **MODELS,
}
EVAL = {
    "pipeline.py": pipeline("import helpers", "eval('helpers.' + 'go')(scada)"),
    "helpers.py": "def go(x):\n    return x + 1\n\ndef idle():\n    return 1\n",
    "unrelated.py": "X = 1\n",
}
EXEC = {
    "pipeline.py": pipeline("import helpers\nexec('go = helpers.' + 'go')", "go(scada)"),
    "helpers.py": "def go(x):\n    return x + 1\n",
}
GLOBALS = {
    "pipeline.py": pipeline("def go_a(x):\n    return x + 1\n\nNAME = 'a'", "globals()['go_' + NAME](scada)"),
    "unrelated.py": "X = 1\n",
}
SET_GLOBALS = {"pipeline.py": pipeline("for k in (1, 2):\n    globals()[f'rate_{k}'] = k * 10", "scada * rate_2")}
MODULES = {
    "pipeline.py": pipeline("import helpers, sys", "sys.modules['help' + 'ers'].go(scada)"),
    "helpers.py": "def go(x):\n    return x + 1\n",
    "unrelated.py": "X = 1\n",
}
OWN_MODULE = {
    "pipeline.py": pipeline(
        "import sys\ndef go_a(x):\n    return x + 1", "getattr(sys.modules[__name__], 'go_' + 'a')(scada)"
    )
}
GETATTR = {
    "pipeline.py": pipeline("import helpers", "getattr(helpers, 'go' + '_a')(scada)"),
    "helpers.py": "from ops import *\nfrom other import go_b\n",
    "ops.py": "def go_a(x):\n    return x + 1\n",
    "other.py": "def go_b(x):\n    return x + 5\n",
    "unrelated.py": "X = 1\n",
}
NAMED = {
    "pipeline.py": pipeline("import helpers", "getattr(helpers, 'go')(scada)"),
    "helpers.py": "def go(x):\n    return x + 1\n\ndef idle():\n    return 1\n",
}
GETTER = {
    "pipeline.py": pipeline("import helpers, operator", "operator.attrgetter('go')(helpers)(scada)"),
    "helpers.py": "def go(x):\n    return x + 1\n",
}
OF_OBJECT = {
    "pipeline.py": pipeline(
        "import helpers\nclass Item:\n    size = 2\n    def get(self, name):\n        return getattr(self, name)",
        "scada * Item().get('size')",
    ),
    "helpers.py": "def idle():\n    return 1\n",
}
OWN_LOCALS = {
    "pipeline.py": pipeline(
        "def f(x):\n    y = 2\n    return '{x} {y}'.format(**locals())\n\ndef idle():\n    return 1", "f(scada)"
    )
}
DICT = {
    "pipeline.py": pipeline("import helpers", "vars(helpers)['go'](scada)"),
    "helpers.py": "def go(x):\n    return x + 1\n",
}
FUNCTION_GLOBALS = {
    "pipeline.py": pipeline("import helpers", "helpers.idle.__globals__['go'](scada)"),
    "helpers.py": "def go(x):\n    return x + 1\n\ndef idle():\n    return 1\n",
}
FRAME = {
    "pipeline.py": pipeline(
        "import sys\nRATE = 2\ndef f(x):\n    return x * sys._getframe(1).f_globals['RA' + 'TE']", "f(scada)"
    )
}
BUILTIN = {
    "pipeline.py": pipeline("import builtins\nimport helpers\nbuiltins.RATE = helpers.rate()", "scada * RATE"),
    "helpers.py": "def rate():\n    return 2\n",
}
ALIASED = {
    "pipeline.py": pipeline("import helpers\nrun = eval", "run('help' + 'ers.go')(scada)"),
    "helpers.py": "def go(x):\n    return x + 1\n",
}
BY_PATH = {
    "pipeline.py": pipeline(
        "import importlib.util, os\ndef load(name):\n    spec = importlib.util.spec_from_file_location(name, os.path.join(os.path.dirname(__file__), name + '.py'))\n"
        "    module = importlib.util.module_from_spec(spec)\n    spec.loader.exec_module(module)\n    return module",
        "load('late').go(scada)",
    ),
    "late.py": "def go(x):\n    return x + 1\n",
}
LINEAR = ("models.linear",)

EDITS = (
    edit("import_module with a prefix", PREFIXED, "models/linear.py", "x + 1", "x + 3", reruns=True, flags=("dynamic:models",)),
    edit("import_module with a prefix, another module there", PREFIXED, "models/tree.py", "x + 2", "x + 3", reruns=False,
         coarse="which of the modules is known at run time only"),
    edit("import_module with a prefix, module elsewhere", PREFIXED, "unrelated.py", "X = 1", "X = 2", reruns=False),
    edit("uses, module that is named", PREFIXED, "models/linear.py", "x + 1", "x + 3", reruns=True, uses=LINEAR, flags=("dynamic:uses",)),
    edit("uses, module that is not named", PREFIXED, "models/tree.py", "x + 2", "x + 3", reruns=False, uses=LINEAR),
    edit("import_module with a computed name", COMPUTED, "models/linear.py", "x + 1", "x + 3", reruns=True, flags=("dynamic",)),
    edit("import_module with a computed name, module elsewhere", COMPUTED, "unrelated.py", "X = 1", "X = 2", reruns=False,
         coarse="any module of the project may be meant"),
    edit("uses narrows a computed name", COMPUTED, "unrelated.py", "X = 1", "X = 2", reruns=False, uses=LINEAR),
    edit("uses of a function", COMPUTED, "models/linear.py", "x + 1", "x + 3", reruns=True, uses=("models.linear.fit",)),
    edit("import_module with a name", LITERAL, "models/linear.py", "x + 1", "x + 3", reruns=True),
    edit("import_module with a name, another module", LITERAL, "models/tree.py", "x + 2", "x + 3", reruns=False),
    edit("__import__ with a name", SINGLE, "helpers.py", "x + 1", "x + 3", reruns=True),
    edit("eval", EVAL, "helpers.py", "x + 1", "x + 3", reruns=True, flags=("dynamic",)),
    edit("eval, function that is not meant", EVAL, "helpers.py", "return 1", "return 2", reruns=False, coarse="a computed text may name anything"),
    edit("eval under another name", ALIASED, "helpers.py", "x + 1", "x + 3", reruns=True, flags=("dynamic",)),
    edit("exec at the top", EXEC, "helpers.py", "x + 1", "x + 3", reruns=True, flags=("dynamic",)),
    edit("globals()", GLOBALS, "pipeline.py", "x + 1", "x + 3", reruns=True, flags=("whole:pipeline",)),
    edit("globals(), another module", GLOBALS, "unrelated.py", "X = 1", "X = 2", reruns=False),
    edit("globals() that are set", SET_GLOBALS, "pipeline.py", "k * 10", "k * 20", reruns=True),
    edit("sys.modules", MODULES, "helpers.py", "x + 1", "x + 3", reruns=True, flags=("dynamic",)),
    edit("sys.modules, module that is not imported", MODULES, "unrelated.py", "X = 1", "X = 2", reruns=False),
    edit("sys.modules of the module itself", OWN_MODULE, "pipeline.py", "x + 1", "x + 3", reruns=True),
    edit("getattr of a module that re-exports", GETATTR, "ops.py", "x + 1", "x + 3", reruns=True, flags=("whole:helpers",)),
    edit("getattr of a module, another name", GETATTR, "other.py", "x + 5", "x + 3", reruns=False, coarse="a computed name may be any of the module's"),
    edit("getattr of a module, module elsewhere", GETATTR, "unrelated.py", "X = 1", "X = 2", reruns=False),
    edit("getattr with a written name", NAMED, "helpers.py", "x + 1", "x + 3", reruns=True),
    edit("getattr with a written name, another function", NAMED, "helpers.py", "return 1", "return 2", reruns=False),
    edit("attrgetter of a module", GETTER, "helpers.py", "x + 1", "x + 3", reruns=True),
    edit("getattr of an object", OF_OBJECT, "pipeline.py", "size = 2", "size = 3", reruns=True),
    edit("getattr of an object, a module beside", OF_OBJECT, "helpers.py", "return 1", "return 2", reruns=False),
    edit("locals() of a function", OWN_LOCALS, "pipeline.py", "return 1", "return 2", reruns=False),
    edit("vars() of a module", DICT, "helpers.py", "x + 1", "x + 3", reruns=True),
    edit("__globals__ of a function", FUNCTION_GLOBALS, "helpers.py", "x + 1", "x + 3", reruns=True, flags=("dynamic",)),
    edit("globals of a frame", FRAME, "pipeline.py", "RATE = 2", "RATE = 3", reruns=True),
    edit("name set among the builtins", BUILTIN, "helpers.py", "return 2", "return 3", reruns=True),
    edit("module loaded by path", BY_PATH, "late.py", "x + 1", "x + 2", reruns=True, flags=("dynamic",)),
)  # fmt: skip
