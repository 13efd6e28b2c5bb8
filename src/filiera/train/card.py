"""The facts of a model version, for people; nothing here is written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from filiera.clock import rfc3339
from filiera.core.asset import Model
from filiera.core.model import ModelVersion
from filiera.core.snapshot import Snapshot
from filiera.core.trial import Baseline, Trial
from filiera.runner.matrix import Matrix, Window


def card(
    model: Model, snapshot: Snapshot, matrix: Matrix, windows: Sequence[Window], number: int, fitted: Mapping[str, Any]
) -> dict[str, Any]:
    """What a version predicts, from which rows, and how it was tried.

    Args:
        model: its definition.
        snapshot: the rows it was trained on.
        matrix: the same, without those that have no target.
        windows: it was scored on.
        number: of the version.
        fitted: what `filiera.runner.fit.refit` answered.
    """
    timed = snapshot.time is not None
    spans = [[rfc3339(window.test_low), rfc3339(window.test_high)] for window in windows]
    return {
        "model": f"{model.name}@{number}",
        "predicts": model.predicts,
        "unit": unit_of(snapshot, model.predicts),
        "key": [name for name in snapshot.key if name != snapshot.time],
        "time": snapshot.time,
        "table": snapshot.table,
        "snapshot": snapshot.number,
        "rows": len(matrix.y),
        "rows_without_target": matrix.header["dropped"],
        "windows": spans if timed else len(windows),
        "trained_on": [rfc3339(fitted["train_low_us"]), rfc3339(fitted["train_high_us"])] if timed else "all rows",
        "trained_rows": fitted["rows"],
        "notes": list(fitted["warnings"]),
    }


def metrics(model: Model, winner: Trial, baseline: Baseline, trials: Sequence[Trial]) -> dict[str, Any]:
    """The winner's score and the best baseline's, on the same windows, and what the search took."""
    return {
        "score": model.score,
        "value": winner.score,
        "window_scores": list(winner.window_scores),
        "baseline": baseline.name,
        "baseline_value": baseline.score,
        "baseline_window_scores": list(baseline.window_scores),
        "trials": len(trials),
        "spent_nano": sum(trial.cost_nano for trial in trials),
    }


def summary(version: ModelVersion, used: int, limit: int, reason: str, *, stays: bool = False) -> str:
    """One line: the score against the baseline, and where the search ended."""
    unit, found = f" {version.card['unit']}" if version.card["unit"] else "", version.metrics
    return (
        f"{version.label}{' stays' if stays else ''}: {found['score']} {found['value']:.4g}{unit} (baseline "
        f"{found['baseline']} {found['baseline_value']:.4g}), {used} of at most {limit} trials: {reason}"
    )


def unit_of(snapshot: Snapshot, column: str) -> str | None:
    """The unit of a column; None when it has none."""
    return next((c.get("unit") for c in snapshot.schema if c["name"] == column), None)
