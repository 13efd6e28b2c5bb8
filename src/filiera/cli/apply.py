"""`filiera apply`: do what the plan says."""

from __future__ import annotations

import sys

import click

from filiera.cli.opened import open_project


@click.command("apply")
@click.option("--environment", default="dev", show_default=True)
@click.option("--trials", type=click.IntRange(min=1), help="upper limit of trials for this run")
@click.option("--set", "overrides", multiple=True, metavar="ASSET.SETTING=VALUE", help="a setting of this run only")
@click.option("--plan", "plan_key", metavar="KEY", help="do this plan, or nothing if it does not hold any more")
@click.option("--json", "as_json", is_flag=True, help="print the report as one JSON object")
@click.pass_obj
def command(
    project: str | None,
    environment: str,
    trials: int | None,
    overrides: tuple[str, ...],
    plan_key: str | None,
    as_json: bool,
) -> None:
    """Ingest, compute and train what changed, and nothing else.

    May be killed at any moment and run again.

    Exit status: 0; 1 a step failed; 4 another apply runs, or the plan is stale; 7 a file was refused.
    """
    from filiera.cli.output import show_json
    from filiera.cli.progress import progress
    from filiera.core.progress import Silent
    from filiera.dimensions.overrides import parse_overrides

    settings = parse_overrides(overrides)
    with open_project(project) as workspace:
        if as_json:
            report = workspace.apply(environment, progress=Silent(), trials=trials, overrides=settings, plan=plan_key)
            show_json(report.to_json())
        else:
            with progress() as shown:
                report = workspace.apply(environment, progress=shown, trials=trials, overrides=settings, plan=plan_key)
            click.echo(report.to_text())
    if report.failure is not None:
        sys.exit(report.failure.exit_status)
    if report.refused:
        sys.exit(report.refused[0][1].exit_status)
