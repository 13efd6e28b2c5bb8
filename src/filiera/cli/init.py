"""`filiera init DIR`: a new project."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command("init")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--owner", help="who answers for the project: a person or a team")
@click.option("--purpose", "purposes", multiple=True, help="what the data may be used for; may be repeated")
@click.option("--name", help="name of the project; default: the folder's")
@click.option("--currency", default="EUR", show_default=True, help="the one currency of the ledger")
@click.option("--example", help="start from a shipped example: wind")
def command(
    directory: Path, owner: str | None, purposes: tuple[str, ...], name: str | None, currency: str, example: str | None
) -> None:
    """Make a project with settings, pipeline, data folder, ledger, lake and key.

    An owner and a purpose are asked for: there is no ungoverned project.

    Exit status: 0; 2 bad values; 4 a project is there.
    """
    from filiera.project import make_project
    from filiera.workspace import Workspace

    if sys.stdin.isatty():
        owner = owner or click.prompt("Owner (a person or a team who answers for it)")
        purposes = purposes or (click.prompt("Purpose (what the data may be used for, such as power-forecast)"),)
    make_project(directory, name=name, owner=owner or "", purposes=purposes, currency=currency, example=example)
    workspace, shares = Workspace.create(directory)
    with workspace:
        click.echo(f"project {workspace.settings.project.name} in {directory}")
        click.echo(f"key file {workspace.key_path} (mode 0600): without it nobody can read the lake")
    click.echo("recovery shares, any two of which restore the key; keep them in different places:")
    for share in shares:
        click.echo(f"  {share}")
    following = "filiera plan, filiera apply" if example else "filiera adopt FILE, then filiera plan"
    click.echo(f"next: cd {directory}; {following}")
