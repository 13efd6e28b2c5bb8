"""`filiera reproduce`: make a model or table again from the ledger alone."""

from __future__ import annotations

import click

from filiera.cli.opened import open_project


@click.command("reproduce")
@click.argument("what")
@click.option("--environment", default="dev", show_default=True, help="whose version of a table")
@click.option(
    "--fresh", is_flag=True, help="with exactly the recorded libraries, installed in an environment of its own"
)
@click.option("--anyway", is_flag=True, help="here, although the interpreter or a library is another than recorded")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
@click.pass_obj
def command(project: str | None, what: str, environment: str, fresh: bool, anyway: bool, as_json: bool) -> None:
    """Make WHAT again and compare digests: a model (power, power@2) or a table (features, features@3).

    Exit status: 0 equal, or within what was declared; 2 a source; 4 another runtime than recorded; 5 different; 8 no
    such thing, or what it needs was freed.
    """
    from filiera.cli.output import money, show_json
    from filiera.errors import IntegrityError

    if fresh:
        click.echo(
            "libraries that .filiera/runtimes does not have yet are installed first: it may take minutes", err=True
        )
    with open_project(project) as workspace:
        answer = workspace.reproduce(what, environment=environment, fresh=fresh, anyway=anyway)
    if as_json:
        show_json(answer)
    else:
        note = f": {answer['note']}" if answer["note"] else ""
        click.echo(f"{answer['what']} {answer['outcome']}{note}")
        click.echo(f"  recorded {answer['recorded']}\n  found    {answer['found']}")
        click.echo(f"  {answer['seconds']:.1f} s, {money(answer['cost'])}")
    if answer["outcome"] == "different":
        raise IntegrityError(
            "reproduce.different",
            f"{answer['what']} does not come out as it was recorded",
            found="; ".join(answer["differences"]),
            next="`filiera log` shows who made it",
        )
