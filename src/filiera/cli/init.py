"""`filiera init DIR`: a new project."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click


@click.command("init")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--owner", help="who answers for the project: a person or a team")
@click.option("--purpose", "purposes", multiple=True, help="what the data may be used for; may be repeated")
@click.option("--name", help="name of the project; default: the folder's")
@click.option("--currency", help="the one currency of the ledger; default: EUR")
@click.option("--example", help="start from a shipped example: wind")
def command(
    directory: Path,
    owner: str | None,
    purposes: tuple[str, ...],
    name: str | None,
    currency: str | None,
    example: str | None,
) -> None:
    """Make a project with settings, pipeline, data folder, ledger, lake and key.

    An owner and a purpose are asked for: there is no ungoverned project. In a folder that has a filiera.toml and no
    ledger yet, as a clone of a colleague's project has, only ledger, lake and key are made. Your own pipeline.py and
    .gitignore are kept.

    Exit status: 0; 2 bad values; 4 a project is there.
    """
    from filiera.errors import ConflictError
    from filiera.project import is_begun, make_project
    from filiera.workspace import Workspace

    if sys.stdin.isatty() and not is_begun(directory):
        owner = owner or click.prompt("Owner (a person or a team who answers for it)")
        purposes = purposes or (click.prompt("Purpose (what the data may be used for, such as power-forecast)"),)
    kept = make_project(directory, name=name, owner=owner or "", purposes=purposes, currency=currency, example=example)
    try:
        workspace, shares = Workspace.create(directory)
    except ConflictError as error:
        if error.code not in ("ledger.exists", "key.exists"):
            raise
        raise ConflictError(
            "project.exists",
            f"{directory} holds a project already",
            next="choose another folder; `filiera status` and `filiera doctor` tell how this one is",
        ) from error
    with workspace:
        project = workspace.settings.project
        click.echo(
            f"project {project.name} in {directory}, owned by {project.owner}, for {', '.join(project.purposes)}"
        )
        click.echo(f"key file {workspace.key_path} (mode 0600): without it nobody can read the lake")
        following = "filiera plan, filiera apply" if workspace.settings.sources else "filiera adopt FILE"
    for line in kept:
        click.echo(f"note: {line}")
    click.echo("recovery shares, any two of which restore the key; keep them in different places:")
    for share in shares:
        click.echo(f"  {share}")
    click.echo(f"next: cd {shlex.quote(str(directory))}; {following}")
