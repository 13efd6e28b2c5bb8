"""Who is at work on the project now, seen without getting in anybody's way."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

LOCKS = Path("/proc/locks")


@dataclass(frozen=True, slots=True)
class Work:
    """An apply, a follow or a release in progress."""

    pid: int
    since_us: int
    own: bool  #: this server takes in new rows


def find_work(lock: Path) -> Work | None:
    """Who holds the lock of `apply`; None when nobody does."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        text, stat = os.pread(descriptor, 20, 0).decode(errors="replace").strip(), os.fstat(descriptor)
        if not text.isdigit() or not _is_held(descriptor, stat.st_ino, int(text)):
            return None
    finally:
        os.close(descriptor)
    return Work(int(text), stat.st_mtime_ns // 1_000, int(text) == os.getpid())


def _is_held(descriptor: int, inode: int, pid: int) -> bool:
    """Read from the kernel's list: taking the lock to see whether it is free would refuse an apply that comes now."""
    if not LOCKS.exists():
        return _try_shared(descriptor)
    for line in LOCKS.read_text().splitlines():
        words = line.split()  # "1: FLOCK ADVISORY WRITE 4711 fe:00:2146381 0 EOF"
        if words[1:2] == ["FLOCK"] and words[4] == str(pid) and words[5].rpartition(":")[2] == str(inode):
            return True
    return False


def _try_shared(descriptor: int) -> bool:
    """Where the kernel shows no list: held if it cannot be shared; let go at once."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False
