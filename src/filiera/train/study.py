"""A study: trials side by side over one copy of the rows, until another one is not worth its price.

The ledger holds the state. A trial is recorded as running before it starts and ends once; whatever stops the
coordinator, the study goes on from the record: trials left running are run again under their own number.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from filiera.core.trial import Trial
from filiera.engine.failure import raise_failure
from filiera.engine.task import Engine, Result, Task
from filiera.runner.fit import fit_arguments
from filiera.train.search import Clock, Price, Progress, Rule, Search, StudyOutcome, StudyRequest

__all__ = ["Progress", "Recorder", "Refit", "StudyOutcome", "StudyRequest", "refit", "run_one", "run_study"]

#: How often the trials in flight are looked at, whether they still pay.
LOOK_S = 0.25


class Recorder(Protocol):
    """Where trials are kept; every call is one durable transaction, with the money that the trials took."""

    def add_trials(self, trials: Sequence[Trial]) -> None:
        """Record trials at their start, all or none."""
        ...

    def finish_trials(self, trials: Sequence[Trial]) -> None:
        """Record what came of running trials, all or none."""
        ...

    def interrupt_trials(self, trials: Sequence[Trial]) -> None:
        """Record what trials took that were stopped; they stay running. One that ended meanwhile is left alone."""
        ...


def _nothing(_seconds: float) -> int:
    return 0


def run_study(
    request: StudyRequest,
    engine: Engine,
    recorder: Recorder,
    *,
    rule: Rule,
    price: Price,
    final: Price = _nothing,
    earlier: Sequence[Trial] = (),
    progress: Callable[[Progress], None] = lambda _: None,
    clock: Clock = time.monotonic,
) -> StudyOutcome:
    """Search until the limit, the budget or the worth says stop.

    Args:
        request: what, on which rows, within which limits.
        engine: runs the trials; as many at a time as its capacity and the memory limit allow.
        recorder: keeps the trials.
        rule: the rule of worth, given the best score so far (None at first).
        price: nano-units of a trial of so many seconds, in proportion to them.
        final: nano-units of the final fit after a trial of so many seconds, a part of them for any; a budget keeps
            them back.
        earlier: the study's recorded trials, when it goes on.
        progress: told after every change.
        clock: seconds from any start; tells how long a trial in flight has run.

    Raises:
        WorkError: no trial came to a score, or the first five failed with the same error.
    """
    search = Search.resume(request, earlier, rule=rule, price=price, final=final, clock=clock)
    try:
        while search.running or search.stop is None:
            _launch(search, engine, recorder)
            progress(search.progress())
            if search.running:
                _take(search, engine, recorder)
    except KeyboardInterrupt:
        _cancel(search, engine)
        recorder.interrupt_trials(search.interrupt())
        return search.outcome("interrupted", "interrupted; run apply again to go on")
    except BaseException:  # whoever uses the engine next finds it idle
        _cancel(search, engine)
        raise
    search.refuse_hopeless()
    return search.outcome("done", search.stop_reason)


def _launch(search: Search, engine: Engine, recorder: Recorder) -> None:
    """Start what may start now; all starts are recorded in one transaction before the first runs."""
    started: list[Trial] = []
    fresh: list[Trial] = []
    while search.stop is None:
        free = search.slots(engine.capacity) - len(search.running)
        known = len(search.trials)
        trial = search.next_trial(free) if free > 0 else None
        if trial is None:
            break
        started.append(trial)
        if trial.number >= known:
            fresh.append(trial)
    if fresh:
        recorder.add_trials(fresh)
    for trial in started:
        running = search.running[trial.number]
        engine.submit(_trial_task(search.request, trial, running.allowance_s))
        running.began_s = search.clock()


def _take(search: Search, engine: Engine, recorder: Recorder) -> None:
    """Wait a little, record what ended, and end what does not pay any more."""
    ended = [search.ended(result) for result in engine.wait(LOOK_S)]
    if ended:
        recorder.finish_trials(ended)
        search.accept(ended)
    slow = search.too_long()
    for trial in slow:
        engine.cancel(_task_id(trial.number))
    if slow:
        recorder.finish_trials(slow)
        search.accept(slow)


def _cancel(search: Search, engine: Engine) -> None:
    for number in search.running:
        engine.cancel(_task_id(number))


@dataclass(frozen=True, slots=True)
class Refit:
    """The final fit of a study's winner."""

    facts: Mapping[str, Any]  #: what `filiera.runner.fit.refit` answers
    predictions: bytes  #: out-of-window predictions
    package: bytes  #: empty when the model cannot be packaged; `facts["reason"]` says why
    seconds: float
    cpu_seconds: float
    reads: Mapping[str, str] = field(default_factory=dict)  #: digest of each file that the fit read, by name


def refit(
    request: StudyRequest,
    engine: Engine,
    settings: Mapping[str, Any],
    range_us: tuple[int, int],
    timeout_s: float | None = None,
) -> Refit:
    """Fit the winner's settings on the newest rows and package it.

    Raises:
        WorkError: the fit failed, its process died, or it took longer than `timeout_s` (`work.timeout`).
    """
    arguments = fit_arguments(request.model, settings, request.windows) | {"range": list(range_us)}
    task = Task(
        id="refit",
        function="filiera.runner.fit:refit",
        arguments=arguments,
        inputs=(request.rows,),
        bundle=request.bundle,
        scope=request.scope,
        timeout_s=timeout_s,
    )
    result = run_one(engine, task, f"model {request.model.name}, final fit")
    outputs = [bytes(buffer.view()) for buffer in result.outputs]
    for buffer in result.outputs:
        buffer.close()
    package = outputs[1] if len(outputs) > 1 else b""
    return Refit(result.value, outputs[0], package, result.seconds, result.cpu_seconds, result.reads)


def run_one(engine: Engine, task: Task, what: str) -> Result:
    """The result of one task on an engine that runs nothing else.

    Raises:
        FilieraError: the task failed, or its process died.
    """
    engine.submit(task)
    found: list[Result] = []
    try:
        while not found:
            found = engine.wait(1.0)
    except BaseException:
        engine.cancel(task.id)
        raise
    raise_failure(found[0], what)
    return found[0]


def _trial_task(request: StudyRequest, trial: Trial, timeout_s: float | None) -> Task:
    return Task(
        id=_task_id(trial.number),
        function="filiera.runner.fit:fit_trial",
        arguments=fit_arguments(request.model, trial.settings, request.windows),
        inputs=(request.rows,),
        bundle=request.bundle,
        scope=request.scope,
        timeout_s=timeout_s,
    )


def _task_id(number: int) -> str:
    return f"trial-{number}"
