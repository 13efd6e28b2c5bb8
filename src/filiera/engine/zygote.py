"""The parent's side of the zygote: start it in the project's interpreter, ask it for children."""

from __future__ import annotations

import os
import site
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import IO

from filiera.engine import wire
from filiera.errors import UnavailableError
from filiera.worker import PROTOCOL

#: One native thread per process: as many processes as cores, no more.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_NUM_THREADS", "POLARS_MAX_THREADS",
    "NUMEXPR_NUM_THREADS",
)  # fmt: skip
#: Arrow's allocator starts a thread on import otherwise.
ALLOCATOR = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
START_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Zygote:
    """A process that forks children on request."""

    process: subprocess.Popen[bytes]
    control: socket.socket

    @classmethod
    def start(cls, python: str | None, preload: tuple[str, ...], folder: str) -> Zygote:
        """Start it and shake hands.

        Args:
            python: the interpreter; None = this one.
            preload: modules to import first; left out when one of them starts a thread, since a fork would not
                carry it over.
            folder: private, for scratch files; it works there.

        Raises:
            UnavailableError: the interpreter does not start, has no filiera, or another one.
        """
        zygote, threads = cls._launch(python or sys.executable, preload, folder)
        if threads > 1 and preload:
            zygote.close()
            zygote, threads = cls._launch(python or sys.executable, (), folder)
        if threads > 1:
            zygote.close()
            raise UnavailableError(
                "engine.threads", "the project's interpreter starts threads by itself, so it cannot be forked",
                where=python or sys.executable, expected="1 thread", found=f"{threads} threads",
                next="look for a .pth file or a sitecustomize.py that does so",
            )  # fmt: skip
        return zygote

    @classmethod
    def _launch(cls, python: str, preload: tuple[str, ...], folder: str) -> tuple[Zygote, int]:
        ours, theirs = socket.socketpair()
        # -P: modules come from the interpreter and the bundle, never from the folder where filiera was started
        command = [python, "-P", "-m", "filiera.worker", str(theirs.fileno()), ",".join(preload), folder]
        with tempfile.TemporaryFile() as log:
            try:
                process = subprocess.Popen(
                    command, pass_fds=[theirs.fileno()], env=environment(folder), cwd=folder, stdin=subprocess.DEVNULL,
                    stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                ours.close()
                raise _no_start(python, str(error)) from error
            finally:
                theirs.close()
            zygote = cls(process, ours)
            ours.settimeout(START_TIMEOUT_S)
            try:
                answer, _ = wire.receive(ours)
            except (wire.ClosedError, TimeoutError) as error:
                zygote.close()
                raise _no_start(python, _last_line(log)) from error
        ours.settimeout(None)
        if answer["protocol"] != PROTOCOL:
            zygote.close()
            raise UnavailableError(
                "engine.protocol", "the project's interpreter has another filiera", where=python,
                expected=f"protocol {PROTOCOL}", found=f"protocol {answer['protocol']}",
                next="install this version of filiera there",
            )  # fmt: skip
        return zygote, int(answer["threads"])

    def fork(self) -> tuple[socket.socket, int]:
        """A fresh child: the socket to talk to it, and its process id, which is its process group too.

        Raises:
            ClosedError: the zygote is gone.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                wire.send(self.control, {"op": "slot"}, [theirs.fileno()])
                answer, _ = wire.receive(self.control)
            except wire.ClosedError:
                ours.close()
                raise
        return ours, int(answer["pid"])

    def close(self) -> None:
        """End it; its children end with it."""
        self.control.close()
        self.process.kill()
        self.process.wait()


def environment(folder: str) -> dict[str, str]:
    """What a child may know of this machine: nothing but where its programs and libraries are."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    fixed = {"HOME": folder, "TMPDIR": folder, "TZ": "UTC", "PYTHONHASHSEED": "0", "PYTHONUTF8": "1"}
    libraries = {"PYTHONUSERBASE": site.getuserbase()}
    return kept | fixed | libraries | ALLOCATOR | dict.fromkeys(THREAD_VARIABLES, "1")


def _no_start(python: str, found: str) -> UnavailableError:
    return UnavailableError(
        "engine.no_start", "the project's interpreter does not start", where=python,
        expected="a Python with filiera installed", found=found, next="check `python` in [project]",
    )  # fmt: skip


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
