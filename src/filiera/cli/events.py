"""`filiera events`: what happened, and what came of it."""

from __future__ import annotations

import click

from filiera.cli.opened import open_project


@click.group("events", invoke_without_command=True)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
@click.pass_context
def command(ctx: click.Context, limit: int, as_json: bool) -> None:
    """Every event and what came of it, newest first: runs, what waits for a person, and skips with their reason."""
    if ctx.invoked_subcommand is not None:
        return
    from filiera.automation.report import events_text
    from filiera.cli.output import show_json

    with open_project(ctx.obj) as workspace:
        report = workspace.events(limit)
    if as_json:
        show_json(report)
    else:
        click.echo(events_text(report))


@command.command("add", short_help="Say that the project is due, for a REASON.")
@click.argument("reason")
@click.option("--cause", type=click.IntRange(min=1), help="number of the intent whose run brought it about")
@click.pass_obj
def add(project: str | None, reason: str, cause: int | None) -> None:
    """Say that the project is due, for a REASON; steps that were parked are tried again.

    `filiera up` then does what the plan says, as far as it may. Exit status: 0; 8 no such intent.
    """
    with open_project(project) as workspace:
        number = workspace.add_event(reason, cause=cause)
    click.echo(f"event {number}; `filiera up` looks at it at once")


@command.command("approve", short_help="Let intent NUMBER run that waits for a person.")
@click.argument("number", type=click.IntRange(min=1))
@click.pass_obj
def approve(project: str | None, number: int) -> None:
    """Let intent NUMBER run that waits for a person, up to the price that was shown.

    Exit status: 0; 4 it does not wait; 8 no such intent.
    """
    with open_project(project) as workspace:
        workspace.approve(number)
    click.echo(f"intent {number} runs in `filiera up`")
