"""`filiera apply`: do what the plan says."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from filiera.clock import SystemClock
from filiera.errors import FilieraError

if TYPE_CHECKING:
    from filiera.dimensions.apply import ApplyReport
    from filiera.workspace import Workspace


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
    from filiera.dimensions.stamp import recall
    from filiera.places import find_root

    root = find_root(Path(project or ".").resolve())
    plain = trials is None and not overrides and plan_key is None
    answer = recall(root, environment, SystemClock().now_us()) if plain else None
    if answer is not None and answer["apply"] is not None:
        click.echo(json.dumps(answer["apply"]["report"], indent=2) if as_json else answer["apply"]["text"])
        return
    from filiera.dimensions.runtime import engine_of
    from filiera.settings import load

    with engine_of(load(root)) as engine:
        engine.launch()  # its process loads its libraries while this one loads its own
        from filiera.dimensions.overrides import parse_overrides
        from filiera.workspace import Workspace

        how = {"trials": trials, "overrides": parse_overrides(overrides), "plan": plan_key}
        with Workspace.open(root, engine=engine) as workspace:
            report = _apply(workspace, environment, how, as_json=as_json)
    if report.failure is not None:
        sys.exit(report.failure.exit_status)
    if report.refused:
        sys.exit(report.refused[0][1].exit_status)


def _apply(workspace: Workspace, environment: str, how: dict[str, Any], *, as_json: bool) -> ApplyReport:
    from filiera.cli.output import show_json
    from filiera.cli.progress import progress
    from filiera.core.progress import Silent

    if as_json:
        report = workspace.apply(environment, progress=Silent(), **how)
        show_json(report.to_json())
    else:
        with progress() as shown:
            report = workspace.apply(environment, progress=shown, **how)
        click.echo(report.to_text())
    with contextlib.suppress(FilieraError):  # what is wrong with the plan is for `plan` to say
        workspace.plan_answer(environment)  # remembered, so that the next plan or apply need not look again
    return report
