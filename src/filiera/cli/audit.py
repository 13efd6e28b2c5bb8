"""`filiera audit`: the log that cannot be quietly rewritten."""

from __future__ import annotations

import sys

import click

from filiera.cli.opened import open_project


@click.command("audit")
@click.argument("what", type=click.Choice(["verify", "log"]), default="verify")
@click.option("--checkpoint", help="NUMBER:HASH noted earlier; tells whether the log was cut off or rewritten since")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="entries of `log`")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@click.pass_obj
def command(project: str | None, what: str, checkpoint: str | None, limit: int, as_json: bool) -> None:
    """`verify` checks the whole chain and prints its head to keep as a checkpoint; `log` shows the newest entries.

    Exit status of verify: 0; 5 with the number of the first bad entry.
    """
    from filiera.cli.output import show_json, show_table
    from filiera.errors import IntegrityError

    with open_project(project) as workspace:
        if what == "log":
            entries = workspace.audit_entries(limit)
            if as_json:
                show_json(entries)
            else:
                rows = [(e["number"], e["created"][:19], e["actor"], e["action"], e["object"]) for e in entries]
                show_table(rows, ("number", "at", "actor", "action", "object"))
            return
        report = workspace.verify_audit(_checkpoint(checkpoint))
    if as_json:
        show_json(report.to_json())
        sys.exit(0 if report.ok else IntegrityError.exit_status)
    if not report.ok:
        raise IntegrityError("audit.broken", report.message, next="compare with a backup and your checkpoints")
    click.echo(f"{report.message}; checkpoint {report.entries}:{report.head}")


def _checkpoint(text: str | None) -> tuple[int, str] | None:
    from filiera.errors import UsageError

    if text is None:
        return None
    number, _, found = text.partition(":")
    if not number.isdigit() or not found.startswith("sha256:"):
        raise UsageError("audit.checkpoint", "this is no checkpoint", expected="NUMBER:sha256:...", found=repr(text))
    return int(number), found
