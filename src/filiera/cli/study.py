"""`filiera study MODEL`: score against money."""

from __future__ import annotations

import click

from filiera.cli.opened import open_project


@click.command("study")
@click.argument("model")
@click.option("--trials", "shown", type=click.IntRange(min=0), default=10, show_default=True, help="best trials shown")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
@click.pass_obj
def command(project: str | None, model: str, shown: int, as_json: bool) -> None:
    """The newest study of a model: where and why it stopped, and what the last bit of accuracy cost."""
    from filiera.cli.output import show_json
    from filiera.study_text import study_text

    with open_project(project) as workspace:
        study = workspace.study(model)
    if as_json:
        show_json(study)
        return
    click.echo(study_text(study, shown))
