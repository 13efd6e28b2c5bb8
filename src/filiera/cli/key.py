"""`filiera key restore`: the key file again, from two recovery shares."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command("key")
@click.argument("what", type=click.Choice(["restore"]), expose_value=False)
@click.pass_obj
def command(project: str | None) -> None:
    """`restore` asks for two of the three recovery shares that `filiera init` printed, and writes the key file.

    Shares are read from the terminal or from standard input, a line each, never from arguments. Exit status: 0; 4 a
    key file is there; 5 a share was mistyped, or belongs to another project.
    """
    from filiera.places import find_root
    from filiera.workspace import Workspace

    root = find_root(Path(project or ".").resolve())
    path = Workspace.restore_key(root, _share("One share"), _share("Another share"))
    click.echo(f"key file {path} is there again")


def _share(text: str) -> str:
    from filiera.errors import UsageError

    try:
        share: str = click.prompt(text)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise UsageError(
            "key.no_share", "no share was given", expected="two shares, a line each, on standard input"
        ) from None
    return share
