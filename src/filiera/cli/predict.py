"""`filiera predict MODEL`: ask the released model."""

from __future__ import annotations

import json

import click

from filiera.cli.opened import open_project


@click.command("predict")
@click.argument("model")
@click.option("--device", "devices", multiple=True, help="by device: its newest row; may be repeated")
@click.option(
    "--record", "records", multiple=True, help="""by inputs, as JSON: '{"wind_ms": 7.2, "wind_ms_1h": 7.0}'"""
)
@click.option("--environment", default="prod", show_default=True)
@click.pass_obj
def command(
    project: str | None, model: str, devices: tuple[str, ...], records: tuple[str, ...], environment: str
) -> None:
    """Predictions of the model that an environment runs.

    Exit status: 0; 7 a record does not fit; 8 nothing is released.
    """
    from filiera.cli.output import show_json
    from filiera.errors import UsageError

    try:
        asked = [json.loads(text) for text in records]
    except ValueError as error:
        raise UsageError("predict.json", f"a record is no JSON: {error}", expected='{"column": value, ...}') from error
    with open_project(project) as workspace:
        answer = workspace.predict(model, records=asked or None, devices=list(devices) or None, environment=environment)
    show_json(answer)
