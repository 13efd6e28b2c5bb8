"""What the steps compute, as plain functions of arrays; filiera's pipeline calls the same ones."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]  #: shape (rows, columns); the last column is the target
OUTLIER = 3.5  #: in the first eight columns


def inliers(rows: Matrix) -> npt.NDArray[np.bool_]:
    """Which rows stay."""
    kept: npt.NDArray[np.bool_] = (np.abs(rows[:, :8]) < OUTLIER).all(axis=1)
    return kept


def standardised(rows: Matrix, scale: float) -> Matrix:
    """Features with mean zero and deviation 1 / scale; the target as it is."""
    found = rows.copy()
    features = rows[:, :-1]
    found[:, :-1] = (features - features.mean(axis=0)) / (scale * features.std(axis=0))
    return found


def weights(rows: Matrix, ridge: float) -> Matrix:
    """Coefficients of a ridge regression."""
    features, target = rows[:, :-1], rows[:, -1]
    found: Matrix = np.linalg.solve(features.T @ features + ridge * np.eye(features.shape[1]), features.T @ target)
    return found


def mean_squared_error(rows: Matrix, coefficients: Matrix) -> float:
    """Of the target."""
    return float(np.mean((rows[:, :-1] @ coefficients - rows[:, -1]) ** 2))


def packed(coefficients: Matrix, error: float) -> bytes:
    """A zip archive of both; equal input gives equal bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("weights"), coefficients.tobytes())
        archive.writestr(zipfile.ZipInfo("score.json"), json.dumps({"mse": error}))
    return out.getvalue()
