"""Text for terminals; the same values as JSON."""

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
    from filiera.core.text_table import text_table

    click.echo(text_table(rows, header))


def money(value: dict[str, Any]) -> str:
    """`0.131 EUR` of the JSON form of money."""
    from filiera.core.money import Money

    return str(Money.of(f"{value['amount']} {value['currency']}"))
