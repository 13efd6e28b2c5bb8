"""`filiera export TABLE PATH`: rows as a file."""

from __future__ import annotations

from pathlib import Path

import click

from filiera.cli.opened import open_project


@click.command("export")
@click.argument("table")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--format", "form", type=click.Choice(["csv", "parquet", "arrow"]), help="default: by the file's ending")
@click.option("--at", help="number of a snapshot, or a time")
@click.option("--columns", help="names, separated by commas; default: all")
@click.option("--where", multiple=True, help="a condition such as 'power_kw > 100'; may be repeated")
@click.option("--purpose", help="one of the declared purposes; needed when there are several")
@click.pass_obj
def command(
    project: str | None,
    table: str,
    path: Path,
    form: str | None,
    at: str | None,
    columns: str | None,
    where: tuple[str, ...],
    purpose: str | None,
) -> None:
    """Write rows as CSV, Parquet or Arrow; governed and logged like any read."""
    from filiera.errors import UsageError

    if not path.absolute().parent.is_dir():
        raise UsageError(
            "export.folder", f"{path.parent} is no folder", expected="a file in a folder that is there",
            found=str(path), next="make the folder, or choose another place",
        )  # fmt: skip
    names = [name.strip() for name in columns.split(",")] if columns else None
    with open_project(project) as workspace:
        count = workspace.export(table, path, format=form, at=at, columns=names, where=where, purpose=purpose)
    click.echo(f"{count:,} rows in {path}; the file is not sealed any more")
