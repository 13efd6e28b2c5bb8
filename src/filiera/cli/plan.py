"""`filiera plan`: what changed, what must run and why, what may run, what is reused, and the price.

Exit status: 0; with --check 10 when there is work to do; else that of the error that stopped it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from filiera.clock import SystemClock

WORK_TO_DO = 10


@click.command("plan", short_help="what changed, what follows, and its price")
@click.option("--json", "as_json", is_flag=True, help="print the plan as one JSON object")
@click.option("--check", is_flag=True, help="exit with status 10 when there is work to do")
@click.option("--environment", default="dev", show_default=True)
@click.option("--set", "overrides", multiple=True, metavar="ASSET.SETTING=VALUE", help="a setting of this run only")
@click.option("--calibration", is_flag=True, help="how earlier forecasts compare with what the steps took")
@click.pass_obj
def command(
    project: str | None, as_json: bool, check: bool, environment: str, overrides: tuple[str, ...], calibration: bool
) -> None:
    """Say what changed in data, code, model and runtime, what follows from it, and what it will cost.

    Exit status: 0; with --check 10 when there is work to do.
    """
    from filiera.dimensions.stamp import ENVIRONMENT, recall
    from filiera.errors import UsageError
    from filiera.places import find_root

    if not ENVIRONMENT.fullmatch(environment):
        raise UsageError("environment.name", f"`{environment}` names no environment", expected="such as dev or prod")
    root = find_root(Path(project or ".").resolve())
    if calibration:
        _show_calibration(root, as_json)
        return
    answer = None if overrides else recall(root, environment, SystemClock().now_us())
    if answer is None:
        from filiera.dimensions.overrides import parse_overrides
        from filiera.workspace import Workspace

        with Workspace.open(root) as workspace:
            answer = workspace.plan_answer(environment, overrides=parse_overrides(overrides))
    click.echo(json.dumps(answer["plan"], indent=2) if as_json else answer["text"])
    if check and not answer["plan"]["up_to_date"]:
        sys.exit(WORK_TO_DO)


def _show_calibration(root: Path, as_json: bool) -> None:
    from filiera.cost.calibration import calibration_text
    from filiera.workspace import Workspace

    with Workspace.open(root) as workspace:
        report = workspace.calibration()
    click.echo(json.dumps(report, indent=2) if as_json else calibration_text(report))
