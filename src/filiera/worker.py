"""The zygote: a process of the project's interpreter that forks one child per slot.

Started as `python -m filiera.worker FD`. It loads numpy and scikit-learn once, stays single-threaded, and forks for
every slot, so a child starts in milliseconds and shares what was loaded. Polars, pyarrow and the user's code are
imported after the fork: a forked child that inherits a thread pool in use can hang. Nothing here has keys or the
ledger; the environment was scrubbed by the parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import io
import os
import resource
import signal
import socket
import sys
import sysconfig
import tempfile
import time
import traceback
from collections.abc import Callable
from typing import Any

PROTOCOL = 1
LOG_BYTES = 16_384
_PDEATHSIG = 1


def main() -> None:
    """Serve requests for slots until the parent goes away."""
    from filiera.engine import wire

    parent = socket.socket(fileno=int(sys.argv[1]))
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for name in sys.argv[2].split(","):
        if name:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    wire.send(parent, {"protocol": PROTOCOL, "threads": len(os.listdir("/proc/self/task")) if _linux() else 1})
    while True:
        try:
            _, fds = wire.receive(parent)
        except wire.Closed:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            parent.close()
            _slot(socket.socket(fileno=fds[0]))
        os.close(fds[0])
        wire.send(parent, {"pid": pid})


def _linux() -> bool:
    return sys.platform == "linux"


def _die_with_parent() -> None:
    if _linux():
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _slot(sock: socket.socket) -> None:
    """Run one task after another until the parent closes the socket."""
    from filiera.engine import wire

    _die_with_parent()
    with tempfile.TemporaryDirectory(prefix="filiera-", ignore_cleanup_errors=True) as scratch:
        os.chdir(scratch)
        tempfile.tempdir = scratch
        confined = False
        try:
            while True:
                message, fds = wire.receive(sock)
                if not confined:
                    _confine(message.get("bundle"), scratch)
                    confined = True
                answer, outputs = _run(message, fds)
                wire.send(sock, answer, [buffer.fd for buffer in outputs])
                for buffer in outputs:
                    buffer.close()
        except wire.Closed:
            os._exit(0)


def _confine(bundle: str | None, scratch: str) -> str:
    """Let this process read its libraries and the bundle only."""
    from filiera.engine import landlock

    libraries = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *filter(None, sys.path)}
    system = {"/usr", "/lib", "/lib64", "/bin", "/etc", "/proc", "/sys", "/dev", "/opt"}
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return landlock.restrict(
        read=sorted(libraries | system | {here} | ({bundle} if bundle else set())),
        write=[scratch, "/dev/null", "/dev/shm"],
    )


def _run(message: dict[str, Any], fds: list[int]) -> tuple[dict[str, Any], list[Any]]:
    from filiera.engine.memory import SharedBuffer

    inputs = [SharedBuffer(fd, size) for fd, size in zip(fds, message["sizes"], strict=True)]
    outputs: list[SharedBuffer] = []
    views = [buffer.view() for buffer in inputs]
    for buffer in inputs:
        buffer.close()
    shared = sum(buffer.size_bytes for buffer in inputs)
    log = io.StringIO()
    began, cpu = time.perf_counter(), time.process_time()
    answer: dict[str, Any] = {"id": message["id"]}
    try:
        function = _function(message["function"], message.get("bundle"))
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            answer["value"] = function(
                message["arguments"], views, lambda part: outputs.append(SharedBuffer.create([part]))
            )
    except BaseException as error:
        answer["error"] = _explain(error, message.get("bundle"))
        for buffer in outputs:
            buffer.close()
        outputs = []
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer |= {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
        "peak_bytes": max(0, peak_kib * 1024 - shared),
        "sizes": [buffer.size_bytes for buffer in outputs],
        "log": log.getvalue()[-LOG_BYTES:],
    }
    return answer, outputs


def _function(name: str, bundle: str | None) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    if bundle and bundle not in sys.path:
        sys.path.insert(0, bundle)
        sys.dont_write_bytecode = True
    function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return function


def _explain(error: BaseException, bundle: str | None) -> dict[str, str]:
    """The error as data, with the line of the user's code that raised it."""
    from filiera.errors import FilieraError

    details = "".join(traceback.format_exception(error))[-LOG_BYTES:]
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if bundle and frame.filename.startswith(bundle)]
    place = f"{os.path.relpath(frames[-1].filename, bundle)}:{frames[-1].lineno}" if frames and bundle else ""
    if isinstance(error, FilieraError):
        parts = {"expected": error.expected, "found": error.found, "next": error.next}
        return {"kind": type(error).__name__, "code": error.code, "message": error.message,
                "where": error.where or place, "details": details, **parts}  # fmt: skip
    found = {"kind": "WorkError", "code": "work.failed", "message": f"{type(error).__name__}: {error}",
             "where": place, "details": details, "expected": "", "found": "", "next": ""}  # fmt: skip
    if isinstance(error, PermissionError):
        found["next"] = "pipeline code reads only what is handed to it: declare the file as a source"
    return found


if __name__ == "__main__":
    main()
