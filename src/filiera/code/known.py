"""What is known of Python's own and of common libraries' names: which of them change things or cannot be repeated.

A name that is not listed is taken for the worse where that is cheap. These lists decide what belongs to a closure; a
closure that differs has another digest.
"""

from __future__ import annotations

import re

_READ_ONLY = """
abs all any as_posix astype capitalize copy count critical date debug decode describe difference encode endswith error
exception exists find format get groups head hexdigest index info intersection is_dir is_file isoformat issubset items
join joinpath keys log lower lstrip match max mean min partition removeprefix removesuffix replace reshape resolve round
rpartition rsplit rstrip search split splitlines startswith std strip strftime strptime sum title to_dict to_numpy
tolist total_seconds union upper values warning with_name with_suffix zfill
"""
#: Methods that change no result, whatever they belong to; a class of the project may give them another meaning.
READ_ONLY = frozenset(_READ_ONLY.split())

_QUIET_LIBRARIES = """
attr attrs beartype cachetools jax numba numpy pandas polars pyarrow pydantic scipy sklearn tenacity torch
typing_extensions wrapt
"""
#: Libraries whose decorators and base classes register nothing anywhere.
QUIET_LIBRARIES = frozenset(_QUIET_LIBRARIES.split())

#: A library call with such a name changes something that outlives the call.
CHANGING = re.compile(
    r"(set|seed|use|register|unregister|enable|disable|patch|install|configure|filterwarnings|simplefilter|basicConfig"
    r"|init$|initialize|chdir|put|shuffle|insort|heap|reset|activate|load_ext|add|update|extend|append|insert|remove"
    r"|clear|pop|push|import_module|run|exec|delattr)"
)
_CHANGING_BUILTINS = "__import__ breakpoint compile delattr eval exec globals input locals next setattr vars"
CHANGING_BUILTINS = frozenset(_CHANGING_BUILTINS.split())

_FRESH = """
builtins.bool builtins.bytearray builtins.bytes builtins.dict builtins.float builtins.frozenset builtins.int
builtins.list builtins.object builtins.set builtins.sorted builtins.str builtins.tuple
collections.Counter collections.OrderedDict collections.defaultdict collections.deque copy.copy copy.deepcopy
numpy.arange numpy.array numpy.empty numpy.eye numpy.full numpy.linspace numpy.ones numpy.zeros
argparse.ArgumentParser logging.getLogger threading.Lock threading.local types.SimpleNamespace
"""
#: Calls that give an object which nothing else holds.
FRESH = frozenset(_FRESH.split())

#: Names that turn texts into code: anything in the project may be meant.
ANYTHING = frozenset({"builtins.eval", "builtins.exec", "builtins.compile", "pydoc.locate"})
ANYTHING_OF = frozenset({"runpy", "pkgutil", "zipimport", "imp", "importlib"})
_IMPORTED = """
builtins.__loader__ builtins.__spec__ gc.get_objects gc.get_referrers inspect.currentframe inspect.getmodule
inspect.stack sys._getframe sys.modules
"""
#: Names that find what was imported already.
IMPORTED = frozenset(_IMPORTED.split())
IMPORTED_ATTRIBUTES = frozenset({"__subclasses__", "__globals__", "__builtins__"})
IMPORTERS = frozenset({"importlib.import_module", "builtins.__import__"})
NAMESPACES = frozenset({"builtins.globals", "builtins.locals", "builtins.vars", "builtins.dir"})
DOCSTRINGS = frozenset({"inspect.getdoc", "inspect.getsource", "builtins.help", "pydoc.render_doc"})

ENVIRON = frozenset({"os.environ", "os.environb"})
GETENV = frozenset({"os.getenv", "os.getenvb"})

_NONDETERMINISTIC = """
datetime.date.today datetime.datetime.now datetime.datetime.today datetime.datetime.utcnow os.getpid os.urandom
pandas.Timestamp.now pandas.Timestamp.today pandas.Timestamp.utcnow time.monotonic time.perf_counter time.time
time.time_ns uuid.uuid1 uuid.uuid4
"""
#: Values that differ from run to run.
NONDETERMINISTIC = frozenset(_NONDETERMINISTIC.split())
NONDETERMINISTIC_OF = frozenset({"random", "secrets", "numpy.random"})
_SEEDED = """
numpy.random.MT19937 numpy.random.PCG64 numpy.random.Philox numpy.random.RandomState numpy.random.SeedSequence
numpy.random.default_rng random.Random
"""
#: With a seed these can be repeated.
SEEDED = frozenset(_SEEDED.split())
REPEATABLE = frozenset({"numpy.random.Generator", "numpy.random.seed", "random.seed", "secrets.compare_digest"})

_OUTSIDE = """
os.popen socket.create_connection subprocess.check_output subprocess.run urllib.request.urlopen
"""
#: Values from outside the project that no key holds. Not files: what a run opens is recorded and checked.
OUTSIDE = frozenset(_OUTSIDE.split())
OUTSIDE_OF = frozenset({"requests", "httpx"})
OUTSIDE_METHODS = frozenset({"read_sql"})
