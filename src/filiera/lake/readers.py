"""Who reads: a shared lock per table or model while its objects are read, so that none is freed under a reader.

The lock is of the file descriptor: a process that dies gives it back by dying, and threads do not share it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_S = 0.02


class Readers:
    """The locks of one lake."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def reading(self, asset: str) -> Iterator[None]:
        """Nothing of an asset is freed during the body; waits while something just is."""
        descriptor = self._open(asset)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def alone(self, asset: str, *, wait_s: float) -> Iterator[bool]:
        """Whether nobody reads the asset, and nobody begins to during the body; False when one still does."""
        descriptor = self._open(asset)
        try:
            yield _alone(descriptor, time.monotonic() + wait_s)
        finally:
            os.close(descriptor)

    def _open(self, asset: str) -> int:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        return os.open(self._folder / asset, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _alone(descriptor: int, until: float) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
        time.sleep(POLL_S)
