"""`filiera quarantine`: records that broke their contract, and their release."""

from __future__ import annotations

import sys

import click

from filiera.cli.opened import open_project
from filiera.cli.output import show_json


@click.command("quarantine")
@click.argument("words", nargs=-1, metavar="[SOURCE | release SOURCE]")
@click.option("--purpose", help="one of the declared purposes; needed when there are several")
@click.option("--examples", type=click.IntRange(min=0), default=3, show_default=True, help="records shown a reason")
@click.option("--json", "as_json", is_flag=True, help="print one JSON list")
@click.pass_obj
def command(project: str | None, words: tuple[str, ...], purpose: str | None, examples: int, as_json: bool) -> None:
    """Show quarantined records by reason, with their original text, file and line.

    `filiera quarantine release SOURCE` checks them again after the contract was mended.
    """
    from filiera.errors import UsageError

    release = words[:1] == ("release",)
    if len(words) != (2 if release else len(words[:1])):
        raise UsageError(
            "cli.words",
            f"`quarantine {' '.join(words)}` is not understood",
            expected="filiera quarantine [SOURCE], or filiera quarantine release SOURCE",
        )
    with open_project(project) as workspace:
        if release:
            done = workspace.quarantine_release(words[1])
            told = f"{done.accepted:,} accepted, {done.quarantined:,} again, {done.duplicates:,} duplicates"
            click.echo(f"{done.released:,} records checked again: {told}")
            for path, error in done.problems:
                click.echo(f"  not {path}: {error}")
            if done.problems and not done.released:
                sys.exit(done.problems[0][1].exit_status)
            return
        found = workspace.quarantine(words[0] if words else None, purpose=purpose, examples=examples)
    if as_json:
        show_json(found)
        return
    if not found:
        click.echo("nothing is quarantined")
    for item in found:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in item["reasons"].items())
        click.echo(f"{item['source']}  {item['path']}: {reasons}")
        for row in item["examples"]:
            place = f"line {row['line']}" if row["line"] is not None else f"record {row['record']}"
            why = " ".join(part for part in (row["reason"], row["column"], row["detail"]) if part)
            click.echo(f"  {place:>12}  {why}: {row['raw'][:100]}")
