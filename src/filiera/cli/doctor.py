"""`filiera doctor`: check this machine and project."""

from __future__ import annotations

import sys

import click

from filiera.cli.opened import open_project


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="print one JSON list")
@click.pass_obj
def command(project: str | None, as_json: bool) -> None:
    """Versions, ledger engine, space, modes and protection, and what to do about each finding.

    Exit status: 0; 1 when something is wrong.
    """
    from filiera.cli.output import show_json

    with open_project(project) as workspace:
        findings = workspace.doctor()
    if as_json:
        show_json([finding.to_json() for finding in findings])
    else:
        for finding in findings:
            click.echo(f"  {finding.status:8}{finding.name}: {finding.found}")
            if finding.next:
                click.echo(f"          {finding.next}")
    if any(finding.status == "error" for finding in findings):
        sys.exit(1)
