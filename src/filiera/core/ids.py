"""Identifiers: UUID version 7 behind a prefix that names the kind; never reused.

Source: RFC 9562, section 5.7. People see names and short numbers; these are for records.
"""

from __future__ import annotations

from collections.abc import Callable

#: The kinds of identifier and their prefixes.
KINDS = frozenset({"run", "trl", "std", "snp", "gen", "obj", "bat", "trc", "mdl", "evt", "prj", "led", "exp", "qrt"})


def new_id(kind: str, now_us: int, random_bytes: Callable[[int], bytes]) -> str:
    """A fresh identifier such as `run_0198c1d2-...`; sorts by time to the millisecond.

    Args:
        kind: one of `KINDS`.
        now_us: the time, microseconds UTC.
        random_bytes: source of randomness, normally `os.urandom`.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of identifier: {kind}")
    rand = int.from_bytes(random_bytes(10), "big")
    value = ((now_us // 1_000) & (2**48 - 1)) << 80
    value |= 0x7 << 76 | ((rand >> 62) & 0xFFF) << 64 | 0b10 << 62 | (rand & (2**62 - 1))
    text = f"{value:032x}"
    return f"{kind}_{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
