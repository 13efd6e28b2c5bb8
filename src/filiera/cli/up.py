"""`filiera up`: collect, follow and serve."""

from __future__ import annotations

import click

from filiera.cli.opened import open_project


@click.command("up")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="on loopback; 0 = any")
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(min=0.2),
    default=5.0,
    show_default=True,
    help="seconds between looks for events",
)
@click.option("--no-collect", is_flag=True, help="serve only: look for no events")
@click.pass_obj
def command(project: str | None, port: int, every_s: float, no_collect: bool) -> None:
    """Take in new files, keep the tables of prod fresh, and serve the released models, until stopped.

    In dev it does what [automation] in filiera.toml allows; `filiera events` tells what, and what waits for you.

    Listens on loopback only. Exit status: 0; 4 it is up already; 6 the port is taken.
    """
    from filiera.server.up import serve

    with open_project(project) as workspace:
        serve(workspace, port=port, every_s=None if no_collect else every_s, say=lambda text: click.echo(text))
