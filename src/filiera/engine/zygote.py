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
    """A process that forks children on request. `start` makes one; or `launch`, and `ready` when it is needed."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    log: IO[bytes]  #: what it says until it is ready
    python: str
    preload: tuple[str, ...]
    folder: str

    @classmethod
    def start(cls, python: str | None, preload: tuple[str, ...], folder: str) -> Zygote:
        """Start it and shake hands; arguments as of `launch`, errors as of `ready`."""
        return cls.launch(python, preload, folder).ready()

    @classmethod
    def launch(cls, python: str | None, preload: tuple[str, ...], folder: str) -> Zygote:
        """Start it and do not wait for its imports.

        Args:
            python: the interpreter; None = this one.
            preload: modules to import first; left out when one of them starts a thread, since a fork would not
                carry it over.
            folder: private, for scratch files; it works there.

        Raises:
            UnavailableError: there is no such interpreter.
        """
        program = python or sys.executable
        ours, theirs = socket.socketpair()
        # -P: modules come from the interpreter and the bundle, never from the folder where filiera was started
        command = [program, "-P", "-m", "filiera.worker", str(theirs.fileno()), ",".join(preload), folder]
        log = tempfile.TemporaryFile()  # noqa: SIM115  closed when hands were shaken
        try:
            process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], env=environment(folder), cwd=folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            ours.close()
            log.close()
            raise _no_start(program, str(error)) from error
        finally:
            theirs.close()
        return cls(process, ours, log, program, preload, folder)

    def ready(self) -> Zygote:
        """Shake hands; gives the process to ask, which is another one where a preloaded module started a thread.

        Raises:
            UnavailableError: the interpreter does not start, has no filiera, or another one.
        """
        threads = self._shake()
        if threads == 1:
            return self
        self.close()
        if self.preload:
            return Zygote.start(self.python, (), self.folder)
        raise UnavailableError(
            "engine.threads", "the project's interpreter starts threads by itself, so it cannot be forked",
            where=self.python, expected="1 thread", found=f"{threads} threads",
            next="look for a .pth file or a sitecustomize.py that does so",
        )  # fmt: skip

    def _shake(self) -> int:
        self.control.settimeout(START_TIMEOUT_S)
        try:
            answer, _ = wire.receive(self.control)
        except (wire.ClosedError, TimeoutError) as error:
            found = _last_line(self.log)
            self.close()
            raise _no_start(self.python, found) from error
        self.control.settimeout(None)
        self.log.close()
        if answer["protocol"] != PROTOCOL:
            self.close()
            raise UnavailableError(
                "engine.protocol", "the project's interpreter has another filiera", where=self.python,
                expected=f"protocol {PROTOCOL}", found=f"protocol {answer['protocol']}",
                next="install this version of filiera there",
            )  # fmt: skip
        return int(answer["threads"])

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
        self.process.kill()  # first: one whose parent goes away removes the folder, which another may be using already
        self.process.wait()
        self.control.close()
        self.log.close()


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
