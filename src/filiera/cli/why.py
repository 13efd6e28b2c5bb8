"""`filiera why ASSET`: what made it stale, or why it was reused."""

from __future__ import annotations

import click

from filiera.cli.opened import open_project


@click.command("why")
@click.argument("asset")
@click.option("--environment", default="dev", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
@click.pass_obj
def command(project: str | None, asset: str, environment: str, as_json: bool) -> None:
    """What the plan does with ASSET and why, down to the function and the library; and what stands for it now."""
    from filiera.cli.output import show_json
    from filiera.explain import why_text

    with open_project(project) as workspace:
        answer = workspace.why(asset, environment)
    if as_json:
        show_json(answer)
    else:
        click.echo(why_text(answer))
