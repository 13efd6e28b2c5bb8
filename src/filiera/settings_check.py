"""Rules of `filiera.toml` that one key alone cannot break; every complaint names file, line and what is allowed."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from filiera.core.contract import Column, ColumnType, Contract, FileFormat, Reading
from filiera.core.money import STOP, WORTH, Money, is_currency
from filiera.core.timeformat import directives, format_fault
from filiera.core.units import conversion, known_units, nearest_unit
from filiera.errors import UsageError, nearest
from filiera.tomlread import Section, shown

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_WORD = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_/.-]{0,199}")
_DURATION = re.compile(r"([0-9]{1,6})\s*(min|h|d|w)")
_MINUTES = {"min": 1, "h": 60, "d": 1440, "w": 10080}
NAME_FORM = "a letter, then letters, digits and _; lower case, at most 63; no word of Python"
WORD_FORM = "lower case letters, digits, - and _; at most 63"

_NUMBERS = (ColumnType.FLOAT, ColumnType.INTEGER)
#: Keys of a column that only some types have.
_ONLY_FOR: dict[str, tuple[ColumnType, ...]] = {
    "unit": _NUMBERS,
    "from_unit": _NUMBERS,
    "range": _NUMBERS,
    "values": (ColumnType.CATEGORY,),
    "zone": (ColumnType.TIME,),
    "format": (ColumnType.TIME,),
    "fold": (ColumnType.TIME,),
}
#: Keys of a source that only some formats have.
_NOT_IN: dict[str, tuple[FileFormat, ...]] = {
    "delimiter": (FileFormat.JSONL, FileFormat.PARQUET),
    "encoding": (FileFormat.PARQUET,),
    "max_record_bytes": (FileFormat.PARQUET,),
}
_LONGEST_NAME = 255  #: bytes of one part of a path. Source: limits.h, NAME_MAX
_CALENDAR_PARTS = 6


def duration_us(text: str) -> int:
    """Microseconds of a length of time such as `30d`.

    >>> duration_us("12h")
    43200000000

    Raises:
        ValueError: it is none; months and years have no fixed length.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("it is no length of time")
    return int(match[1]) * _MINUTES[match[2]] * 60_000_000


def is_name(text: str) -> bool:
    """Whether a source, column or model may be called so."""
    return _NAME.fullmatch(text) is not None and not keyword.iskeyword(text)


def is_word(text: str) -> bool:
    """Whether a project, purpose or environment may be called so."""
    return _WORD.fullmatch(text) is not None


def check_name(section: Section, name: str) -> None:
    """Refuse a name that cannot be a parameter of a pipeline's functions."""
    if not is_name(name):
        raise section.error(
            "", f"`{name}` cannot be a name", code="settings.bad_name", expected=NAME_FORM, found=shown(name)
        )


def check_word(section: Section, key: str, word: str, what: str) -> None:
    """Refuse a word that cannot name a project, purpose or environment."""
    if not is_word(word):
        raise section.error(
            key, f"`{word}` cannot be {what}", code="settings.bad_name", expected=WORD_FORM, found=shown(word)
        )


# ---- columns


def check_column(section: Section, column: Column) -> None:
    """Refuse keys that a column's type does not have, and keys that do not fit each other."""
    for key, kinds in _ONLY_FOR.items():
        if key in section.values and column.type not in kinds:
            raise section.error(
                key,
                f"column {column.name} is {column.type.value}, and such columns have no `{key}`",
                expected=" or ".join(f'type = "{kind.value}"' for kind in kinds),
                next=f"leave `{key}` out, or mend `type`",
            )
    if "values" in section.values and not column.values:
        raise section.error("values", "`values` allows no category at all", expected='a list such as ["on", "off"]')
    _check_units(section, column)
    _check_time(section, column)


def _check_units(section: Section, column: Column) -> None:
    if column.from_unit is None:
        return
    if column.unit is None:
        raise section.error(
            "from_unit", "`from_unit` says what the file holds, and `unit` does not say what the lake shall hold",
            expected="both, or `unit` alone", next=f'write unit = "{column.from_unit}" or one it converts to',
        )  # fmt: skip
    try:
        conversion(column.from_unit, column.unit)
    except UsageError as error:
        raise section.error(
            "from_unit", error.message, code=error.code, expected=error.expected, found=error.found, next=error.next
        ) from error


