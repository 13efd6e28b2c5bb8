"""Formats of times in files: which parts they may have, and whether these parts make an instant."""

from __future__ import annotations

import re

_DIRECTIVE = re.compile(r"%[-_0]?(\.?[369]?f|[:#]+z|.)?", re.DOTALL)
#: Directives that read times. Source: docs.rs/chrono, format::strftime, less those whose outcome depends on a locale.
_DATES, _CLOCKS = "YCymbBhdeaAjuwUWGVDFs", "TRrHkIlPpMSz"
_KNOWN = {*_DATES, *_CLOCKS, *"nt%", ".f", ".3f", ".6f", ".9f", "3f", "6f", "9f"}
_INSTEAD = {
    "f": "write %S%.f for 07.25, or %3f, %6f, %9f for a fixed number of digits",
    "Z": "a zone's abbreviation is not unique: set `zone`, and leave the abbreviation out of the file",
    ":z": "write %z; it reads +01:00 too",
    "#z": "write %z; it reads +01:00 too",
    "+": "leave `format` out: ISO 8601 is the default",
}


def directives(form: str) -> list[str]:
    """The parts of a format, without their percent signs and padding marks.

    >>> directives("%-d.%m.%Y %H:%M:%S%.3f")
    ['d', 'm', 'Y', 'H', 'M', 'S', '.3f']
    """
    return [match[1] or "" for match in _DIRECTIVE.finditer(form)]


def format_fault(form: str) -> tuple[str, str] | None:
    """What is wrong with a format of times, and what to do; None where it can be read.

    >>> format_fault("%d.%m.%Y %H:%M") is None
    True
    >>> format_fault("%Q")[0]
    'has %Q, which is no part of a time'
    """
    found = directives(form)
    for part in found:
        if part not in _KNOWN:
            return f"has %{part}, which is no part of a time", _INSTEAD.get(part, "see `man strftime`")
    parts = set(found)
    if not _is_dated(parts):
        return "names no date", "say where year, month and day stand: %Y, %m, %d"
    if bool(parts & {"I", "l"}) != bool(parts & {"p", "P"}):
        return "has a clock of twelve hours without %p, or %p without it", "write %I:%M %p, or %H:%M"
    if "S" in parts and not parts & {"H", "k", "I", "l"}:
        return "names seconds without hours", "write %H:%M:%S, or neither"
    if bool(parts & {"H", "k", "I", "l"}) != ("M" in parts):
        return "names hours without minutes, or minutes without hours", "write %H:%M, or neither"
    return None


def _is_dated(parts: set[str]) -> bool:
    if parts & {"F", "D", "s"}:
        return True
    if {"G", "V"} <= parts:
        return bool(parts & set("uwaA"))
    month = bool(parts & set("mbBh"))
    return bool(parts & {"Y", "y"}) and ("j" in parts or month or not parts & {"d", "e"})
