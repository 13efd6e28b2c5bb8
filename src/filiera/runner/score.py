"""How wrong predictions are, in the target's unit; lower is better."""

from __future__ import annotations

import numpy as np

from filiera.runner.matrix import Floats


def score(name: str, truth: Floats, predicted: Floats) -> float:
    """Mean absolute error ("mae") or root of the mean squared error ("rmse").

    Args:
        name: of the score.
        truth: shape (rows,), at least one row.
        predicted: shape (rows,).
    """
    error = truth - predicted
    if name == "rmse":
        return float(np.sqrt(np.mean(error * error)))
    return float(np.mean(np.abs(error)))
