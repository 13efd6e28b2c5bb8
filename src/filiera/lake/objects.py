"""Sealed objects in a local directory: encrypt, checksum, sync, rename.

The one place that writes bytes for keeps. An object's name is random, never derived from its content; its digest, its
size and its wrapped data key stand in the ledger.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from filiera.core.snapshot import ObjectRecord
from filiera.errors import IntegrityError, NoSpaceError, NotFoundError, UnavailableError
from filiera.lake import seal
from filiera.lake.trash import Trash

#: Of tables that were written within `keeping`; more is opened again from its file.
KEPT_BYTES = 256 << 20
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class KeyWrapper(Protocol):
    """Wraps data keys; the root key and its files are behind it."""

    def wrap(self, key: bytes, context: str) -> str:
        """Encrypt a key, as hex."""
        ...

    def unwrap(self, wrapped: str, context: str) -> bytes:
        """The key again."""
        ...


class LocalObjects:
    """Objects as files below one folder; safe for several threads and processes."""

    def __init__(self, root: Path, keys: KeyWrapper) -> None:
        self._root = root
        self._keys = keys
        self._kept: dict[str, pa.Table] | None = None  #: oldest first
        self.trash = Trash(root, root.parent / "trash")

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep the tables that are written in the body in memory, so that a step need not open what the last sealed."""
        self._kept = {}
        try:
            yield
        finally:
            self._kept = None

    def forget(self) -> None:
        """Let go of the tables that are kept."""
        if self._kept is not None:
            self._kept = {}

    def put(self, payload: bytes) -> ObjectRecord:
        """Seal and store bytes; durable when it returns.

        Raises:
            NoSpaceError: the disk is full; nothing of the object is left.
        """
        return self._write("bytes", lambda key, name: seal.seal_bytes(payload, key, name))

    def put_table(self, table: pa.Table) -> ObjectRecord:
        """Seal and store a table as Parquet; durable when it returns."""
        record = self._write("parquet", lambda key, name: seal.seal_table(table, key, name))
        if self._kept is not None:
            self._kept[record.object_id] = table
            while sum(each.nbytes for each in self._kept.values()) > KEPT_BYTES:
                del self._kept[next(iter(self._kept))]
        return record

    def get(self, record: ObjectRecord) -> bytes:
        """The payload.

        Raises:
            IntegrityError: the object is missing or a bit differs from what was put.
            NotFoundError: it was freed and can be put back.
        """
        return seal.open_bytes(self._read(record), self._key(record), record.object_id)

    def get_table(self, record: ObjectRecord, columns: list[str] | None = None) -> pa.Table:
        """The table, or some of its columns."""
        kept = (self._kept or {}).get(record.object_id)
        if kept is not None:
            return kept if columns is None else kept.select(columns)
        return seal.open_table(self._read(record), self._key(record), record.object_id, columns)

    def seal_note(self, payload: bytes, context: str) -> bytes:
        """Seal a few kilobytes that stand in the ledger itself, such as statistics."""
        return bytes.fromhex(self._keys.wrap(payload, f"note/{context}"))

    def open_note(self, sealed: bytes, context: str) -> bytes:
        """The payload of a sealed note; IntegrityError when it was changed or belongs to something else."""
        return self._keys.unwrap(sealed.hex(), f"note/{context}")

    def discard(self, records: Iterable[ObjectRecord]) -> None:
        """Remove objects that no committed transaction refers to."""
        for record in records:
            self._path(record.object_id).unlink(missing_ok=True)

    def orphans(self, known: set[str], older_than_s: float, now_s: float) -> list[tuple[str, int]]:
        """Objects that no ledger row names and that are too old to be of a running writer, with their sizes."""
        files = ((path.name, path.stat()) for path in sorted(self._root.glob("*/[!.]*")) if path.name not in known)
        return [(name, stat.st_size) for name, stat in files if now_s - stat.st_mtime > older_than_s]

    def sweep(self, known: set[str], older_than_s: float, now_s: float) -> int:
        """Remove files that no ledger row names and that are too old to be of a running writer; gives their number."""
        count = 0
        for path in self._root.glob("*/*"):
            if path.name not in known and now_s - path.stat().st_mtime > older_than_s:
                path.unlink(missing_ok=True)
                count += 1
        return count

    def _key(self, record: ObjectRecord) -> bytes:
        return self._keys.unwrap(record.key, f"object/{record.object_id}")

    def _path(self, object_id: str) -> Path:
        return self._root / object_id[:2] / object_id

    def _read(self, record: ObjectRecord) -> bytes:
        try:
            sealed = self._path(record.object_id).read_bytes()
        except FileNotFoundError as error:
            if self.trash.holds(record.object_id):
                raise NotFoundError(
                    "object.freed",
                    f"object {record.object_id} was freed: nothing reached it",
                    next="`filiera gc --restore` puts it back",
                ) from error
            raise IntegrityError(
                "object.missing",
                f"object {record.object_id} is missing",
                next="restore this file of .filiera/lake from a backup; all other data is readable",
            ) from error
        if hashlib.sha256(sealed).hexdigest() != record.sha256:
            raise seal.damaged(record.object_id)
        return sealed

    def _write(self, kind: str, encrypt: Callable[[bytes, str], bytes]) -> ObjectRecord:
        object_id, key = os.urandom(16).hex(), os.urandom(32)
        sealed = encrypt(key, object_id)
        path = self._path(object_id)
        fresh = path.with_name(f".{object_id}")
        try:
            if not path.parent.is_dir():
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _sync_folder(self._root)
            _write_durably(fresh, path, sealed)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            if error.errno in NO_SPACE:
                raise NoSpaceError(
                    "lake.no_space",
                    "the disk is full: the lake could not be written",
                    found=str(error),
                    next="free some space and run again; nothing was lost",
                ) from error
            raise UnavailableError(
                "lake.not_written",
                "the lake could not be written",
                found=str(error),
                where=str(self._root),
                next="see that the folder exists and is yours, then run again; nothing was lost",
            ) from error
        return ObjectRecord(
            object_id=object_id,
            kind=kind,
            size_bytes=len(sealed),
            sha256=hashlib.sha256(sealed).hexdigest(),
            key=self._keys.wrap(key, f"object/{object_id}"),
        )


def _write_durably(fresh: Path, path: Path, content: bytes) -> None:
    """1. write beside, 2. sync the bytes, 3. rename, 4. sync the folder: after this a power cut loses nothing."""
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # 1
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # 2
    fresh.rename(path)  # 3
    _sync_folder(path.parent)  # 4


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
