"""An endpoint: one released model version in a child process of its own, kept ready.

The package was checked when it was made and is checked again by the child before it is loaded. A child that dies or
hangs is replaced and the request asked once more.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from filiera.core.model import ModelVersion
from filiera.engine.failure import raise_failure
from filiera.engine.memory import SharedBuffer
from filiera.engine.process import ProcessEngine
from filiera.engine.task import Result, Task
from filiera.errors import UnavailableError
from filiera.runner.packagecheck import inspect_package
from filiera.serve.schema import check_records

PREDICT = "filiera.runner.predict:predict"
TIMEOUT_S = 10.0
START_TIMEOUT_S = 60.0
PRELOAD = ("numpy", "pandas", "sklearn.ensemble", "skops.io", "filiera.runner.predict")


def endpoint_engine(python: str | None) -> ProcessEngine:
    """An engine for one endpoint; started ahead, a new version takes over in a fraction of a second."""
    return ProcessEngine(1, python=python, preload=PRELOAD)


class Endpoint:
    """Answers requests for one model version; safe for several threads.

    Args:
        version: what is served.
        facts: what `runner.predict.load_model` needs.
        package: the model.
        engine: with one slot; the endpoint owns and closes it.
    """

    def __init__(self, version: ModelVersion, facts: Mapping[str, Any], package: bytes, engine: ProcessEngine) -> None:
        inspect_package(package, version.format)
        self.version = version
        self._facts = dict(facts)
        self._package = SharedBuffer.create([package])
        self._engine = engine
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._warm = False

    def warm(self) -> None:
        """Start the child and load the model, so that the first request does not wait."""
        self._ask([])

    def predict(self, records: Sequence[Any], units: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Predictions of records, one each, in the target's unit: `filiera.prediction/1`.

        Raises:
            ContractError: a record does not fit the model's inputs.
            UnavailableError: the model gave no answer in time.
        """
        checked, warnings = check_records(self.version, records, units)
        found = self._ask(checked)
        return {
            "schema": "filiera.prediction/1",
            "model": self.version.label,
            "predicts": self.version.card["predicts"],
            "unit": self.version.card["unit"],
            "predictions": found,
            "warnings": warnings,
        }

    def close(self) -> None:
        """End the child after the request in progress."""
        with self._lock:
            self._engine.close()
            self._package.close()

    def _ask(self, records: Sequence[Mapping[str, Any]]) -> list[float]:
        with self._lock:
            result = self._once(records)
            if result.lost or (result.error or {}).get("code") == "work.timeout":
                result = self._once(records)
        if result.lost or (result.error or {}).get("code") == "work.timeout":
            raise UnavailableError(
                "predict.no_answer", f"{self.version.label} gave no answer", next="try again; if it stays so, roll back"
            )
        raise_failure(result, self.version.label)
        predictions: list[float] = result.value["predictions"]
        return predictions

    def _once(self, records: Sequence[Mapping[str, Any]]) -> Result:
        task = Task(
            id=f"ask-{next(self._numbers)}",
            function=PREDICT,
            arguments={"digest": self.version.digest, "facts": self._facts, "records": list(records)},
            inputs=(self._package,),
            timeout_s=TIMEOUT_S if self._warm else START_TIMEOUT_S,
        )
        self._engine.submit(task)
        (result,) = self._engine.wait()
        self._warm = not result.lost
        return result
