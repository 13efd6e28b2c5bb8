"""`up`: collect, follow and serve in one process until stopped."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from filiera.errors import ConflictError, FilieraError, UnavailableError
from filiera.server.app import build_app
from filiera.server.live import Live
from filiera.server.metrics import Metrics
from filiera.server.routes import State

if TYPE_CHECKING:
    from filiera.workspace import Workspace

DRAIN_S = 30


def serve(workspace: Workspace, *, port: int, every_s: float | None, say: Callable[[str], None]) -> None:
    """Serve on loopback; collect and follow every few seconds, unless `every_s` is None.

    Raises:
        ConflictError: another `up` runs on this project.
        UnavailableError: the port is taken.
    """
    with up_lock(workspace.settings.state / "up.lock"):
        live = Live(workspace, say)
        live.start()
        stop = threading.Event()
        follower = threading.Thread(
            target=_follow, args=(workspace, every_s, stop, say), name="follow-rows", daemon=True
        )
        try:
            sock = _listen(port)
            if every_s is not None:
                follower.start()
            say(f"http://127.0.0.1:{sock.getsockname()[1]}/")
            config = uvicorn.Config(
                build_app(State(workspace, live, Metrics())),
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=DRAIN_S,
                server_header=False,
            )
            with _survives_signals():
                uvicorn.Server(config).run(sockets=[sock])
        finally:
            stop.set()
            live.stop()
            if follower.is_alive():
                follower.join(timeout=DRAIN_S)


@contextmanager
def _survives_signals() -> Iterator[None]:
    """The web server raises the signal that ended it once more; here it means an orderly end, not a sudden one."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(("127.0.0.1", port))
    except OSError as error:
        sock.close()
        raise UnavailableError(
            "server.port",
            f"port {port} cannot be used",
            found=str(error),
            next="name another with --port, or 0 for any",
        ) from error
    sock.listen(128)
    return sock


def _follow(workspace: Workspace, every_s: float | None, stop: threading.Event, say: Callable[[str], None]) -> None:
    told = ""
    while not stop.wait(every_s):
        try:
            report = workspace.follow()
        except FilieraError as error:
            text = f"follow: {error.code} {error.message}"
        else:
            done = [step for step in report.steps if step.outcome == "done"] if report else []
            text = "; ".join(f"{step.asset}: {step.text}" for step in done)
            if report and report.failure:
                text += f" {report.failure.code} {report.failure.message}"
        if text and text != told:
            say(text)
        told = text


@contextmanager
def up_lock(path: Path) -> Iterator[None]:
    """One `up` per project.

    Raises:
        ConflictError: another one runs; names its process.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode().strip()
            raise ConflictError(
                "up.running", "this project is up already", found=f"process {holder}", next="stop it first"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
