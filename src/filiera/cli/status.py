"""`filiera status`: what is."""

from __future__ import annotations

from typing import Any

import click

from filiera.cli.opened import open_project
from filiera.cli.output import money, show_json, show_table


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
@click.pass_obj
def command(project: str | None, as_json: bool) -> None:
    """Sources with their counts, tables and models with what they come from, environments with their heads."""
    with open_project(project) as workspace:
        status = workspace.status()
    if as_json:
        show_json(status)
        return
    click.echo(f"{status['project']}, owned by {status['owner']}, for {', '.join(status['purposes'])}")
    _sources(status["sources"])
    if status["tables"]:
        click.echo()
        rows = [
            (t["name"], t["snapshot"], t["rows"], (t["low"] or "")[:10], (t["high"] or "")[:10], t["trace"])
            for t in status["tables"]
        ]
        show_table(rows, ("table", "snapshot", "rows", "from", "to", "trace"))
    if status["models"]:
        click.echo()
        models = [
            (
                model["label"],
                f"{model['score_name']} {model['score']:.4g} {model['unit'] or ''}",
                f"{model['baseline_name']} {model['baseline']:.4g}",
                model["trials"],
                "yes" if model["releasable"] else "no",
            )
            for model in status["models"]
        ]
        show_table(models, ("model", "score", "baseline", "trials", "releasable"))
    if status["environments"]:
        click.echo()
        heads = [
            (e["name"], e["generation"], e["kind"], e["created"][:16], " ".join(e["assets"].values()))
            for e in status["environments"]
        ]
        show_table(heads, ("environment", "generation", "by", "at", "assets"))
    click.echo(f"\nspent {money(status['spend']['total'])}, in the last 30 days {money(status['spend']['month'])}")


def _sources(sources: list[dict[str, Any]]) -> None:
    if not sources:
        click.echo("no source yet; `filiera adopt FILE` writes the contract of one")
        return
    rows = [
        (s["name"], s["files"], s["rows_read"], s["accepted"], s["quarantined"], s["duplicates"], s["waiting"])
        for s in sources
    ]
    show_table(rows, ("source", "files", "read", "accepted", "quarantined", "duplicates", "waiting"))
    for source in sources:
        if source["reasons"]:
            click.echo(f"  {source['name']} quarantine: " + ", ".join(f"{n} {r}" for r, n in source["reasons"].items()))
        if source["nulled"]:
            told = ", ".join(f"{count} of {name}" for name, count in source["nulled"].items())
            click.echo(f"  {source['name']} optional cells set to null: {told}")
        for refused in source["refused"]:
            click.echo(f"  refused {refused['path']}: {refused['message']}")
