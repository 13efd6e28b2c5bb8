"""What is known of Python's own and of common libraries' names: which of them change things or cannot be repeated.

A name that is not listed is taken for the worse where that is cheap. Changing these lists never makes a result stale
in a ledger: they decide what belongs to a closure, and a closure that differs has another digest.
"""

from __future__ import annotations

import re

#: Libraries whose decorators and base classes register nothing anywhere.
QUIET_LIBRARIES = frozenset(
    "attr attrs beartype cachetools jax numba numpy pandas polars pyarrow pydantic scipy sklearn tenacity torch "
    "typing_extensions wrapt".split()
)
#: A library call with such a name changes something that outlives the call.
CHANGING = re.compile(
    r"(set|seed|use|register|unregister|enable|disable|patch|install|configure|filterwarnings|simplefilter|basicConfig"
    r"|init$|initialize|chdir|put|shuffle|insort|heap|reset|activate|load_ext|add|update|extend|append|insert|remove"
    r"|clear|pop|push|setlocale|import_module|run|exec|delattr)"
)
CHANGING_BUILTINS = frozenset(
    "__import__ breakpoint compile delattr eval exec globals input locals next setattr vars".split()
)
#: Calls that give an object which nothing else holds.
FRESH = frozenset(
    [
        *(f"builtins.{name}" for name in "bool bytearray bytes dict float frozenset int list object set sorted str tuple".split()),
        *(f"collections.{name}" for name in "Counter OrderedDict defaultdict deque".split()),
        *(f"numpy.{name}" for name in "arange array empty eye full linspace ones zeros".split()),
        "types.SimpleNamespace", "logging.getLogger", "argparse.ArgumentParser", "copy.copy", "copy.deepcopy",
        "threading.Lock", "threading.local",
    ]
)  # fmt: skip

#: Names that turn texts into code: anything in the project may be meant.
ANYTHING = frozenset({"builtins.eval", "builtins.exec", "builtins.compile", "builtins.__file__", "pydoc.locate"})
ANYTHING_OF = frozenset({"runpy", "pkgutil", "zipimport", "imp", "importlib"})
#: Names that find what was imported already.
IMPORTED = frozenset({"sys.modules", "sys._getframe", "gc.get_objects", "gc.get_referrers", "inspect.currentframe",
                      "inspect.stack", "inspect.getmodule", "builtins.__loader__", "builtins.__spec__"})  # fmt: skip
IMPORTED_ATTRIBUTES = frozenset({"__subclasses__", "__globals__", "__builtins__"})
IMPORTERS = frozenset({"importlib.import_module", "builtins.__import__"})
NAMESPACES = frozenset({"builtins.globals", "builtins.locals", "builtins.vars", "builtins.dir"})
DOCSTRINGS = frozenset({"inspect.getdoc", "inspect.getsource", "inspect.cleandoc", "builtins.help", "pydoc.render_doc"})

ENVIRON = frozenset({"os.environ", "os.environb"})
GETENV = frozenset({"os.getenv", "os.getenvb"})

#: Values that differ from run to run.
NONDETERMINISTIC = frozenset(
    "datetime.date.today datetime.datetime.now datetime.datetime.today datetime.datetime.utcnow os.getpid os.urandom "
    "pandas.Timestamp.now pandas.Timestamp.today pandas.Timestamp.utcnow time.monotonic time.perf_counter time.time "
    "time.time_ns uuid.uuid1 uuid.uuid4".split()
)
NONDETERMINISTIC_OF = frozenset({"random", "secrets", "numpy.random"})
#: With a seed these can be repeated.
SEEDED = frozenset(
    "numpy.random.MT19937 numpy.random.PCG64 numpy.random.Philox numpy.random.RandomState numpy.random.SeedSequence "
    "numpy.random.default_rng random.Random".split()
)
REPEATABLE = frozenset({"numpy.random.Generator", "numpy.random.seed", "random.seed", "secrets.compare_digest"})

#: Values from outside the project that no key holds.
OUTSIDE = frozenset({"builtins.open", "io.open", "urllib.request.urlopen", "os.popen", "subprocess.run",
                     "subprocess.check_output", "socket.create_connection"})  # fmt: skip
OUTSIDE_OF = frozenset({"requests", "httpx"})
OUTSIDE_METHODS = frozenset(
    "read_bytes read_csv read_excel read_feather read_json read_parquet read_sql read_text loadtxt genfromtxt "
    "scan_csv scan_parquet".split()
)
