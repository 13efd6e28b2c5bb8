"""Files of a source: which are new, which changed, which grew, which are still being written."""

from __future__ import annotations

import bz2
import fcntl
import gzip
import hashlib
import io
import lzma
import os
import signal
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, cast

from filiera.collect.pattern import matches
from filiera.core.batch import SourceFile
from filiera.errors import ContractError, FilieraError, UnavailableError

BLOCK_BYTES = 1 << 20
#: Where the kernel cannot say whether a file is open for writing, it must have been left alone this long.
SETTLE_NS = 2_000_000_000
_UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", ".swp", "~")
_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


class Standing(StrEnum):
    """What is known of a file."""

    NEW = "new"
    CHANGED = "changed"
    TOUCHED = "touched"  #: other times or another inode, the same bytes
    KNOWN = "known"
    BUSY = "being written"
    UNREADABLE = "unreadable"  #: no right to read it, or it is gone again


@dataclass(frozen=True, slots=True)
class Candidate:
    """One file that a source's pattern names."""

    path: Path
    name: str  #: relative to the project, as the ledger knows it
    standing: Standing
    size_bytes: int
    mtime_ns: int = 0
    ctime_ns: int = 0


def list_candidates(root: Path, pattern: str, known: Iterable[SourceFile], now_ns: int) -> list[Candidate]:
    """The files of a source, by name; hidden and half-finished names are left out.

    Args:
        root: the project.
        pattern: path or glob, relative to the project.
        known: newest version of each file, as it was read.
        now_ns: the time, nanoseconds since 1970.
    """
    versions = {file.path: file for file in known}
    found = []
    for path in sorted(matches(root, pattern)):
        name = _name(root, path)
        if _is_left_out(name) or not path.is_file():
            continue
        try:
            stat = path.stat()
            standing = _standing(path, stat, versions.get(name), now_ns)
            found.append(Candidate(path, name, standing, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
        except OSError:
            found.append(Candidate(path, name, Standing.UNREADABLE, 0))
    return found


def _standing(path: Path, stat: os.stat_result, known: SourceFile | None, now_ns: int) -> Standing:
    now = (stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_ctime_ns)
    if known and (known.size_bytes, known.mtime_ns, known.inode, known.ctime_ns) == now:
        return Standing.KNOWN
    if _is_busy(path, stat.st_mtime_ns, now_ns):
        return Standing.BUSY
    if known is None:
        return Standing.NEW
    same = known.size_bytes == stat.st_size and known.digest == prefix_digest(path, stat.st_size)
    return Standing.TOUCHED if same else Standing.CHANGED


def _is_left_out(name: str) -> bool:
    """Hidden files and folders, and names that programs give to files they have not finished."""
    parts = name.split("/")
    return any(part.startswith(".") for part in parts) or parts[-1].startswith("~") or parts[-1].endswith(_UNFINISHED)


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _is_busy(path: Path, mtime_ns: int, now_ns: int) -> bool:
    """Whether somebody has the file open for writing.

    A read lease is granted only while nobody has (fcntl(2), F_SETLEASE); the kernel grants leases to a file's owner.
    Elsewhere the file must have been left alone for two seconds.
    """
    lease = getattr(fcntl, "F_SETLEASE", None)
    if lease is not None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # Who opens the file in this very moment makes the kernel signal us; this one is ignored by default.
            fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(descriptor, lease, fcntl.F_RDLCK)
            fcntl.fcntl(descriptor, lease, fcntl.F_UNLCK)
            return False
        except BlockingIOError:
            return True
        except OSError:
            pass  # not our file, or a file system without leases: judge by its age
        finally:
            os.close(descriptor)
    return now_ns - mtime_ns < SETTLE_NS


def scan(source: str, candidate: Candidate) -> SourceFile:
    """Read a file once, in bounded memory: its digest, and whether its compression is whole.

    Args:
        source: name of the source.
        candidate: from `list_candidates`.


    Raises:
        ContractError: the file is empty, or its compressed stream is cut off.
        UnavailableError: it changed while it was read; it is left for the next time.
    """
    before = candidate.path.stat()
    hasher = hashlib.sha256()
    with candidate.path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            hasher.update(block)
    if before.st_size == 0:
        raise ContractError(
            "collect.file_empty",
            "the file is empty",
            expected="a header and records",
            where=candidate.name,
            next="it is left alone until it changes",
        )
    if compression(candidate.path):
        with open_file(candidate.path) as stream:
            _drain(stream, candidate.name)
    after = candidate.path.stat()
    if (before.st_size, before.st_mtime_ns, before.st_ctime_ns) != (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    ):
        raise UnavailableError(
            "collect.file_busy",
            "the file changed while it was read",
            found="another size or time than before",
            next="it is read the next time",
            where=candidate.name,
        )
    return SourceFile(
        source=source,
        path=candidate.name,
        digest=f"sha256:{hasher.hexdigest()}",
        size_bytes=after.st_size,
        mtime_ns=after.st_mtime_ns,
        inode=after.st_ino,
        ctime_ns=after.st_ctime_ns,
    )


def _drain(stream: BinaryIO, name: str) -> None:
    try:
        while stream.read(BLOCK_BYTES):
            pass
    except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise ContractError(
            "collect.file_truncated",
            "the compressed file cannot be read to its end",
            expected="a whole compressed file",
            found=str(error),
            where=name,
            next="copy it again; nothing of it was taken, and it is read when it changes",
        ) from error


def compression(path: Path) -> str | None:
    """How a file is compressed, told by its first bytes; None when it is not."""
    with path.open("rb") as file:
        head = file.read(8)
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def open_file(path: Path) -> BinaryIO:
    """The file's bytes, decompressed while they are read."""
    kind = compression(path)
    if kind == "gzip":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if kind == "bzip2":
        return cast(BinaryIO, bz2.open(path, "rb"))
    if kind == "xz":
        return cast(BinaryIO, lzma.open(path, "rb"))
    if kind == "zstd":
        import pyarrow as pa

        return cast(BinaryIO, io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"), BLOCK_BYTES))
    return path.open("rb")


def prefix_digest(path: Path, size_bytes: int) -> str:
    """Digest of the first bytes of a file: equal before and after it grew."""
    hasher, left = hashlib.sha256(), size_bytes
    with path.open("rb") as file:
        while left and (block := file.read(min(BLOCK_BYTES, left))):
            hasher.update(block)
            left -= len(block)
    return f"sha256:{hasher.hexdigest()}"


def grown_from(path: Path, earlier: SourceFile | None) -> int:
    """Bytes at the start that were read before, when the file only grew since; else 0."""
    if earlier is None or earlier.consumed_bytes == 0 or path.stat().st_size < earlier.consumed_bytes:
        return 0
    same = prefix_digest(path, earlier.consumed_bytes) == earlier.prefix_digest
    return earlier.consumed_bytes if same else 0


def consumed(file: SourceFile, path: Path, end: int) -> SourceFile:
    """The file with a note of how far it was read."""
    return replace(file, consumed_bytes=end, prefix_digest=prefix_digest(path, end) if end else "")


def refusal(error: FilieraError) -> Mapping[str, str]:
    """What the ledger keeps of an error about a whole file."""
    return {"code": error.code, "message": error.message, "expected": error.expected, "found": error.found}
