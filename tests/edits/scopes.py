"""Edits about scopes, statements and the text of the code."""

from __future__ import annotations

from edits.edit import Edit, edit, pipeline

GUARD = {
    "pipeline.py": pipeline("RATE = 1\nif __name__ == '__main__':\n    RATE = 5\nelse:\n    RATE = 2", "scada * RATE")
}
NOT_GUARD = {"pipeline.py": pipeline("RATE = 1\nif __name__ != '__main__':\n    RATE = 2", "scada * RATE")}
MATCH = {
    "pipeline.py": pipeline(
        "SETTING = {'rate': 2, 'size': 3}\nmatch SETTING:\n    case {'rate': rate, **others}:\n        pass",
        "(scada * rate, others)",
    )
}
IN_MATCH = {
    "pipeline.py": pipeline(
        "ZERO = 7\ndef f(x):\n    match x:\n        case 0:\n            return ZERO\n        case _:\n            return x",
        "f(scada)",
    )
}
WALRUS = {"pipeline.py": pipeline("SPARE = (RATE := 2) + 1", "scada * RATE")}
COMPREHENSION = {"pipeline.py": pipeline("rate = 2\nx = 9", "[scada * rate for x in range(2)]")}
CLASS_SCOPE = {"pipeline.py": pipeline("rate = 2\nclass Config:\n    rate = rate\n    size = 1", "scada * Config.rate")}
CONDITION = {
    "pipeline.py": pipeline(
        "import sys\nif sys.maxsize > 1:\n    def go(x):\n        return x + 1\nelse:\n    def go(x):\n        return x + 2\n\n"
        "if sys.maxsize > 1:\n    def idle(x):\n        return x + 3",
        "go(scada)",
    )
}
TRY = {"pipeline.py": pipeline("try:\n    RATE = int('x')\nexcept ValueError as error:\n    RATE = 2", "scada * RATE")}
WITH = {
    "pipeline.py": pipeline("import contextlib\nwith contextlib.suppress(ValueError):\n    RATE = 2", "scada * RATE")
}
ASYNC = {
    "pipeline.py": "import filiera as fl\n\nasync def load(x):\n    return x + 1\n\n@fl.table\nasync def features(scada):\n    return await load(scada)\n"
}
NESTED = {
    "pipeline.py": pipeline(
        "RATE = 2\ndef outer(x):\n    def inner():\n        return x * RATE\n    return inner()", "outer(scada)"
    )
}
HIDDEN = {"pipeline.py": pipeline("RATE = 2\ndef f(x, RATE=3):\n    return x * RATE", "f(scada)")}
FSTRING = {"pipeline.py": pipeline("UNIT = 'kW'", "f'{scada:>{len(UNIT)}} {UNIT!r}'")}
QUOTES = {"pipeline.py": pipeline("", "f'''{scada} {\"a\" 'b'}'''")}
CODING = {"pipeline.py": b"# -*- coding: latin-1 -*-\n" + pipeline("UNIT = '\xe9'", "(scada, UNIT)").encode("latin-1")}
DOC = {"pipeline.py": pipeline("def f(x):\n    'one'\n    return x\n\nclass C:\n    'one'", "(scada, f.__doc__)")}
ATTRIBUTE_TEXT = {"pipeline.py": pipeline("class C:\n    size = 1\n    'The size.'", "scada + C.size")}
LOCAL_HINT = {"pipeline.py": pipeline("def f(x):\n    y: int = x\n    return y", "f(scada)")}
SIGNATURE = {"pipeline.py": pipeline("def f(x: int) -> int:\n    return x", "f(scada)")}
ALIAS = {"pipeline.py": pipeline("from typing import Union\nNumber = Union[int, float]", "(scada, Number)")}
PARTIAL = {
    "pipeline.py": pipeline(
        "from functools import partial\ndef f(rate, x):\n    return rate * x\ntwice = partial(f, 2)", "twice(scada)"
    )
}
CAPTURED = {
    "pipeline.py": pipeline("RATE = 2\ndef make(rate):\n    return lambda x: x * rate\nf = make(RATE)", "f(scada)")
}
FACTORY = {
    "pipeline.py": "import filiera as fl\n\ndef make(rate):\n    def inner(scada):\n        return scada * rate\n    return inner\n\n"
    "features = fl.table(make(2))\nother = fl.table(make(5))\n"
}
MUTABLE_DEFAULT = {
    "pipeline.py": pipeline(
        "LIMITS = [1]\nLIMITS.append(2)\ndef f(x, limits=LIMITS):\n    return x + sum(limits)", "f(scada)"
    )
}
KEYWORD = {"pipeline.py": pipeline("def f(x, *, rate=2):\n    return x * rate", "f(scada)")}
LAMBDA_DEFAULT = {"pipeline.py": pipeline("RATE = 2\nf = lambda x, r=RATE: x * r", "f(scada)")}
REDEFINED = {"pipeline.py": pipeline("def f(x):\n    return x + 1\n\ndef f(x):\n    return x + 2", "f(scada)")}
GENERATOR = {
    "pipeline.py": pipeline(
        "STEPS = 2\ndef steps(x):\n    for k in range(STEPS):\n        yield x + k", "list(steps(scada))"
    )
}
ASSETS = {
    "pipeline.py": "import filiera as fl\nRATE = 2\n\n@fl.table\ndef other(scada):\n    return scada * RATE\n\n@fl.table\ndef features(scada):\n    return scada\n"
}
CALLS_ASSET = {
    "pipeline.py": "import filiera as fl\n\n@fl.table\ndef other(scada, *, rate=2):\n    return scada * rate\n\n@fl.table\ndef features(scada):\n    return other(scada)\n"
}

