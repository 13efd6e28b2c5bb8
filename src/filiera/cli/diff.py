"""`filiera diff ENVIRONMENT [ENVIRONMENT]`: data, code, model and metrics side by side."""

from __future__ import annotations

import click

from filiera.cli.opened import open_project


@click.command("diff")
@click.argument("one")
@click.argument("other", default="dev")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
@click.pass_obj
def command(project: str | None, one: str, other: str, as_json: bool) -> None:
    """What differs between environment ONE and OTHER (default: dev): data, code, model, and metrics side by side."""
    from filiera.cli.output import show_json
    from filiera.explain import diff_text

    with open_project(project) as workspace:
        answer = workspace.diff(one, other)
    if as_json:
        show_json(answer)
    else:
        click.echo(diff_text(answer))
