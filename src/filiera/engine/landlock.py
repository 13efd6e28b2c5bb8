"""Landlock: a child that runs user code reads its own libraries and its source bundle, and nothing else of the disk.

Source: the kernel's documentation, userspace-api/landlock. Works without privileges; where the kernel has none,
`restrict` says so and `doctor` shows it. It does not stop UDP, nor a socket that has a name in the file system.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_PATH_BENEATH, _NO_NEW_PRIVILEGES = 1, 38
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
#: All file rights of the first version, and those that later ones added.
_RIGHTS_BY_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_TRUNCATE = 1 << 14
_TCP = 3  #: bind and connect; from version 4 on
_SCOPES = 3  #: abstract sockets of and signals to processes outside; from version 6 on


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("fd", ctypes.c_int32))


def version() -> int:
    """The version of Landlock that the kernel offers; 0 = none."""
    if os.uname().sysname != "Linux":
        return 0
    found = ctypes.CDLL(None, use_errno=True).syscall(_CREATE, None, 0, 1)
    return max(0, int(found))


def restrict(*, read: Sequence[str], write: Sequence[str]) -> str:
    """Forbid this process every file but those below `read` and `write`, TCP, and signals to processes outside.

    Returns:
        The level reached: "landlock 7", or "none".
    """
    offered = version()
    if offered == 0:
        return "none"
    libc = ctypes.CDLL(None, use_errno=True)
    rights = _RIGHTS_BY_VERSION[min(offered, 5)]
    ruleset = _Ruleset(rights, _TCP if offered >= 4 else 0, _SCOPES if offered >= 6 else 0)
    size = 24 if offered >= 6 else 16 if offered >= 4 else 8
    fd = libc.syscall(_CREATE, ctypes.byref(ruleset), ctypes.c_size_t(size), 0)
    if fd < 0:
        return "none"
    try:
        for paths, access in ((read, _EXECUTE | _READ_FILE | _READ_DIR), (write, rights)):
            for path in paths:
                _allow(libc, fd, path, access & rights)
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        failed = libc.syscall(_RESTRICT, fd, 0)
    finally:
        os.close(fd)
    return "none" if failed else f"landlock {offered}"


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, access: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there cannot be read either
    try:
        if not os.path.isdir(path):
            access &= _EXECUTE | _READ_FILE | _WRITE_FILE | _TRUNCATE
        rule = _Beneath(access, fd)
        libc.syscall(_ADD, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(fd)
