"""Digests: `sha256:` and 64 hex digits, always over the kind and version of what is hashed.

A digest of one kind can therefore never be taken for a digest of another.
"""

from __future__ import annotations

import hashlib
from typing import Any


def digest(kind: str, version: int, payload: bytes) -> str:
    r"""Digest of `payload` as a `kind` of layout `version`.

    >>> digest("trace", 1, b"").startswith("sha256:")
    True
    """
    return "sha256:" + hashlib.sha256(f"filiera/{kind}/{version}\0".encode() + payload).hexdigest()


def digest_json(kind: str, version: int, value: Any) -> str:
    """Digest of a JSON value: key order and spacing do not matter."""
    return digest(kind, version, canonical(value))


def canonical(value: Any) -> bytes:
    """Canonical JSON: equal values give equal bytes. Source: RFC 8785.

    Raises:
        ValueError: NaN, an infinity, or an integer beyond 2**53 (write it as text).
    """
    import rfc8785

    return rfc8785.dumps(value)
