"""A drafted contract as text for `filiera.toml`, with its open questions as comments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from filiera.core.contract import OPEN, Column, ColumnType, Contract, FileFormat, Reading


@dataclass(frozen=True, slots=True)
class Draft:
    """What a sample file seems to promise."""

    contract: Contract
    comments: Mapping[str, str]  #: ranges seen, units to fill in, empty cells; by column
    notes: tuple[str, ...]  #: what was found
    questions: tuple[str, ...]  #: what only a person knows


def to_toml(draft: Draft, name: str, pattern: str) -> str:
    """The `[source.NAME]` tables of a draft; `settings.parse` reads them back as the same contract.

    Args:
        draft: from `examine`.
        name: of the source.
        pattern: path or glob of its files.
    """
    contract = draft.contract
    lines = [*(f"# {_one_line(note)}" for note in draft.notes), f"[source.{name}]", f"from = {_text(pattern)}"]
    lines += [f"{key} = {_value(value)}" for key, value in _source_entries(contract)]
    lines += [f"# ? {_one_line(question)}" for question in draft.questions]
    lines += ["", f"[source.{name}.columns]"]
    width = max(len(column.name) for column in contract.columns)
    for column in contract.columns:
        entries = ", ".join(f"{key} = {_value(value)}" for key, value in _column_entries(column))
        comment = draft.comments.get(column.name, "")
        tail = f"  # {_one_line(comment)}" if comment else ""
        lines.append(f"{column.name:<{width}} = {{ {entries} }}{tail}")
    return "\n".join(lines) + "\n"


def _source_entries(contract: Contract) -> list[tuple[str, Any]]:
    reading, default = contract.reading, Reading()
    entries: list[tuple[str, Any]] = [("device", contract.device), ("time", contract.time)]
    if contract.key != (contract.device, contract.time):
        entries.append(("key", list(contract.key)))
    if reading.format is not FileFormat.CSV:
        entries.append(("file_format", reading.format.value))
    for word in ("delimiter", "decimal", "encoding"):
        said = word == "delimiter" and reading.decimal == ","  # two commas are meant only where both are written
        if said or getattr(reading, word) != getattr(default, word):
            entries.append((word, getattr(reading, word)))
    if reading.null != default.null:
        entries.append(("null", [word for word in reading.null if word]))
    entries += [("on_conflict", contract.on_conflict), ("files", contract.files)]
    return [(key, value) for key, value in entries if value is not None]


def _column_entries(column: Column) -> list[tuple[str, Any]]:
    origin = column.origin[0] if len(column.origin) == 1 else list(column.origin)
    pair = None if column.low is None or column.high is None else [column.low, column.high]
    entries = [
        ("from", origin),
        ("type", None if column.type is ColumnType.FLOAT else column.type.value),
        ("unit", column.unit),
        ("from_unit", column.from_unit),
        ("range", pair),
        ("optional", column.optional or None),
        ("values", list(column.values) or None),
        ("zone", column.zone),
        ("format", column.format),
        ("fold", column.fold),
        ("class", None if column.column_class == OPEN else column.column_class),
    ]
    return [(key, value) for key, value in entries if value is not None]


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value)}]"
    return _text(value) if isinstance(value, str) else repr(value)


def _text(value: str) -> str:
    """A basic string; JSON escapes what TOML wants escaped, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _one_line(text: str) -> str:
    return "".join(mark if mark.isprintable() else " " for mark in text)
