"""`filiera rollback`: move prod back."""

from __future__ import annotations

import click

from filiera.cli.opened import open_project


@click.command("rollback")
@click.option("--environment", default="prod", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
@click.pass_obj
def command(project: str | None, environment: str, as_json: bool) -> None:
    """Move an environment back to before its last release, in one transaction.

    Exit status: 0; 4 nothing to go back to.
    """
    from filiera.cli.output import show_json

    with open_project(project) as workspace:
        done = workspace.rollback(environment)
    if as_json:
        show_json(done)
    else:
        models = ", ".join(done["models"]) or "no model"
        click.echo(f"{environment} is back at generation {done['to']} (now {done['generation']}): {models}")
