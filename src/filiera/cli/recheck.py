"""`filiera recheck`: the honest measure of wrong skips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from filiera.cli.opened import open_project


def _share(_context: click.Context, _option: click.Parameter, text: str) -> float:
    number = text.strip().removesuffix("%")
    try:
        share = float(number) / (100 if text.strip().endswith("%") else 1)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no share; write 1% or 0.01") from error
    if not 0 < share <= 1:
        raise click.BadParameter(f"{text!r} is not above 0 and at most 100%")
    return share


@click.command("recheck")
@click.option("--sample", default="1%", show_default=True, callback=_share, help="share of the results to make again")
@click.option("--all", "everything", is_flag=True, help="every one of them")
@click.option("--seed", type=click.IntRange(min=0), default=None, help="draw the same again; default: by chance")
@click.option("--fresh", is_flag=True, help="each with exactly its recorded libraries")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
@click.pass_obj
def command(project: str | None, sample: float, everything: bool, seed: int | None, fresh: bool, as_json: bool) -> None:
    """Make a random share of the standing results again and report every difference.

    Exit status: 0 none differs; 5 one does.
    """
    from filiera.cli.output import show_json
    from filiera.errors import IntegrityError

    with open_project(project) as workspace:
        answer = workspace.recheck(share=1.0 if everything else sample, seed=seed, fresh=fresh)
    if as_json:
        show_json(answer)
    else:
        click.echo("\n".join(_lines(answer)))
    if answer["different"]:
        raise IntegrityError(
            "recheck.different",
            f"{answer['different']} of {answer['sampled']} results do not come out as they were recorded",
            next="their traces stand above; `filiera why ASSET` says what each was made from",
        )


def _lines(answer: Mapping[str, Any]) -> list[str]:
    lines = [f"  different {item['what']} ({item['trace']}): {'; '.join(item['differences'])}"
             for item in answer["differences"]]  # fmt: skip
    lines += [f"  not checked {item['what']} ({item['trace']}): {item['why'].splitlines()[0]}"
              for item in answer["not_checked"]]  # fmt: skip
    close = f", {answer['close']} within what was declared" if answer["close"] else ""
    return [
        *lines,
        f"{answer['sampled']} of {answer['population']} results (seed {answer['seed']}): "
        f"{answer['equal']} equal{close}, {answer['different']} different, {len(answer['not_checked'])} not checked",
    ]
