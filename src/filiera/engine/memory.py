"""One copy for everybody: memory that is written once, sealed, and mapped read-only by every process that gets it.

On Linux it is a sealed memfd: never on disk, passed as a descriptor, and the kernel refuses any later write. Elsewhere
an unlinked temporary file stands in; it is not fit for personal data, which filiera does not accept there.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO

_SEALS = ("F_SEAL_WRITE", "F_SEAL_GROW", "F_SEAL_SHRINK", "F_SEAL_SEAL")


@dataclass(frozen=True, slots=True)
class SharedBuffer:
    """A descriptor of sealed memory and its size; whoever holds it closes it."""

    fd: int
    size_bytes: int

    @classmethod
    def create(cls, parts: Iterable[bytes | memoryview]) -> SharedBuffer:
        """Put the parts one after the other into fresh memory and seal it."""
        fd = _fresh()
        size = 0
        for part in parts:
            view = memoryview(part).cast("B")
            while len(view):
                written = os.write(fd, view[: 1 << 30])
                size += written
                view = view[written:]
        return cls._sealed(fd, size)

    @classmethod
    def written(cls, write: Callable[[BinaryIO], None]) -> SharedBuffer:
        """Let `write` fill fresh memory as a file, without another copy in between, and seal it."""
        fd = _fresh()
        try:
            with os.fdopen(os.dup(fd), "wb") as file:
                write(file)
        except BaseException:
            os.close(fd)
            raise
        return cls._sealed(fd, os.fstat(fd).st_size)

    @classmethod
    def _sealed(cls, fd: int, size: int) -> SharedBuffer:
        if hasattr(fcntl, "F_ADD_SEALS"):
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _seals())
        return cls(fd, size)

    @classmethod
    def received(cls, fd: int, size_bytes: int) -> SharedBuffer:
        """A buffer that came from a child.

        Raises:
            ValueError: it has another size, or can still be changed: a map that shrinks would end this process.
        """
        sealed = not hasattr(fcntl, "F_GET_SEALS") or fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _seals() == _seals()
        if not sealed or os.fstat(fd).st_size != size_bytes:
            raise ValueError("a result that is not sealed, or has another size than it says")
        return cls(fd, size_bytes)

    def view(self) -> memoryview:
        """The content, mapped read-only without a copy."""
        if self.size_bytes == 0:
            return memoryview(b"")
        return memoryview(mmap.mmap(self.fd, self.size_bytes, prot=mmap.PROT_READ))

    def close(self) -> None:
        """Give the descriptor back; maps that exist stay."""
        os.close(self.fd)


def _seals() -> int:
    return sum(int(getattr(fcntl, name)) for name in _SEALS)


def _fresh() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("filiera", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    fd, path = tempfile.mkstemp(prefix="filiera-")
    os.unlink(path)
    return fd
