"""`filiera query TABLE`: rows, at any snapshot."""

from __future__ import annotations

import click

from filiera.cli.opened import open_project


@click.command("query")
@click.argument("table")
@click.option("--at", help="number of a snapshot, or a time")
@click.option("--columns", help="names, separated by commas; default: all")
@click.option("--where", multiple=True, help="a condition such as 'power_kw > 100'; may be repeated")
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True)
@click.option("--purpose", help="one of the declared purposes; needed when there are several")
@click.option("--environment", default="dev", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="one JSON object a row")
@click.pass_obj
def command(
    project: str | None,
    table: str,
    at: str | None,
    columns: str | None,
    where: tuple[str, ...],
    limit: int,
    purpose: str | None,
    environment: str,
    as_json: bool,
) -> None:
    """Rows of a source or table, sorted by time and key. Every read leaves an exposure record."""
    import json

    from filiera.cli.output import show_table

    names = [name.strip() for name in columns.split(",")] if columns else None
    with open_project(project) as workspace:
        rows = workspace.query(
            table, purpose=purpose, columns=names, where=where, at=at, limit=limit, environment=environment
        )
        hidden = workspace.masked(table, rows.column_names, at=at, environment=environment)
    if hidden:
        click.echo(f"masked, shown as empty: {', '.join(hidden)}", err=True)
    if as_json:
        for row in rows.to_pylist():
            click.echo(json.dumps(row, default=lambda value: value.isoformat()))
        return
    show_table([list(row.values()) for row in rows.to_pylist()], rows.column_names)
