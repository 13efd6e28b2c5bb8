"""The tables and columns that a query reads, from its syntax tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from filiera.errors import nearest
from filiera.runner.query import Query, Word, refuse


def tables(query: Query, known: Sequence[str]) -> list[str]:
    """The assets that a query reads, in the order of the text.

    Args:
        query: parsed.
        known: names of all assets that a table can read.

    Raises:
        CodeError: it names something else; says the nearest.
    """
    from sqlglot import exp

    own = {cte.alias.lower() for cte in query.tree.find_all(exp.CTE)}
    found: dict[str, int] = {}
    for table in query.tree.find_all(exp.Table):
        start = table.this.meta.get("start", 0)
        if table.name in known and table.name in own:
            raise refuse(query, start, f"`{table.name}` is a table and a name of WITH", next="rename the latter")
        if table.name.lower() in own:
            continue
        if table.name not in known or table.args.get("db"):
            raise refuse(query, start, f"`{table.sql()}` is no table of this project", next=nearest(table.name, known))
        found[table.name] = min(start, found.get(table.name, start))
    return sorted(found, key=lambda name: found[name])


def columns(query: Query, inputs: Mapping[str, Sequence[str] | None]) -> dict[str, tuple[str, ...]]:
    """The columns that a query can notice, by input; an input that is left out counts whole.

    More may be named than is read, never less: a name without table counts for every input in reach that has it.

    Args:
        query: parsed.
        inputs: columns of each; None = not known before it is computed.
    """
    from sqlglot import exp

    if any(_takes_any(word) for word in query.words):
        return {}
    placed = [table for table in query.tree.find_all(exp.Table) if table.name in inputs]
    whole = _starred(query, placed)
    made = {node.alias for node in query.tree.find_all(exp.Alias)} | {"ALL"}  # `ORDER BY ALL` looks like a column
    made |= {column.name for node in query.tree.find_all(exp.TableAlias) for column in node.args.get("columns") or ()}
    found: dict[str, tuple[str, ...]] = {}
    for name, known in inputs.items():
        stated, loose = _names(query, placed, name)
        wanted = stated | loose
        if name in whole:
            continue
        if known is not None:
            found[name] = tuple(column for column in known if column in wanted)
        elif not loose or (len(inputs) == 1 and not wanted & made):
            found[name] = tuple(sorted(wanted))
    return found


def _takes_any(word: Word) -> bool:
    """Whether a word may stand for columns that nobody names: polars takes `"*"` and `"^l.*$"` for patterns."""
    text = word.text.strip('"')
    pattern = word.text != text and (text == "*" or (text.startswith("^") and text.endswith("$")))
    return pattern or text.upper() in ("NATURAL", "COLUMNS")


def _starred(query: Query, placed: Sequence[Any]) -> set[str]:
    """Inputs of which a `*` takes every column; that of COUNT(*) takes none."""
    from sqlglot import exp

    found: set[str] = set()
    for star in query.tree.find_all(exp.Star):
        if isinstance(star.parent, exp.Count):
            continue
        of = star.parent.table.lower() if isinstance(star.parent, exp.Column) else ""
        select = star.find_ancestor(exp.Select)
        named = [table for table in placed if table.alias_or_name.lower() == of]
        found |= {t.name for t in named or placed if named or select is None or t.find_ancestor(exp.Select) is select}
    return found


def _names(query: Query, placed: Sequence[Any], asset: str) -> tuple[set[str], set[str]]:
    """Names of columns that stand with this table, and those without one where it can be meant."""
    from sqlglot import exp

    mine = [table for table in placed if table.name == asset]
    others = {table.alias_or_name.lower() for table in placed}
    others |= {node.alias.lower() for node in query.tree.find_all(exp.CTE, exp.Subquery) if node.alias}
    around = {id(table.find_ancestor(exp.Select)) for table in mine}
    stated: set[str] = set()
    loose: set[str] = set()
    for node in query.tree.find_all(exp.Column, exp.Join):
        selects = {id(select) for select in _selects(node)}
        near = bool(selects & around) or not selects  # a query sees the tables of those around it, not of those within
        if isinstance(node, exp.Join):
            loose |= {identifier.name for identifier in node.args.get("using") or () if near}
        elif node.table.lower() in {table.alias_or_name.lower() for table in mine}:
            stated.add(node.name)
        elif near and not isinstance(node.this, exp.Star) and node.table.lower() not in others:
            loose |= {node.name, node.table} - {""}
    return stated, loose


def _selects(node: Any) -> Iterator[Any]:
    from sqlglot import exp

    found = node.find_ancestor(exp.Select)
    while found is not None:
        yield found
        found = found.find_ancestor(exp.Select)
