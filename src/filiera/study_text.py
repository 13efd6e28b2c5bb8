"""A study as text for people: where and why it stopped, the best trials, and what each bit of accuracy cost."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import Any

from filiera.core.money import Money
from filiera.core.text_table import text_table

SHOWN = 10  #: best trials


class StudyReport(dict[str, Any]):
    """`filiera.study/1`; shows itself as text in a notebook."""

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(study_text(self, SHOWN))}</pre>"


def study_text(study: Mapping[str, Any], shown: int) -> str:
    """The report of a study with its best trials.

    Args:
        study: as of `filiera.study/1`.
        shown: how many of the best trials.
    """
    return "\n".join([*_head(study), *_trials(study, shown), *_frontier(study)])


def _head(study: Mapping[str, Any]) -> Iterator[str]:
    unit, count = study["unit"] or "", len(study["trials"])
    ended = f", {study['capped']} ended for their price" if study["capped"] else ""
    yield f"{study['model']}: {count} trials, {study['failed']} failed{ended}, spent {_money(study['spent'])}"
    yield f"stopped: {study['stop']}"
    if study["worth"]:
        yield f"worth: {study['worth']}"
    for baseline in study["baselines"]:
        yield f"  baseline {baseline['name']:12} {baseline['score']:.4g} {unit}".rstrip()


def _trials(study: Mapping[str, Any], shown: int) -> Iterator[str]:
    scored = [trial for trial in study["trials"] if trial["score"] is not None]
    best = sorted(scored, key=lambda trial: trial["score"])[:shown]
    if best:
        rows = [
            (t["number"], f"{t['score']:.4f}", t["origin"], f"{t['seconds']:.2f}", _money(t["cost"]), _settings(t))
            for t in best
        ]
        header = ("trial", f"score {study['unit'] or ''}".strip(), "from", "seconds", "cost", "settings")
        yield f"\n{text_table(rows, header)}"


def _frontier(study: Mapping[str, Any]) -> Iterator[str]:
    frontier = study["frontier"]
    if not frontier.get("points"):
        return
    rows = [
        (p["trials"], f"{p['cost_nano'] / 1e9:.4g} {study['currency']}", f"{p['score']:.4f}")
        for p in frontier["points"]
    ]
    yield "\nbest so far, at each improvement:"
    yield text_table(rows, ("trials", "spent", f"score {study['unit'] or ''}".strip()))
    yield frontier["text"]
    if frontier.get("stop_points"):
        stops = ", ".join(f"{value}: {trials} trials" for value, trials in frontier["stop_points"].items())
        yield f"had the worth been V/3, V or 3V, it would have stopped after {stops}"


def _settings(trial: Mapping[str, Any]) -> str:
    return " ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in trial["settings"].items()
    )


def _money(value: Mapping[str, Any]) -> str:
    return str(Money.of(f"{value['amount']} {value['currency']}"))
