"""Model functions for the tests of studies, beside those of tests/unit/runner/pipelines.py."""

import os

from sklearn.linear_model import Ridge

seen = {}


def vanishes(rows, *, alpha):
    """As a segmentation fault or the kernel's out-of-memory killer would end it."""
    os._exit(1)


class Mean:
    def __init__(self, value):
        self.value = value

    def predict(self, frame):
        return [self.value] * len(frame)


def keeps_what_it_got(train, valid):
    """A trainer that shows its rows to the test."""
    seen["train"], seen["valid"] = train, valid
    return Mean(float(train[:, -1].mean()) if hasattr(train, "ndim") and not hasattr(train, "columns") else 0.0)


def ridge(rows, *, alpha=1.0):
    return Ridge(alpha=alpha)
