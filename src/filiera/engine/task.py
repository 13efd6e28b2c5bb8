"""Tasks and their results, and what every engine offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from filiera.engine.memory import SharedBuffer


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose code a task runs. A process that read something for one asset works for no other: it may have kept it."""

    asset: str = ""
    modules: frozenset[str] = frozenset()  #: of the project, that the code is known to load
    variables: Mapping[str, str] = field(default_factory=dict)  #: that the code declares, added to its environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One call of a function in a child process."""

    id: str
    function: str  #: "package.module:name"; called as f(arguments, inputs, emit)
    arguments: Mapping[str, Any]
    inputs: Sequence[SharedBuffer] = ()
    bundle: str | None = None  #: folder of the unpacked source bundle; first on the module path, and where it works
    scope: Scope = Scope()
    timeout_s: float | None = None
    memory_limit_bytes: int | None = None  #: of private memory; None = what the machine has


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a task."""

    id: str
    value: Any = None
    outputs: tuple[SharedBuffer, ...] = ()
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0  #: private memory at its highest
    error: Mapping[str, str] | None = None  #: "code", "message", "details" and the parts of a FilieraError
    lost: bool = False  #: the process died; nothing is known of the task
    log: str = ""  #: the end of what the code printed
    reads: Mapping[str, str] = field(default_factory=dict)
    """Digest of each file that its process read so far: of the bundle by relative path, of the project by full path."""
    confinement: str = "none"  #: what held the code, such as "landlock 7"


class Engine(Protocol):
    """Runs tasks side by side.

    tests/contract/test_engine.py holds every engine to this: every submitted task gives exactly one result, unless
    it is cancelled; a task that dies takes no other with it; inputs cannot be changed by a task.
    """

    capacity: int  #: tasks that run at the same time

    def submit(self, task: Task) -> None:
        """Queue a task; it starts when a slot is free."""
        ...

    def wait(self, timeout_s: float | None = None) -> list[Result]:
        """Results since the last call; blocks until there is one, or the timeout."""
        ...

    def cancel(self, task_id: str) -> None:
        """End a task; it gives no result."""
        ...

    def close(self) -> None:
        """End everything that this engine started."""
        ...


@dataclass(slots=True)
class Waiting:
    """A queue of tasks that have not started."""

    tasks: list[Task] = field(default_factory=list)

    def take(self) -> Task | None:
        """The oldest task."""
        return self.tasks.pop(0) if self.tasks else None

    def drop(self, task_id: str) -> bool:
        """Forget a task; False when it is not here."""
        before = len(self.tasks)
        self.tasks = [task for task in self.tasks if task.id != task_id]
        return len(self.tasks) < before


def module_of(name: str) -> str:
    """The module that a file of a bundle is; a name that no module has for any other file.

    >>> module_of("lib/clean.py"), module_of("lib/__init__.py"), module_of("holidays.csv")
    ('lib.clean', 'lib', 'holidays.csv')
    """
    path, _, file = name.rpartition("/")
    stem, _, suffix = file.partition(".")
    if suffix.rpartition(".")[2] not in ("py", "so", "pyd"):
        return name
    return ".".join([*(path.split("/") if path else []), *([stem] if stem != "__init__" else [])])
