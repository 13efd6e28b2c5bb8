"""What phases need of each other, as protocols; the workspace hands the implementations over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from filiera.core.snapshot import Snapshot

if TYPE_CHECKING:
    import pyarrow as pa


class Objects(Protocol):
    """Sealed bytes for keeps.

    An object once returned by `put` never changes; `put` returns only after its bytes and its name are durable.
    Identifiers are random and never reused. Safe for use by several threads and processes.
    """

    def put(self, payload: bytes) -> Mapping[str, Any]:
        """Seal and store; gives `object_id`, `size_bytes`, `sha256` and the wrapped key as `key`."""
        ...

    def get(self, record: Mapping[str, Any]) -> bytes:
        """The payload; IntegrityError when a bit differs from what was put."""
        ...


class Reader(Protocol):
    """The only door to rows: every read has a principal and a purpose and leaves an exposure record."""

    def read(
        self,
        snapshot: Snapshot,
        *,
        principal: str,
        purpose: str,
        columns: Sequence[str] | None = None,
        low_us: int | None = None,
        high_us: int | None = None,
    ) -> pa.Table:
        """Rows sorted by (time, key), times as `timestamp[us, UTC]`, low_us <= time < high_us."""
        ...
