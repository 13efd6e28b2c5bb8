"""`filiera demo`: the wind-farm story."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("demo")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default="demo")
def command(folder: Path) -> None:
    """Play three arrivals of real wind-farm data in FOLDER (default: demo): ingest, plan, train, release, serve.

    Takes about two minutes on two cores. A folder that the demo made itself is made anew. Exit status: 0; 4 the folder
    is somebody else's.
    """
    from filiera.cli.progress import progress
    from filiera.demo import play

    with progress() as shown:
        play(folder.absolute(), click.echo, shown)
