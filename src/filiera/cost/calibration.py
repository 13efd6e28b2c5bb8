"""How good the forecasts were: the share of actual times inside their bands, and how far off the medians."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: What the band from the 10th to the 90th percentile should hold.
AIM_SHARE = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecasted:
    """One step's forecast beside what it took."""

    asset: str
    operation: str
    p10_s: float
    expected_s: float
    p90_s: float
    actual_s: float
    guess: bool

    @property
    def inside(self) -> bool:
        """Whether the actual time lies in the band."""
        return self.p10_s <= self.actual_s <= self.p90_s


def calibration(records: Sequence[Forecasted]) -> dict[str, Any]:
    """`filiera.calibration/1`: guesses are counted, but not judged."""
    operations = sorted({record.operation for record in records})
    judged = [record for record in records if not record.guess]
    return {
        "schema": "filiera.calibration/1",
        "aim": AIM_SHARE,
        "forecasts": len(judged),
        "guesses": len(records) - len(judged),
        **_judge(judged),
        "operations": {
            name: {"forecasts": len(own := [r for r in judged if r.operation == name]), **_judge(own)}
            for name in operations
        },
    }


def _judge(records: Sequence[Forecasted]) -> dict[str, Any]:
    if not records:
        return {"inside": None, "below": None, "above": None, "ratio": None}
    count = len(records)
    return {
        "inside": sum(record.inside for record in records) / count,
        "below": sum(record.actual_s < record.p10_s for record in records) / count,
        "above": sum(record.actual_s > record.p90_s for record in records) / count,
        "ratio": statistics.median(record.actual_s / max(record.expected_s, 1e-9) for record in records),
    }


def calibration_text(report: dict[str, Any]) -> str:
    """The report for people."""
    if not report["forecasts"]:
        return f"no forecast to judge yet ({report['guesses']} guesses: fewer than three earlier runs)"
    lines = [f"  {'':8} forecasts   inside band   below   above   actual/expected"]
    rows = {"all": report, **report["operations"]}
    for name, part in rows.items():
        if part["forecasts"]:
            shares = f"{part['inside']:11.0%}   {part['below']:5.0%}   {part['above']:5.0%}"
            lines.append(f"  {name:8} {part['forecasts']:9}   {shares}   {part['ratio']:.2f}")
    return "\n".join([*lines, f"  aim: {report['aim']:.0%} inside; {report['guesses']} guesses are not judged"])
