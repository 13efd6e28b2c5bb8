"""`filiera graph`: every asset with what the plan would do to it, as text or SVG."""

from __future__ import annotations

from pathlib import Path

import click

from filiera.cli.opened import open_project


@click.command("graph")
@click.option("--environment", default="dev", show_default=True)
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="write a picture to this file")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
@click.pass_obj
def command(project: str | None, environment: str, svg: Path | None, as_json: bool) -> None:
    """Sources, tables and models, what each reads, and what the plan would do to it."""
    from filiera.cli.output import show_json
    from filiera.core.graph_view import graph_svg, graph_text

    with open_project(project) as workspace:
        view = workspace.graph(environment)
    if svg is not None:
        svg.write_text(graph_svg(view), encoding="utf-8")
        click.echo(f"{svg} shows {sum(map(len, view['layers']))} assets, coloured by what the plan would do")
    elif as_json:
        show_json(view)
    else:
        click.echo(graph_text(view))
