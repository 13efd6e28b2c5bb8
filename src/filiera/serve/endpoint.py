"""An endpoint: one released model version in a child process of its own, kept ready.

The package was checked when it was made and is checked again by the child before it is loaded. A child that dies is
replaced and the request asked once more; one that hangs is ended, the request is refused, and the next request gets a
new child.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
#: A request waits so long for those before it.
PATIENCE_S = 10.0
PRELOAD = ("numpy", "pandas", "sklearn.ensemble", "skops.io", "filiera.runner.predict")


class NoAnswerError(UnavailableError):
    """The model did not answer in time."""

    http_status = 504


class RetiredError(UnavailableError):
    """This version is not served any more; ask its successor."""


def endpoint_engine(python: str | None) -> ProcessEngine:
    """An engine for one endpoint; started ahead, a new version takes over in a fraction of a second."""
    return ProcessEngine(1, python=python, preload=PRELOAD)


class Endpoint:
    """Answers requests for one model version; safe for several threads, one request at a time.

    Args:
        version: what is served.
        facts: what `runner.predict.load_model` needs.
        package: the model.
        engine: with one slot; the endpoint owns and closes it.
        timeout_s: a child that takes longer for one request is ended.
        patience_s: a request waits so long for those before it.
    """

    def __init__(
        self,
        version: ModelVersion,
        facts: Mapping[str, Any],
        package: bytes,
        engine: ProcessEngine,
        *,
        timeout_s: float = TIMEOUT_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        inspect_package(package, version.format)
        self.version = version
        self._facts = dict(facts)
        self._package = SharedBuffer.create([package])
        self._engine = engine
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._loaded = False  #: once it was, a new child loads it within a moment
        self._closed = False

    def warm(self) -> None:
        """Start the child and load the model, so that the first request does not wait."""
        self._ask([])

    def owns(self, engine: object) -> bool:
        """Whether this endpoint works with that engine, and will close it."""
        return self._engine is engine

    def predict(self, records: Sequence[Any], units: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Predictions of records, one each, in the target's unit: `filiera.prediction/1`.

        Raises:
            ContractError: a record does not fit the model's inputs.
            NoAnswerError: the model gave no answer in time.
            RetiredError: the endpoint was closed.
            UnavailableError: the requests before this one took too long, or no child can be started.
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
        """End the child after the request in progress; those that wait are refused. Twice is once."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._engine.close()
                self._package.close()

    def _ask(self, records: Sequence[Mapping[str, Any]]) -> list[float]:
        try:
            with self._turn():
                result = self._once(records)
                if result.lost:  # the child died, perhaps of something else: a new one is asked once more
                    result = self._once(records)
        except OSError as error:  # it takes no message
            raise self._no_answer() from error
        if result.lost or _overdue(result):
            raise self._no_answer()
        raise_failure(result, self.version.label)
        predictions: list[float] = result.value["predictions"]
        return predictions

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One request at a time; nobody waits for ever behind a model that hangs."""
        if not self._lock.acquire(timeout=self._patience_s):
            raise UnavailableError(
                "predict.busy", f"{self.version.label} is busy", found=f"no turn in {self._patience_s:g} s",
                next="try again; ask for many records in one request",
            )  # fmt: skip
        try:
            if self._closed:
                raise RetiredError("predict.retired", f"{self.version.label} is not served any more", next="try again")
            yield
        finally:
            self._lock.release()

    def _once(self, records: Sequence[Mapping[str, Any]]) -> Result:
        task = Task(
            id=f"ask-{next(self._numbers)}",
            function=PREDICT,
            arguments={"digest": self.version.digest, "facts": self._facts, "records": list(records)},
            inputs=(self._package,),
            timeout_s=self._timeout_s if self._loaded else START_TIMEOUT_S,
        )
        try:
            self._engine.submit(task)
            result = self._result_of(task)
        except BaseException:
            self._engine.cancel(task.id)  # a later request must not meet what is left of this one
            raise
        self._loaded = self._loaded or not (result.lost or _overdue(result))
        return result

    def _result_of(self, task: Task) -> Result:
        began = time.monotonic()
        while found := self._engine.wait():
            for result in found:
                if result.id == task.id:
                    return result
        return Result(id=task.id, seconds=time.monotonic() - began, lost=True)

    def _no_answer(self) -> NoAnswerError:
        return NoAnswerError(
            "predict.no_answer", f"{self.version.label} gave no answer", next="try again; if it stays so, roll back"
        )


def _overdue(result: Result) -> bool:
    return (result.error or {}).get("code") == "work.timeout"
