"""Edits about what no static look can see: told by flags, and never a reason for a needless run."""

from __future__ import annotations

from edits.edit import Edit, edit, pipeline

ENV = {
    "pipeline.py": pipeline(
        "import os\nfrom os import environ as E, getenv\nA = os.environ.get('FILIERA_A', '1')\nB = getenv('FILIERA_B', '2')\nIDLE = 1",
        "(scada, A, B, E.get('FILIERA_C'), 'FILIERA_D' in os.environ)",
    )
}
NAMED = ("FILIERA_A", "FILIERA_B", "FILIERA_C", "FILIERA_D")
COMPUTED = {"pipeline.py": pipeline("import os\nNAME = 'FILIERA_' + 'A'", "(scada, os.environ.get(NAME, '1'))")}
WRITTEN = {"pipeline.py": pipeline("import os\nos.environ['FILIERA_X'] = '2'", "(scada, os.environ['FILIERA_X'])")}
RANDOM = {
    "pipeline.py": pipeline(
        "import random\nimport time as clock\nfrom datetime import datetime as dt\nIDLE = 1",
        "(scada, random.random() < 2, clock.time() > 0, dt.now() is not None)",
    )
}
SEEDED = {"pipeline.py": pipeline("import random\nR = random.Random(7)", "(scada, random.Random(3).random())")}
READ = {
    "pipeline.py": pipeline(
        "import pathlib\ntry:\n    TEXT = pathlib.Path('gone.txt').read_text()\nexcept OSError:\n    TEXT = 'a'",
        "(scada, TEXT)",
    )
}
LOCK = {"pipeline.py": pipeline("", "scada"), "requirements.txt": "numpy==2.0\n"}
COMPILED = {
    "pipeline.py": pipeline(
        "try:\n    import fast\nexcept ImportError as error:\n    fast = str(error)[-18:]", "(scada, fast)"
    ),
    "fast.so": b"one",
}
BESIDE = {
    "pipeline.py": pipeline(
        "LEAST = 1\nlate = fl.sql('SELECT at FROM scada WHERE load > :least', least=LEAST, partition='day')", "scada"
    )
}

EDITS = (
    Edit("environment variables by name", "environment variables", ENV,
         {"pipeline.py": ENV["pipeline.py"].replace("'2'", "'3'")}, reruns=True, variables=NAMED),
    edit("beside environment variables", ENV, "pipeline.py", "IDLE = 1", "IDLE = 2", reruns=False),
    edit("environment variable by a computed name", COMPUTED, "pipeline.py", "'1'", "'2'", reruns=True, flags=("variables",)),
    edit("environment variable that the code sets", WRITTEN, "pipeline.py", "= '2'", "= '3'", reruns=True),
    edit("beside chance and time", RANDOM, "pipeline.py", "IDLE = 1", "IDLE = 2", reruns=False,
         flags=("nondeterministic:random.random", "nondeterministic:time.time", "nondeterministic:datetime.datetime.now")),
    edit("seed", SEEDED, "pipeline.py", "Random(3)", "Random(4)", reruns=True),
    edit("file read at import", READ, "pipeline.py", "'a'", "'b'", reruns=True),
    edit("query of another table", BESIDE, "pipeline.py", "load >", "load <", reruns=False),
    edit("setting of another table's query", BESIDE, "pipeline.py", "LEAST = 1", "LEAST = 2", reruns=False),
    edit("list of requirements", LOCK, "requirements.txt", "2.0", "2.1", reruns=False),
    Edit("compiled extension", "bytes of a compiled extension", COMPILED, {**COMPILED, "fast.so": b"two, longer"}, reruns=False,
         coarse="the meaning of bytes is not known"),
)  # fmt: skip
