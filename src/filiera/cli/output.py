"""Text for terminals: aligned tables and short numbers; the same values as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click


def show_json(value: Any) -> None:
    """Print one JSON object."""
    click.echo(json.dumps(value, indent=2, default=str))


def show_table(rows: Iterable[Sequence[Any]], header: Sequence[str]) -> None:
    """Print rows in aligned columns; numbers to the right."""
    cells = [[_text(value) for value in row] for row in rows]
    numeric = [all(_is_number(row[i]) for row in cells) and bool(cells) for i in range(len(header))]
    widths = [max(len(name), *(len(row[i]) for row in cells)) if cells else len(name) for i, name in enumerate(header)]

    def line(parts: Sequence[str]) -> str:
        placed = [p.rjust(w) if n else p.ljust(w) for p, w, n in zip(parts, widths, numeric, strict=True)]
        return "  ".join(placed).rstrip()

    click.echo(line(list(header)))
    for row in cells:
        click.echo(line(row))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _is_number(text: str) -> bool:
    return text == "" or text.replace(",", "").replace(".", "").lstrip("-").replace("e-", "").isdigit()


def money(value: dict[str, Any]) -> str:
    """`0.131 EUR` of the JSON form of money."""
    from filiera.core.money import Money

    return str(Money.of(f"{value['amount']} {value['currency']}"))
