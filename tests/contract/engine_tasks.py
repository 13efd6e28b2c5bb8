"""Task functions for the engine's contract; called in the test's process or in a child."""

import contextlib
import os
import signal
import socket
import sys
import time

from filiera.errors import UsageError

START = time.perf_counter()


def echo(arguments, inputs, emit):
    return arguments["value"]


def nothing(arguments, inputs, emit):
    return None


def add(arguments, inputs, emit):
    return sum(sum(view) for view in inputs)


def emits(arguments, inputs, emit):
    for part in arguments["parts"]:
        emit(part.encode())
    return len(arguments["parts"])


def emits_and_fails(arguments, inputs, emit):
    emit(b"half")
    raise ValueError("no more")


def fails(arguments, inputs, emit):
    raise KeyError("wind")


def refuses(arguments, inputs, emit):
    raise UsageError("test.wrong", "this is wrong", expected="right", found="wrong", next="mend it", where="here:1")


def leaves(arguments, inputs, emit):
    sys.exit(3)


def talks(arguments, inputs, emit):
    print("spoken", arguments["word"])  # noqa: T201
    print("written", file=sys.stderr)  # noqa: T201


def unsendable(arguments, inputs, emit):
    return {1, 2}


def overwrites(arguments, inputs, emit):
    inputs[0][0] = 7


def sleeps(arguments, inputs, emit):
    time.sleep(arguments["seconds"])
    return "slept"


# From here on for processes only.


def process(arguments, inputs, emit):
    return os.getpid()


def address_is_mapped(arguments, inputs, emit):
    """Whether the input is a map of the shared memory itself."""
    with open("/proc/self/maps") as file:
        return [line.split()[1] for line in file if "memfd:filiera" in line]


def private_kib(arguments, inputs, emit):
    touched = sum(inputs[0][::4096])
    with open("/proc/self/status") as file:
        anonymous = next(line for line in file if line.startswith("RssAnon"))
    return [touched, int(anonymous.split()[1])]


def dies(arguments, inputs, emit):
    os.kill(os.getpid(), signal.SIGKILL)


def exits(arguments, inputs, emit):
    os._exit(0)


def native_print(arguments, inputs, emit):
    os.write(1, b"from a library\n")


def fills(arguments, inputs, emit):
    kept = []
    while True:
        kept.append(bytearray(b"x" * (8 << 20)))
        time.sleep(0.01)


def speaks_nonsense(arguments, inputs, emit):
    """Send rubbish over every socket that this process holds."""
    for fd in range(3, 64):
        with contextlib.suppress(OSError):
            socket.socket(fileno=os.dup(fd)).sendall(b"\x05\0\0\0{}{}{")
    return


def unsealed(arguments, inputs, emit):
    """Pass memory back that could still shrink under the reader."""
    from filiera.engine import memory

    memory._SEALS = ()
    emit(b"soft")


def environment(arguments, inputs, emit):
    return dict(os.environ)


def reads(arguments, inputs, emit):
    with open(arguments["path"], "rb") as file:
        return len(file.read())


def writes(arguments, inputs, emit):
    with open(arguments["path"], "wb") as file:
        file.write(b"mine")


def keeps_scratch(arguments, inputs, emit):
    import tempfile

    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(b"scratch")
    return file.name


def connects(arguments, inputs, emit):
    with socket.create_connection(("127.0.0.1", arguments["port"]), 5) as sock:
        sock.sendall(b"secret")


def signals(arguments, inputs, emit):
    os.kill(arguments["pid"], 0)


def starts_a_child(arguments, inputs, emit):
    import subprocess

    child = subprocess.Popen(["sleep", "600"])
    if arguments.get("finish"):
        child.kill()
        return child.wait()
    emit(str(child.pid).encode())
    return child.pid


def module_path(arguments, inputs, emit):
    return sys.path


def threads(arguments, inputs, emit):
    return len(os.listdir("/proc/self/task"))


def invents_reads(arguments, inputs, emit):
    from filiera.engine.reads import Reads

    Reads.found = lambda self: arguments["reads"]
