"""`filiera log [ENVIRONMENT]`: its generations."""

from __future__ import annotations

import click

from filiera.cli.opened import open_project


@click.command("log")
@click.argument("environment", default="dev")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
@click.pass_obj
def command(project: str | None, environment: str, limit: int, as_json: bool) -> None:
    """The generations of ENVIRONMENT (default: dev), newest first: author, reason, what moved, and its cost."""
    from filiera.cli.output import show_json
    from filiera.explain import log_text

    with open_project(project) as workspace:
        answer = workspace.log(environment, limit)
    if as_json:
        show_json(answer)
    else:
        click.echo(log_text(answer))
