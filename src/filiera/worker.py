"""The zygote: a process of the project's interpreter that forks one child per slot.

Started as `python -P -m filiera.worker FD MODULES FOLDER`. It loads numpy and scikit-learn once, stays single-threaded,
and forks for every slot, so a child starts in milliseconds and shares what was loaded. Polars and the user's code are
imported after the fork: a forked child that inherits a thread pool in use can hang. Nothing here has keys or the
ledger; the environment was scrubbed by the parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import resource
import shutil
import signal
import socket
import sys
import sysconfig
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from filiera.engine.reads import Reads

PROTOCOL = 3
LOG_BYTES = 16_384
_PDEATHSIG = 1
#: What a child may read beside its libraries: the loader's and the resolver's files, and what libraries ask of the CPU.
SYSTEM = (
    "/usr", "/lib", "/lib64", "/bin", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg",
    "/proc/filesystems", "/proc/sys", "/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm", "/etc/ld.so.cache",
    "/etc/localtime", "/etc/timezone", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/mime.types",
    "/etc/os-release", "/etc/ssl", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom",
)  # fmt: skip


def main() -> None:
    """Serve requests for slots until the parent goes away."""
    from filiera.engine import wire

    parent, folder = socket.socket(fileno=int(sys.argv[1])), sys.argv[3]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for name in sys.argv[2].split(","):
        if name:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    gc.freeze()  # a collection in a child would copy every page it looks at
    wire.send(parent, {"protocol": PROTOCOL, "threads": len(os.listdir("/proc/self/task")) if _linux() else 1})
    while True:
        try:
            _, fds = wire.receive(parent)
        except wire.ClosedError:  # the children end with this process
            shutil.rmtree(folder, ignore_errors=True)
            os._exit(0)
        zygote, pid = os.getpid(), os.fork()
        if pid == 0:
            parent.close()
            _slot(socket.socket(fileno=fds[0]), folder, zygote)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # here as well as in the child: whoever is first
        os.close(fds[0])
        wire.send(parent, {"pid": pid})


def _linux() -> bool:
    return sys.platform == "linux"


def _die_with(zygote: int) -> None:
    if _linux():
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != zygote:
        os._exit(0)


def _slot(sock: socket.socket, folder: str, zygote: int) -> None:
    """Run one task after another until the parent closes the socket; the parent removes the scratch folder."""
    from filiera.engine import wire

    _die_with(zygote)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # short of memory, the kernel ends a task before anything else
    scratch = os.path.join(folder, str(os.getpid()))
    os.mkdir(scratch, 0o700)
    os.chdir(scratch)
    tempfile.tempdir = os.environ["TMPDIR"] = os.environ["HOME"] = scratch
    log = _capture(scratch)
    level, reads = None, None
    try:
        while True:
            message, fds = wire.receive(sock)
            if level is None:
                level = _confine(message["bundle"], scratch)
                reads = _begin(message)
            answer, outputs = _serve(message, fds, reads)
            answer |= {"log": _tail(log), "confinement": level, "reads": reads.found() if reads else {}}
            _reply(sock, answer, outputs)
            for buffer in outputs:
                buffer.close()
    except wire.ClosedError:
        os._exit(0)


def _capture(scratch: str) -> int:
    """Send all that is printed, by Python or by a native library, to a file of this slot."""
    log = os.open(os.path.join(scratch, "log"), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # both in the order of speaking
    return log


def _tail(log: int) -> str:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # the user's code may have closed it
            stream.flush()
    size = os.fstat(log).st_size
    text = os.pread(log, LOG_BYTES, max(0, size - LOG_BYTES))
    os.ftruncate(log, 0)
    return text.decode(errors="replace")


def _reply(sock: socket.socket, answer: dict[str, Any], outputs: Sequence[Any]) -> None:
    from filiera.engine import wire

    try:
        wire.send(sock, answer, [buffer.fd for buffer in outputs])
    except (TypeError, ValueError) as error:
        found = {"kind": "WorkError", "code": "work.result", "message": f"the result cannot be sent: {error}"}
        answer.pop("value", None)
        wire.send(sock, answer | {"sizes": [], "error": found})


def _libraries() -> set[str]:
    """Where modules come from that are not the project's."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *filter(None, sys.path), here}


def _begin(message: Mapping[str, Any]) -> Reads | None:
    """Work in the folder of the code, with the variables that it declares, and look at what it reads."""
    from filiera.engine.reads import Reads

    os.environ.update(message["variables"])
    bundle = message["bundle"]
    if not bundle:
        return None
    os.chdir(bundle)
    reads = Reads(bundle, message["watched"], sorted(_libraries()))
    reads.watch()
    return reads


def _confine(bundle: str | None, scratch: str) -> str:
    """Let this process read its libraries and the bundle only."""
    from filiera.engine import landlock

    return landlock.restrict(
        read=sorted(_libraries() | set(SYSTEM) | ({bundle} if bundle else set())),
        write=[scratch, "/dev/null", "/dev/shm"],  # noqa: S108  semaphores of joblib live there
    )


