"""`up`: collect, follow and serve in one process until stopped."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from starlette.types import ASGIApp

from filiera.errors import ConflictError, UnavailableError
from filiera.server.app import build_app
from filiera.server.lanes import Lanes
from filiera.server.live import Live
from filiera.server.metrics import Metrics
from filiera.server.routes import State
from filiera.server.trouble import Troubles

if TYPE_CHECKING:
    from filiera.workspace import Workspace

DRAIN_S = 30


def serve(workspace: Workspace, *, port: int, every_s: float | None, say: Callable[[str], None]) -> None:
    """Serve on loopback; collect and follow every few seconds, unless `every_s` is None.

    The port opens when every released model is loaded that can be.

    Raises:
        ConflictError: another `up` runs on this project.
        UnavailableError: the port is taken.
    """
    tell = _steady(say)
    with up_lock(workspace.settings.state / "up.lock"), _bound(port) as sock:
        troubles = Troubles(workspace.ledger.clock, tell)
        live = Live(workspace, troubles, tell)
        stop, since_us = threading.Event(), workspace.ledger.clock.now_us()
        follower = threading.Thread(
            target=_follow, args=(workspace, every_s, since_us, stop, troubles, tell), name="follow-rows", daemon=True
        )
        try:
            live.start()
            if every_s is not None:
                follower.start()
            app = build_app(State(workspace, live, Metrics(troubles), troubles, Lanes()))
            _listen(sock, port)
            tell(f"http://127.0.0.1:{sock.getsockname()[1]}/")
            with _survives_signals():
                uvicorn.Server(_config(app)).run(sockets=[sock])
        finally:
            stop.set()
            live.stop()
            if follower.is_alive():
                follower.join(timeout=DRAIN_S)


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=DRAIN_S,
        server_header=False,
    )


def _steady(say: Callable[[str], None]) -> Callable[[str], None]:
    """A terminal that went away ends no thread."""

    def tell(text: str) -> None:
        with suppress(OSError, ValueError):
            say(text)

    return tell


@contextmanager
def _survives_signals() -> Iterator[None]:
    """The web server raises the signal that ended it once more; here it means an orderly end, not a sudden one."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _bound(port: int) -> Iterator[socket.socket]:
    """A socket that has its port, but takes no connection yet."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError as error:
            raise _port_taken(port, error) from error
        yield sock


def _listen(sock: socket.socket, port: int) -> None:
    try:
        sock.listen(128)
    except OSError as error:  # somebody bound it as we did, and listened first
        raise _port_taken(port, error) from error


def _port_taken(port: int, error: OSError) -> UnavailableError:
    return UnavailableError(
        "server.port", f"port {port} cannot be used", found=str(error), next="name another with --port, or 0 for any"
    )


def _follow(
    workspace: Workspace,
    every_s: float | None,
    since_us: int,
    stop: threading.Event,
    troubles: Troubles,
    tell: Callable[[str], None],
) -> None:
    """Look for events and do what may be done by itself until stopped, whatever goes wrong on the way."""
    while not stop.wait(every_s):
        with troubles.watching("rows"):
            turn = workspace.automate(up_since_us=since_us)
            for text in turn.texts:
                tell(text)
            if turn.failure:
                raise turn.failure


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
