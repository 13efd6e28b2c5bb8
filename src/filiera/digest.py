"""Digests: `sha256:` and 64 hex digits, always over the kind and version of what is hashed.

A digest of one kind can therefore never be taken for a digest of another.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

MAX_SAFE_INTEGER = 2**53


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
    """Canonical JSON. Source: RFC 8785; numbers are written as ECMAScript does.

    Raises:
        ValueError: NaN, an infinity, or an integer beyond 2**53 (write it as text).
    """
    return _text(value).encode("utf-8")


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        if abs(value) > MAX_SAFE_INTEGER:
            raise ValueError(f"integer {value} is beyond 2**53: write it as text")
        return str(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list | tuple):
        return "[" + ",".join(_text(item) for item in value) + "]"
    if isinstance(value, dict):
        # RFC 8785, 3.2.3: keys are ordered by their UTF-16 code units
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{_text(key)}:{_text(value[key])}" for key in keys) + "}"
    raise ValueError(f"{type(value).__name__} has no canonical JSON")


def _number(value: float) -> str:
    """A double as ECMAScript prints it. Source: ECMA-262, Number::toString."""
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("NaN and infinities have no JSON")
    if value == 0:
        return "0"
    sign, value = ("-", -value) if value < 0 else ("", value)
    mantissa, _, exponent = f"{value!r}e0".split("e")[0], "", repr(value).partition("e")[2]
    digits, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    point = len(digits) + int(exponent or 0)
    digits = digits + fraction
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    return sign + _place(stripped.rstrip("0"), point)


def _place(digits: str, point: int) -> str:
    """Put the decimal point behind `point` digits, or use an exponent outside 1e-6 to 1e21."""
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    exponent = point - 1
    head = digits if count == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{head}e{'+' if exponent > 0 else '-'}{abs(exponent)}"
