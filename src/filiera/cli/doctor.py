"""`filiera doctor`: check this machine and project."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="print one JSON list")
@click.pass_obj
def command(project: str | None, as_json: bool) -> None:
    """Versions, settings, ledger, space, modes, key, sources and protection, and what to do about each finding.

    Runs without a project, and in a project that cannot be opened. Exit status: 0; 1 when something is wrong.
    """
    from filiera.cli.output import show_json
    from filiera.doctor import ERROR, diagnose
    from filiera.workspace import key_file

    findings = list(diagnose(_root(project), lambda ledger: key_file(os.environ, ledger)))
    if as_json:
        show_json([finding.to_json() for finding in findings])
    else:
        for finding in findings:
            click.echo(f"  {finding.status:8}{finding.name}: {finding.found}")
            if finding.next:
                click.echo(f"          {finding.next}")
    if any(finding.status == ERROR for finding in findings):
        sys.exit(1)


def _root(project: str | None) -> Path | None:
    """The project that is named, or the one here or above, if there is one."""
    from filiera.errors import NotFoundError
    from filiera.places import find_root

    try:
        return find_root(Path(project or ".").resolve())
    except NotFoundError:
        if project is not None:
            raise
        return None
