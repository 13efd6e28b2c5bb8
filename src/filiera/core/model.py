"""Model versions: the servable artifact and the facts about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """One refitted winner of a study."""

    id: str
    name: str
    number: int  #: 1, 2, 3 ... per model; people write power@3
    study: str
    digest: str  #: of the canonical package; equal models have equal digests
    format: str  #: "skops", "lightgbm" or "xgboost"; "" = studied only, cannot be released
    package: Mapping[str, Any] | None  #: object record of the package
    predictions: Mapping[str, Any] | None  #: object record of the out-of-window predictions
    inputs: tuple[Mapping[str, Any], ...]  #: name, type, unit, low, high, categories of each feature
    settings: Mapping[str, Any]  #: chosen by the study
    metrics: Mapping[str, Any]  #: score, window scores, baselines
    train_low_us: int | None  #: first training row of the refit
    train_high_us: int | None  #: first instant after the last training row
    runtime: Mapping[str, str]  #: python, scikit-learn, numpy ... versions the package needs
    releasable: str  #: "" when it may be released, else the reason why not
    card: Mapping[str, Any]  #: facts for people
    created_us: int

    @property
    def label(self) -> str:
        """`power@3`."""
        return f"{self.name}@{self.number}"
