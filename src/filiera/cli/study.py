"""`filiera study MODEL`: score against money."""

from __future__ import annotations

import click

from filiera.cli.opened import open_project


@click.command("study")
@click.argument("model")
@click.option("--trials", "shown", type=click.IntRange(min=0), default=10, show_default=True, help="best trials shown")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
@click.pass_obj
def command(project: str | None, model: str, shown: int, as_json: bool) -> None:
    """The newest study of a model: where and why it stopped, and what the last bit of accuracy cost."""
    from filiera.cli.output import money, show_json, show_table

    with open_project(project) as workspace:
        study = workspace.study(model)
    if as_json:
        show_json(study)
        return
    unit, currency = study["unit"] or "", study["currency"]
    click.echo(f"{model}: {len(study['trials'])} trials, {study['failed']} failed, spent {money(study['spent'])}")
    click.echo(f"stopped: {study['stop']}")
    if study["worth"]:
        click.echo(f"worth: {study['worth']}")
    for baseline in study["baselines"]:
        click.echo(f"  baseline {baseline['name']:12} {baseline['score']:.4g} {unit}")
    best = sorted((t for t in study["trials"] if t["score"] is not None), key=lambda t: t["score"])[:shown]
    if best:
        click.echo()
        rows = [(t["number"], f"{t['score']:.4f}", t["origin"], f"{t['seconds']:.2f}", money(t["cost"]),
                 " ".join(f"{k}={_short(v)}" for k, v in t["settings"].items())) for t in best]  # fmt: skip
        show_table(rows, ("trial", f"score {unit}".strip(), "from", "seconds", "cost", "settings"))
    frontier = study["frontier"]
    if frontier.get("points"):
        click.echo("\nbest so far, at each improvement:")
        points = [
            (p["trials"], f"{p['cost_nano'] / 1e9:.4g} {currency}", f"{p['score']:.4f}") for p in frontier["points"]
        ]
        show_table(points, ("trials", "spent", f"score {unit}".strip()))
        click.echo(frontier["text"])
        if frontier.get("stop_points"):
            stops = ", ".join(f"{value}: {trials} trials" for value, trials in frontier["stop_points"].items())
            click.echo(f"had the worth been V/3, V or 3V, it would have stopped after {stops}")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
