"""Refuses inputs that already hold the answer."""

from __future__ import annotations

import numpy as np

from filiera.errors import ContractError
from filiera.runner.matrix import Floats, Matrix

#: Steps into the future of the same device that are looked at.
STEPS = 12
#: Share of the rows that must agree, and how near, as a share of the target's spread.
AGREEING_SHARE = 0.999
TOLERANCE = 1e-6
LEAST_ROWS = 30
MOST_ROWS = 200_000  #: the newest rows tell enough


def refuse_leakage(matrix: Matrix) -> None:
    """Nothing, when no input is the target, an affine copy of it, or its future.

    Raises:
        ContractError: `train.leakage`, with the input and the evidence.
    """
    newest = slice(max(0, len(matrix.y) - MOST_ROWS), None)
    device = matrix.device[newest]
    order = np.argsort(device, kind="stable")
    target, series = matrix.y[newest][order], device[order]
    for place, name in enumerate(matrix.features):
        values = matrix.x[newest, place][order]
        for step in range(STEPS + 1):
            same = series[: len(series) - step] == series[step:]
            formula = _copies(values[: len(values) - step][same], target[step:][same])
            if formula:
                raise _leak(name, matrix.header["target"], step, formula)


def _copies(values: Floats, target: Floats) -> str:
    """How the target follows from the values, or nothing."""
    known = np.isfinite(values)
    values, target = values[known], target[known]
    if len(values) < LEAST_ROWS:
        return ""
    spread = float(np.std(target))
    if spread == 0 or np.std(values) == 0:
        return ""
    moving = np.r_[True, target[1:] != target[:-1]]  # a target that stands still equals its own future without any leak
    if moving.sum() < LEAST_ROWS:
        return ""
    values, target = values[moving], target[moving]
    if np.mean(np.abs(values - target) <= TOLERANCE * spread) >= AGREEING_SHARE:
        return "equal"
    if np.std(values) == 0:
        return ""
    slope, offset = np.polyfit(values / np.std(values), target, 1)
    slope = slope / np.std(values)
    if np.mean(np.abs(slope * values + offset - target) <= TOLERANCE * spread) >= AGREEING_SHARE:
        return f"target = {slope:.6g} x input {'+' if offset >= 0 else '-'} {abs(offset):.6g}"
    return ""


def _leak(name: str, target: str, step: int, formula: str) -> ContractError:
    what = f"the target {target}" if step == 0 else f"the target {target} of {step} rows later of the same device"
    return ContractError(
        "train.leakage", f"input {name} is {what}",
        expected="inputs that are known before the target is",
        found=f"{formula}, on at least {AGREEING_SHARE:.1%} of the rows",
        next=f"take {name} out of the model's inputs",
    )  # fmt: skip
