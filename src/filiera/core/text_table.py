"""Aligned tables as text: numbers to the right, short; the same values as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def text_table(rows: Iterable[Sequence[Any]], header: Sequence[str]) -> str:
    """Rows in aligned columns under their header.

    >>> print(text_table([("a", 1200)], ("name", "rows")))
    name   rows
    a     1,200
    """
    cells = [[_text(value) for value in row] for row in rows]
    numeric = [all(_is_number(row[i]) for row in cells) and bool(cells) for i in range(len(header))]
    widths = [max(len(name), *(len(row[i]) for row in cells)) if cells else len(name) for i, name in enumerate(header)]

    def line(parts: Sequence[str]) -> str:
        placed = [p.rjust(w) if n else p.ljust(w) for p, w, n in zip(parts, widths, numeric, strict=True)]
        return "  ".join(placed).rstrip()

    return "\n".join([line(list(header)), *map(line, cells)])


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _is_number(text: str) -> bool:
    return text == "" or text.replace(",", "").replace(".", "").lstrip("-").replace("e-", "").isdigit()
