"""What a model version needs to be asked: its facts, its package, its out-of-window predictions."""

from __future__ import annotations

from typing import Any

from filiera.core.model import ModelVersion
from filiera.core.snapshot import ObjectRecord
from filiera.errors import GateError
from filiera.lake.objects import LocalObjects


def facts_of(version: ModelVersion) -> dict[str, Any]:
    """The facts that `runner.predict.load_model` needs."""
    return {
        "format": version.format,
        "runtime": dict(version.runtime),
        "inputs": [dict(column) for column in version.inputs],
        "train_high_us": version.train_high_us,
        "key": list(version.card["key"]),
        "time": version.card["time"],
    }


def package_of(objects: LocalObjects, version: ModelVersion) -> bytes:
    """The package of a version.

    Raises:
        GateError: it was studied only.
    """
    if version.package is None:
        raise GateError(
            "model.studied_only",
            f"{version.label} has no package",
            found=version.releasable,
            next="choose an estimator of the list in docs/reference.md",
        )
    return objects.get(ObjectRecord(**version.package))


def predictions_of(objects: LocalObjects, version: ModelVersion) -> bytes:
    """The out-of-window predictions of a version, in the layout of `runner.matrix`."""
    assert version.predictions is not None, "every version has its out-of-window predictions"
    return objects.get(ObjectRecord(**version.predictions))
