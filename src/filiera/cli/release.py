"""`filiera release MODEL`: move prod to a model version, through the gate."""

from __future__ import annotations

import click

from filiera.cli.opened import open_project


@click.command("release")
@click.argument("model")
@click.option("--environment", default="prod", show_default=True)
@click.option("--from", "origin", default="dev", show_default=True, help="where its tables stand, such as a branch")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
@click.pass_obj
def command(project: str | None, model: str, environment: str, origin: str, as_json: bool) -> None:
    """Release MODEL (its version that stands in --from) or MODEL@NUMBER, if every check of the gate passes.

    Checks: contract, fresh inputs, safe format, beats the baseline, beats the champion on rows that neither has seen.
    Exit status: 0; 7 refused, with every failing check and its evidence.
    """
    from filiera.cli.output import show_json
    from filiera.errors import GateError

    with open_project(project) as workspace:
        try:
            done = workspace.release(model, environment=environment, origin=origin)
        except GateError as error:
            for check in error.checks:
                click.echo(f"  {'pass' if check.passed else 'FAIL'}  {check.name}: {check.evidence}")
            raise
    if as_json:
        show_json(done)
        return
    for check in done["checks"]:
        click.echo(f"  pass  {check['name']}: {check['evidence']}")
    click.echo(f"{done['version']} runs in {environment}, generation {done['generation']} (self-released)")
