"""`filiera env`: environments as branches."""

from __future__ import annotations

import click

from filiera.cli.opened import open_project


@click.group("env")
def command() -> None:
    """Try things out in an environment of your own: traces are shared, nothing is copied."""


@command.command("list")
@click.pass_obj
def list_all(project: str | None) -> None:
    """Every environment with its newest generation."""
    from filiera.cli.output import show_table

    with open_project(project) as workspace:
        found = workspace.status()["environments"]
    rows = [(e["name"], e["generation"], e["kind"], e["created"][:16], " ".join(e["assets"].values())) for e in found]
    show_table(rows, ("environment", "generation", "by", "at", "assets"))


@command.command("new")
@click.argument("name")
@click.option("--from", "origin", default="dev", show_default=True, help="where it begins")
@click.pass_obj
def new(project: str | None, name: str, origin: str) -> None:
    """A new environment NAME that begins where another stands.

    Exit status: 0; 2 it cannot be a name; 4 it is there already; 8 nothing stands in the other.
    """
    with open_project(project) as workspace:
        workspace.new_environment(name, origin=origin)
    click.echo(f"{name} stands where {origin} does; work in it with --environment {name}")


@command.command("diff", short_help="The same as `filiera diff`.")
@click.argument("one")
@click.argument("other", default="dev")
@click.pass_context
def differ(ctx: click.Context, one: str, other: str) -> None:
    """What differs between environments ONE and OTHER; the same as `filiera diff`."""
    from filiera.cli.diff import command as diff

    ctx.invoke(diff, one=one, other=other)


@command.command("delete")
@click.argument("name")
@click.pass_obj
def delete(project: str | None, name: str) -> None:
    """Close environment NAME; its history stays in the log.

    Exit status: 0; 7 dev and prod stay; 8 no such one.
    """
    with open_project(project) as workspace:
        workspace.delete_environment(name)
    click.echo(f"{name} is closed")
