"""Rows and model of the memory benchmark: a million minutes of fifty features, and a linear model by gradient descent.

The model goes over the rows block by block and never copies them, so what its study holds in memory is the rows and
the platform. The benchmark's folder is the source bundle of the study; this module is its pipeline.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

WORKERS = 2
ROWS, FEATURES = 1_000_000, 50
NAMES = [f"f{number}" for number in range(FEATURES)]
MINUTE_US, DAY_US = 60_000_000, 86_400_000_000
BLOCK, PASSES = 8_192, 3


class BlockDescent:
    """Least squares with shrinkage."""

    def __init__(self, rate: float, shrink: float) -> None:
        self.rate, self.shrink = rate, shrink

    def fit(self, x: np.ndarray, y: np.ndarray) -> BlockDescent:
        """Go over the rows a few times."""
        self.weights = np.zeros(x.shape[1])
        for _ in range(PASSES):
            for start in range(0, len(y), BLOCK):
                block = x[start : start + BLOCK]
                error = block @ self.weights - y[start : start + BLOCK]
                self.weights -= self.rate * (block.T @ error / len(error) + self.shrink * self.weights)
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """One value a row."""
        return x @ self.weights


def descent(rows: np.ndarray, *, rate: float, shrink: float) -> BlockDescent:  # noqa: ARG001
    """The model function."""
    return BlockDescent(rate, shrink)


def columns() -> dict[str, np.ndarray]:
    """The features, 400 MB, and the target `y`."""
    draw = np.random.default_rng(7)
    found = {name: draw.standard_normal(ROWS) for name in NAMES}
    return found | {"y": sum(found.values()) / 7 + draw.standard_normal(ROWS)}


def say(**facts: Any) -> None:
    """Tell the benchmark, which watches this process, what begins or has ended."""
    print(json.dumps(facts), flush=True)
