"""Model versions for tests of serving: a real package of a small real model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.tree import DecisionTreeRegressor

from filiera.core.model import ModelVersion
from filiera.runner.package import dump_model, runtime_of

INPUTS = (
    {"name": "temp_c", "type": "float", "unit": "degC", "low": -10.0, "high": 30.0, "categories": None},
    {"name": "morning", "type": "boolean", "unit": None, "low": 0.0, "high": 1.0, "categories": None},
    {"name": "site", "type": "category", "unit": None, "low": None, "high": None, "categories": ["n", "s"]},
)


def version(number: int = 1, *, inputs: Sequence[Mapping[str, Any]] = INPUTS, name: str = "usage") -> ModelVersion:
    return ModelVersion(
        id=f"mdl_{name}_{number}", name=name, number=number, study="std_1", digest=f"sha256:{name}{number}",
        format="skops", package=None, predictions=None, inputs=tuple(inputs), settings={}, metrics={},
        train_low_us=0, train_high_us=1, runtime=runtime_of("skops"), releasable="",
        card={"predicts": "load", "unit": "kW", "key": ["device"], "time": "at", "table": "features"}, created_us=0,
    )  # fmt: skip


def package() -> bytes:
    """A tree that gives the temperature back, in whole degrees."""
    x = np.array([[float(degree), morning, site] for degree in range(100) for morning in (0, 1) for site in (0, 1)])
    return dump_model(DecisionTreeRegressor().fit(x, x[:, 0]))[1]


def facts(of: ModelVersion) -> dict[str, Any]:
    return {"format": of.format, "runtime": dict(of.runtime), "inputs": [dict(column) for column in of.inputs],
            "train_high_us": of.train_high_us, "key": ["device"], "time": "at"}  # fmt: skip
