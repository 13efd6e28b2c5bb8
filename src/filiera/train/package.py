"""Facts about a package: its digest, and the card that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from filiera.clock import rfc3339
from filiera.core.asset import Model
from filiera.core.trial import Baseline, Trial
from filiera.digest import digest
from filiera.runner.packagecheck import PackageFacts, inspect_package

__all__ = ["PackageFacts", "inspect_package", "model_card", "package_digest"]


def package_digest(package: bytes) -> str:
    """Digest of a canonical package: equal models have equal digests."""
    return digest("model", 1, package)


def model_card(
    model: Model,
    winner: Trial,
    baselines: Sequence[Baseline],
    *,
    facts: Mapping[str, Any],
    unit: str | None,
    study: Mapping[str, Any],
    owner: str = "",
    purposes: Sequence[str] = (),
) -> dict[str, Any]:
    """What a person should know before trusting the model; from facts only.

    Args:
        model: its definition.
        winner: the trial that was refitted.
        baselines: best first.
        facts: what the final fit answered.
        unit: of the target.
        study: trials, failed, stop_reason and cost of the search.
        owner: of the project.
        purposes: that the data may serve.
    """
    best = baselines[0] if baselines else None
    limits = [f"inputs outside the ranges seen in training are extrapolated: {_ranges(facts['inputs'])}"]
    limits += list(facts["warnings"])
    if not facts["format"]:
        limits.append(facts["reason"])
    return {
        "model": model.name,
        "predicts": model.predicts,
        "unit": unit,
        "inputs": [column["name"] for column in facts["inputs"]],
        "owner": owner,
        "purposes": list(purposes),
        "trained_on": {
            "rows": facts["rows"],
            "from": rfc3339(facts["train_low_us"]),
            "to": rfc3339(facts["train_high_us"]),
        },
        "score": {
            "name": model.score,
            "value": winner.score,
            "windows": list(winner.window_scores),
            "split": model.split.to_json(),
        },
        "baseline": {"name": best.name, "value": best.score} if best else None,
        "beats_baseline": bool(best and winner.score is not None and winner.score < best.score),
        "settings": dict(winner.settings),
        "study": dict(study),
        "limits": limits,
    }


def _ranges(inputs: Sequence[Mapping[str, Any]]) -> str:
    parts = []
    for column in inputs:
        if column["low"] is not None:
            unit = f" {column['unit']}" if column["unit"] else ""
            parts.append(f"{column['name']} {column['low']:g} to {column['high']:g}{unit}")
    return ", ".join(parts) or "none"