def _check_time(section: Section, column: Column) -> None:
    form = column.format
    if form is not None and (fault := format_fault(form)):
        message, advice = fault
        raise section.error(
            "format", f"`format` {message}", expected="such as %d.%m.%Y %H:%M", found=shown(form), next=advice
        )
    if len(column.origin) > _CALENDAR_PARTS and form is None:
        raise section.error(
            "from", "a time has at most six parts", expected="year, month, day, hour, minute, second, in this order"
        )
    counted = form is not None and "s" in directives(form)
    if counted and column.zone not in (None, "UTC"):
        raise section.error(
            "zone", "seconds since 1970 (%s) are UTC, whatever the clock of the site", next="leave `zone` out"
        )
    if column.fold is not None and (column.zone is None or counted or (form is not None and "%z" in form)):
        raise section.error(
            "fold", "`fold` tells two equal local hours apart, and these times are not local",
            expected="`zone`, and times without offset", next="leave `fold` out, or set `zone`",
        )  # fmt: skip


def unit_of(section: Section, key: str) -> str | None:
    """A unit that filiera knows, or None where none is written."""
    unit: str | None = section.text(key, None)
    if unit is not None and unit not in known_units():
        raise section.error(
            key,
            f"`{unit}` is no unit that filiera knows",
            code="settings.unknown_unit",
            expected="a code such as kW, m/s, degC, hPa, or 1 for a plain number",
            found=shown(unit),
            next=nearest_unit(unit),
        )
    return unit


def zone_of(section: Section) -> str | None:
    """A time zone that the machine knows, or None where none is written."""
    zone: str | None = section.text("zone", None)
    if zone is not None and zone not in _zones():
        raise section.error(
            "zone",
            f"`{zone}` is no time zone",
            found=shown(zone),
            expected="an IANA name such as Europe/Paris, or UTC",
            next=nearest(zone, _zones()) if len(nearest(zone, _zones())) < _LONGEST_NAME else "see `timedatectl`",
        )
    return zone


@cache
def _zones() -> frozenset[str]:
    from zoneinfo import available_timezones

    return frozenset(available_timezones()) - {"Factory", "localtime"}  # these two say nothing on another machine


def range_of(section: Section) -> tuple[float | None, float | None]:
    """Least and greatest value, or two None where no range is written."""
    pair = section.raw("range", None)
    if pair is None:
        return None, None
    numbers = isinstance(pair, list) and len(pair) == 2 and all(type(value) in (int, float) for value in pair)
    if not numbers or not all(abs(value) < math.inf for value in pair) or not pair[0] <= pair[1]:
        raise section.error(
            "range", "`range` is no range", expected="[least, greatest], both finite numbers", found=shown(pair)
        )
    return float(pair[0]), float(pair[1])


# ---- sources


def check_pattern(section: Section, pattern: str) -> None:
    """Refuse a `from` that cannot name files of a source; an address is never repeated, it may hold a password."""
    if fault := pattern_fault(pattern):
        message, advice = fault
        found = "" if "://" in pattern else shown(pattern)
        raise section.error("from", f"`from` {message}", expected="a path or glob of files", found=found, next=advice)


def pattern_fault(pattern: str) -> tuple[str, str] | None:
    """What is wrong with a path or glob, and what to do; None where it can name files.

    >>> pattern_fault("data/*.csv") is None
    True
    >>> pattern_fault("data/**.csv")[1]
    'write **/*.csv for files in folders below'
    """
    parts = pattern.split("/")
    if "://" in pattern:
        return "is an address on a network", "copy the files into the data folder first; sources are files"
    if not pattern.strip() or "\0" in pattern:
        return "names no file", "write a path or glob, such as data/*.csv"
    if re.match(r"[A-Za-z]:[\\/]", pattern) or pattern.startswith("\\\\"):
        return "is a path of Windows", "write it as this machine sees it, with /, such as /mnt/c/data/*.csv"
    if pattern.startswith("~"):
        return "begins with ~, which is not expanded here", "write the whole path"
    if any("**" in part and part != "**" for part in parts):
        return "has ** inside a name", "write **/*.csv for files in folders below"
    if parts[-1] in ("", ".", "..", "**"):
        return "names a folder", f"name its files: {pattern.rstrip('/.*') or '.'}/*.csv"
    if any(len(part.encode(errors="surrogateescape")) > _LONGEST_NAME for part in parts):
        return "has a part that is longer than a name can be", f"use at most {_LONGEST_NAME} bytes between two /"
    return None


def check_reading(section: Section, reading: Reading) -> None:
    """Refuse marks that cannot delimit fields, and keys that a format does not have."""
    for key, formats in _NOT_IN.items():
        if key in section.values and reading.format in formats:
            raise section.error(key, f"{reading.format.value} files have no `{key}`", next=f"leave `{key}` out")
    mark = reading.delimiter
    if len(mark) != 1 or not mark.isascii() or mark.isalnum() or mark in '"\r\n\0.+-':
        raise section.error(
            "delimiter", "`delimiter` cannot tell fields apart", expected=r'one mark, such as "," ";" "|" or "\t"',
            found=shown(mark),
        )  # fmt: skip
    if reading.decimal == "," == mark and "delimiter" not in section.values:
        raise section.error(
            "decimal", "`decimal` and the delimiter are both a comma", expected='delimiter = ";" beside decimal = ","',
            next='if the file quotes its numbers ("3,5") and its fields are told apart by commas, say so: '
            'delimiter = ","',
        )  # fmt: skip