def _serve(message: dict[str, Any], fds: list[int], reads: Reads | None) -> tuple[dict[str, Any], list[Any]]:
    from filiera.engine.memory import SharedBuffer

    inputs = [SharedBuffer(fd, size) for fd, size in zip(fds, message["sizes"], strict=True)]
    views = [buffer.view() for buffer in inputs]
    for buffer in inputs:
        buffer.close()
    bundle = message["bundle"]
    if bundle and bundle not in sys.path:
        sys.path.insert(0, bundle)
        sys.dont_write_bytecode = True
    answer, outputs = run(message["function"], message["arguments"], views, bundle, reads)
    shared = sum(buffer.size_bytes for buffer in inputs)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sizes = [buffer.size_bytes for buffer in outputs]
    return answer | {"id": message["id"], "peak_bytes": max(0, peak_kib * 1024 - shared), "sizes": sizes}, outputs


def run(
    name: str,
    arguments: Mapping[str, Any],
    views: Sequence[memoryview],
    bundle: str | None,
    reads: Reads | None = None,
) -> tuple[dict[str, Any], list[Any]]:
    """Call a task function.

    Args:
        name: "package.module:function"; the bundle is on the module path already.
        arguments: its first argument.
        views: its second, the mapped inputs.
        bundle: folder of the user's code, for the line of an error.
        reads: knows the names of the files that an error is about.

    Returns:
        `value` or `error`, `seconds` and `cpu_seconds`; and the buffers that it emitted, none after an error.
    """
    from filiera.engine.memory import SharedBuffer

    outputs: list[SharedBuffer] = []
    began, cpu = time.perf_counter(), time.process_time()
    answer: dict[str, Any] = {}
    try:
        answer["value"] = _function(name)(arguments, views, lambda part: outputs.append(_emitted(part)))
    except BaseException as error:
        answer["error"] = _explain(error, bundle, reads)
        for buffer in outputs:
            buffer.close()
        outputs = []
    return answer | {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}, outputs


def _emitted(part: Any) -> Any:
    """Bytes, or what writes them into a file, as sealed memory."""
    from filiera.engine.memory import SharedBuffer

    return SharedBuffer.written(part) if callable(part) else SharedBuffer.create([part])


def _function(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return function


def _explain(error: BaseException, bundle: str | None, reads: Reads | None) -> dict[str, str]:
    """The error as data, with the line of the user's code that raised it."""
    from filiera.errors import FilieraError
    from filiera.runner import notebook

    details = "".join(traceback.format_exception(error))[-LOG_BYTES:]
    frames = [f for f in traceback.extract_tb(error.__traceback__) if bundle and f.filename.startswith(bundle)]
    place = notebook.place(bundle, frames[-1].filename, frames[-1].lineno) if frames and bundle else ""
    if isinstance(error, FilieraError):
        parts = {"expected": error.expected, "found": error.found, "next": error.next}
        if error.code == "code.import_failed":
            parts |= _undeclared(error, reads)
        return {"kind": type(error).__name__, "code": error.code, "message": error.message,
                "where": error.where or place, "details": details, **parts}  # fmt: skip
    found = {"kind": "WorkError", "code": "work.failed", "message": f"{type(error).__name__}: {error}",
             "where": place, "details": details, "expected": "", "found": "", "next": ""}  # fmt: skip
    if not frames:
        return found
    if any(isinstance(cause, PermissionError | FileNotFoundError) for cause in _causes(error)):
        reach = "pipeline code reads only what is handed to it, and has no network"
        found["next"] = f"{reach}: declare it as a source, or with files=[...]"
    return found | _undeclared(error, reads)


def _undeclared(error: BaseException, reads: Reads | None) -> dict[str, str]:
    """What an error says that comes from a file or variable which the code reads and does not declare."""
    for cause in _causes(error):
        frames = traceback.extract_tb(cause.__traceback__)
        if isinstance(cause, KeyError) and frames[-1].filename == type(os.environ).__getitem__.__code__.co_filename:
            name = cause.args[0]
            return {
                "message": f"the variable {name} is not declared, or it has no value",
                "next": f'declare it: variables=["{name}"]',
            }
        if not isinstance(cause, PermissionError | FileNotFoundError) or reads is None or cause.filename is None:
            continue
        name = reads.relative(os.fsdecode(cause.filename))
        if name is None:
            continue
        if isinstance(cause, PermissionError) and reads.is_inside(os.fsdecode(cause.filename)):
            advice = "it gives back its result and keeps nothing else; `tempfile` has room for scratch files"
            return {"message": f"the code cannot write {name}", "next": advice}
        advice = f'declare it: files=["{name}"]; rows of a source come in as a parameter of its name'
        return {"message": f"{name} is not declared, so the code cannot read it", "next": advice}
    return {}


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those behind it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


if __name__ == "__main__":
    main()
