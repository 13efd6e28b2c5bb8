"""`filiera gc`: free what nothing reaches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from filiera.cli.opened import open_project


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="say what would be freed and what is kept, and why")
@click.option("--restore", is_flag=True, help="put back what was freed and not deleted yet")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
@click.pass_obj
def command(project: str | None, dry_run: bool, restore: bool, as_json: bool) -> None:
    """Free the stored objects that no environment, release, hold, study or reader reaches.

    They lie in the trash for the time of `[keep] trash`; a later gc then deletes them for good.

    Exit status: 0; 4 an apply or a release is running.
    """
    from filiera.cli.output import show_json

    if dry_run and restore:
        raise click.UsageError("--dry-run and --restore exclude each other")
    with open_project(project) as workspace:
        answer = workspace.restore_freed() if restore else workspace.clean(dry_run=dry_run)
    if as_json:
        show_json(answer)
        return
    for line in _restored(answer) if restore else _lines(answer):
        click.echo(line)


def _restored(answer: Mapping[str, Any]) -> list[str]:
    return [f"put back {_sums(answer['restored'])}"] if answer["restored"]["objects"] else ["the trash is empty"]


def _lines(answer: Mapping[str, Any]) -> list[str]:
    verb = "would free" if answer["dry_run"] else "freed"
    lines = [f"  {verb} {item['asset'] or 'files':16} {_sums(item)}: {item['reason']}" for item in answer["frees"]]
    lines += [f"  keeps {item['asset'] or 'files':16} {item['outputs']}: {item['reason']}" for item in answer["keeps"]]
    if answer["deleted"]["objects"]:
        lines.append(f"  {'would delete' if answer['dry_run'] else 'deleted'} for good {_sums(answer['deleted'])}")
    if answer["trash"]["objects"]:
        lines.append(f"  in the trash {_sums(answer['trash'])}; `filiera gc --restore` puts them back")
    return lines if answer["frees"] else [*lines, f"  {verb} nothing"]


def _sums(item: Mapping[str, Any]) -> str:
    from filiera.dimensions.waiting import size_text

    return f"{item['objects']:,} object{'' if item['objects'] == 1 else 's'}, {size_text(item['size_bytes'])}"