def check_key(section: Section, contract: Contract) -> None:
    """Refuse keys that name no column, or one twice, and a key whose cells may be empty."""
    kinds = {column.name: column for column in contract.columns}
    for word, used in (("device", contract.device), ("time", contract.time), *(("key", k) for k in contract.key)):
        if used is not None and used not in kinds:
            raise section.error(
                word, f"`{word}` names a column that is not declared", expected=", ".join(kinds), found=shown(used),
                next=nearest(used, kinds),
            )  # fmt: skip
    word = "key" if "key" in section.values else "device"
    if not contract.key or len(set(contract.key)) < len(contract.key):
        fault = "names a column twice" if contract.key else "names no column"
        raise section.error(word, f"the key {fault}", expected="different columns that tell rows apart")
    if contract.time is not None and kinds[contract.time].type is not ColumnType.TIME:
        raise section.error("time", f"column {contract.time} is not of type time", expected='type = "time"')
    loose = next((name for name in contract.key if kinds[name].optional), None)
    if loose is not None:
        raise section.below("columns", loose).error(
            "optional", f"column {loose} is in the key, so no cell of it may be empty", next="leave `optional` out"
        )


# ---- project, models and prices


def check_owner(section: Section, owner: str) -> None:
    """Refuse an owner without a name, or with line breaks and the like in it."""
    if fault := owner_fault(owner):
        raise section.error("owner", fault, expected="a person or team who answers for the project, in one line")


def owner_fault(owner: str) -> str:
    """What is wrong with the name of an owner; empty where nothing is."""
    if not owner.strip():
        return "the owner is empty"
    return "" if owner.isprintable() else "the owner's name holds marks that cannot be printed, such as a line break"


def check_currency(section: Section, currency: str) -> None:
    """Refuse what is no currency code."""
    if not is_currency(currency):
        raise section.error(
            "currency", f"`{currency}` is no currency", expected="three capital letters of ISO 4217, such as EUR"
        )


def check_budget(section: Section, budget: Money | None, currency: str) -> None:
    """Refuse a budget in another currency than the ledger's, or below 0."""
    if budget is not None and budget.currency != currency:
        raise section.error("budget", f"the budget is not in {currency}", expected=f"an amount in {currency}")
    if budget is not None and budget.nano < 0:
        raise section.error("budget", "the budget is below 0", expected="0 or more", found=str(budget))


def check_amount(section: Section, key: str, money: Money | None, currency: str) -> None:
    """Refuse an amount in another currency than the ledger's, or below 0."""
    if money is not None and (money.currency != currency or money.nano < 0):
        raise section.error(
            key, f"`{key}` is no amount in {currency}", expected=f"such as '1 {currency}'", found=str(money)
        )


def check_ref(section: Section, ref: str | None) -> None:
    """Refuse what cannot name a commit. Source: git-check-ref-format(1); a leading - would be an option of git."""
    if ref is not None and not _REF.fullmatch(ref):
        raise section.error("ref", "`ref` names no commit", expected="a branch or tag, such as main", found=shown(ref))


def check_python(section: Section, python: str | None) -> None:
    """Refuse a path that cannot be one; whether the interpreter is there shows when it is needed."""
    if python is not None and (not python.strip() or "\0" in python):
        raise section.error("python", "`python` names no interpreter", expected="a path such as .venv/bin/python")


def check_worth(section: Section, worth: str | None, stop: str | None, currency: str) -> None:
    """Refuse a worth that says no worth, or says it in another currency than the ledger's."""
    if worth is not None and stop is not None:
        raise section.error("stop", "`worth` and `stop` say the same thing twice", expected="one of them")
    for key, text, form, example, place in (
        ("worth", worth, WORTH, f"20 {currency} per kW per month", 2),
        ("stop", stop, STOP, f"0.1 kW costs more than 5 {currency}", 4),
    ):
        if text is None:
            continue
        match = form.match(text)
        if not match or (key == "stop" and float(match[1]) == 0) or len(text) > _LONGEST_NAME:
            raise section.error(key, f"`{key}` is not understood", expected=f'"{example}"', found=shown(text))
        if match[place] != currency:
            raise section.error(key, f"`{key}` is not in {currency}", expected=f'"{example}"', found=shown(text))


def check_prices(section: Section, known: Collection[str]) -> Mapping[str, Any]:
    """The prices that were written; each a finite number of at least 0."""
    for name in known:
        section.number(name, None, least=0)
    section.finish()
    return dict(section.values)
