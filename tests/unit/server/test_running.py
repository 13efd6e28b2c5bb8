"""Who is at work: seen from outside, without getting in the way."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from filiera.dimensions.apply import apply_lock
from filiera.server import running
from filiera.server.running import find_work

HOLD = """
import sys
from pathlib import Path
from filiera.dimensions.apply import apply_lock
with apply_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("listed", [True, False])
def test_the_holder_of_the_lock_is_found(tmp_path: Path, listed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not listed:
        monkeypatch.setattr(running, "LOCKS", tmp_path / "nowhere")
    lock = tmp_path / "apply.lock"
    assert find_work(lock) is None, "there is no lock yet"
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        work = find_work(lock)
        assert work is not None
        assert (work.pid, work.own) == (process.pid, False)
        process.communicate("")
    assert find_work(lock) is None, "it ended; its number still stands in the file"


def test_this_servers_own_work_is_told_apart(tmp_path: Path) -> None:
    with apply_lock(tmp_path / "apply.lock"):
        work = find_work(tmp_path / "apply.lock")
    assert work is not None
    assert (work.pid, work.own) == (os.getpid(), True)


def test_a_file_with_something_else_in_it_is_nobody(tmp_path: Path) -> None:
    (tmp_path / "apply.lock").write_text("x")
    assert find_work(tmp_path / "apply.lock") is None


def test_looking_never_keeps_an_apply_from_its_lock(tmp_path: Path) -> None:
    if not running.LOCKS.exists():
        pytest.skip("this kernel shows no list of locks")
    lock, stop = tmp_path / "apply.lock", threading.Event()

    def look() -> None:
        while not stop.is_set():
            find_work(lock)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(300):
            with apply_lock(lock):
                pass
    finally:
        stop.set()
        thread.join()