EDITS = (
    edit("body of a main guard", GUARD, "pipeline.py", "RATE = 5", "RATE = 6", reruns=False),
    edit("else of a main guard", GUARD, "pipeline.py", "RATE = 2", "RATE = 3", reruns=True),
    edit("what looks like a main guard", NOT_GUARD, "pipeline.py", "RATE = 2", "RATE = 3", reruns=True),
    edit("match at the top", MATCH, "pipeline.py", "'rate': 2", "'rate': 3", reruns=True),
    edit("rest of a match", MATCH, "pipeline.py", "'size': 3", "'size': 4", reruns=True),
    edit("match in a function", IN_MATCH, "pipeline.py", "ZERO = 7", "ZERO = 8", reruns=True),
    edit("walrus at the top", WALRUS, "pipeline.py", "RATE := 2", "RATE := 3", reruns=True),
    edit("global in a comprehension", COMPREHENSION, "pipeline.py", "rate = 2", "rate = 3", reruns=True),
    edit("global hidden by a comprehension", COMPREHENSION, "pipeline.py", "x = 9", "x = 8", reruns=False),
    edit("class body that reads the module's name", CLASS_SCOPE, "pipeline.py", "rate = 2", "rate = 3", reruns=True),
    edit("global hidden by a parameter", HIDDEN, "pipeline.py", "RATE = 2", "RATE = 5", reruns=False),
    edit("conditional definition", CONDITION, "pipeline.py", "x + 1", "x + 5", reruns=True),
    edit("other conditional definition", CONDITION, "pipeline.py", "x + 3", "x + 5", reruns=False),
    edit("other branch of a conditional definition", CONDITION, "pipeline.py", "x + 2", "x + 5", reruns=False,
         coarse="which branch runs is known at run time only"),
    edit("try at the top", TRY, "pipeline.py", "RATE = 2", "RATE = 3", reruns=True),
    edit("with at the top", WITH, "pipeline.py", "RATE = 2", "RATE = 3", reruns=True),
    edit("async function", ASYNC, "pipeline.py", "x + 1", "x + 2", reruns=True),
    edit("nested function", NESTED, "pipeline.py", "RATE = 2", "RATE = 3", reruns=True),
    edit("generator", GENERATOR, "pipeline.py", "STEPS = 2", "STEPS = 3", reruns=True),
    edit("name in the format of an f-string", FSTRING, "pipeline.py", "'kW'", "'MWh'", reruns=True),
    edit("quotes", QUOTES, "pipeline.py", "\"a\" 'b'", "'a' \"b\"", reruns=False),
    edit("texts joined by the parser", {"pipeline.py": pipeline("A = 'a' 'b'", "(scada, A)")}, "pipeline.py", "'a' 'b'", "'ab'", reruns=False),
    edit("brackets", {"pipeline.py": pipeline("", "scada * 2 + 1")}, "pipeline.py", "scada * 2 + 1", "((scada * 2) + 1)", reruns=False),
    edit("brackets with a meaning", {"pipeline.py": pipeline("", "scada * 2 + 1")}, "pipeline.py", "scada * 2 + 1", "scada * (2 + 1)", reruns=True),
    edit("whole number to float", {"pipeline.py": pipeline("", "scada + 1")}, "pipeline.py", "+ 1", "+ 1.0", reruns=True),
    edit("another way to write a number", {"pipeline.py": pipeline("", "scada + 1000")}, "pipeline.py", "1000", "1_000", reruns=False),
    Edit("coding line", "comments that have a meaning", CODING,
         {"pipeline.py": CODING["pipeline.py"].replace(b"latin-1", b"cp1251")}, reruns=True),
    edit("docstring that is read", DOC, "pipeline.py", "'one'\n    return", "'two'\n    return", reruns=True),
    edit("docstring of another that is read", DOC, "pipeline.py", "class C:\n    'one'", "class C:\n    'two'", reruns=False),
    edit("text below an attribute", ATTRIBUTE_TEXT, "pipeline.py", "'The size.'", "'How large.'", reruns=False),
    edit("annotation of a local variable", LOCAL_HINT, "pipeline.py", "y: int", "y: float", reruns=False),
    edit("annotation of a parameter", SIGNATURE, "pipeline.py", "x: int", "x: float", reruns=False,
         coarse="annotations can be read at run time, as dataclasses do"),
    edit("type alias", ALIAS, "pipeline.py", "Union[int, float]", "Union[int, str]", reruns=True),
    edit("partial", PARTIAL, "pipeline.py", "partial(f, 2)", "partial(f, 3)", reruns=True),
    edit("captured value", CAPTURED, "pipeline.py", "RATE = 2", "RATE = 3", reruns=True),
    edit("asset made by a factory", FACTORY, "pipeline.py", "make(2)", "make(3)", reruns=True),
    edit("other asset of a factory", FACTORY, "pipeline.py", "make(5)", "make(6)", reruns=False),
    edit("default that is changed before", MUTABLE_DEFAULT, "pipeline.py", "append(2)", "append(3)", reruns=True),
    edit("keyword default", KEYWORD, "pipeline.py", "rate=2", "rate=3", reruns=True),
    edit("default of a lambda", LAMBDA_DEFAULT, "pipeline.py", "RATE = 2", "RATE = 3", reruns=True),
    edit("function defined twice", REDEFINED, "pipeline.py", "x + 2", "x + 3", reruns=True),
    edit("first of two definitions", REDEFINED, "pipeline.py", "x + 1", "x + 3", reruns=False, coarse="a name counts with all that sets it"),
    edit("global of another asset", ASSETS, "pipeline.py", "RATE = 2", "RATE = 3", reruns=False),
    edit("body of another asset", ASSETS, "pipeline.py", "scada * RATE", "scada + RATE", reruns=False),
    edit("setting of an asset that is called", CALLS_ASSET, "pipeline.py", "rate=2", "rate=3", reruns=True),
    edit("pass beside code", {"pipeline.py": pipeline("def f(x):\n    pass\n    return x", "f(scada)")}, "pipeline.py", "    pass\n", "", reruns=False),
)  # fmt: skip
