"""`filiera hold`: keep a snapshot or model version."""

from __future__ import annotations

import dataclasses

import click

from filiera.cli.opened import open_project


@click.command("hold")
@click.argument("label", required=False)
@click.option("--reason", default="", help="why it must stay")
@click.option("--release", is_flag=True, help="end the hold")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
@click.pass_obj
def command(project: str | None, label: str | None, reason: str, release: bool, as_json: bool) -> None:
    """Keep LABEL, such as features@3 or power@2, whatever environments do; without LABEL list what is held.

    Exit status: 0; 2 no number or no reason; 8 there is none, it was freed, or it is not held.
    """
    from filiera.cli.output import show_json, show_table
    from filiera.clock import rfc3339

    with open_project(project) as workspace:
        if label is None:
            held = workspace.holds()
            if as_json:
                show_json({"schema": "filiera.holds/1", "holds": [dataclasses.asdict(item) for item in held]})
            else:
                rows = [(item.label, item.reason, item.actor, rfc3339(item.created_us)[:16]) for item in held]
                show_table(rows, ("held", "reason", "by", "at"))
        elif release:
            workspace.release_hold(label)
            click.echo(f"{label} is not held any more")
        else:
            workspace.hold(label, reason)
            click.echo(f"{label} is held")
