"""A study: trials side by side over one copy of the rows, until another one is not worth its price.

The ledger holds the state. A trial is recorded as running before it starts and ends once; whatever stops the
coordinator, the study goes on from the record: trials left running are run again under their own number.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from filiera.core.asset import Model
from filiera.core.trial import Trial, TrialState
from filiera.engine.failure import raise_failure
from filiera.engine.memory import SharedBuffer
from filiera.engine.task import Engine, Result, Task
from filiera.errors import WorkError
from filiera.runner.matrix import Window
from filiera.train import worth
from filiera.train.propose import default_settings, fit_to_space, may_propose, propose

NANO = 10**9
#: So many trials, all failing with one error, are a broken function and no bad luck.
FAILURES_IN_A_ROW = 5
#: The noise of scores is read off so many of the best trials.
LEADING = 5
#: An improvement that needs so many trials is not to be expected.
HOPELESS_TRIALS = 10_000
#: Recent trials tell what the next one costs.
RECENT = 20


class Recorder(Protocol):
    """Where trials are kept; every call is one durable transaction."""

    def add_trials(self, trials: Sequence[Trial]) -> None:
        """Record trials at their start, all or none."""
        ...

    def finish_trials(self, trials: Sequence[Trial]) -> None:
        """Record what came of running trials, all or none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRequest:
    """What to search, on which rows, within which limits."""

    model: Model
    rows: SharedBuffer  #: of `filiera.train.matrix.share_matrix`
    windows: tuple[Window, ...]
    bundle: str | None  #: folder of the unpacked source bundle
    trials: int  #: upper limit of trials that are not lost
    champion: Mapping[str, Any] | None = None  #: its settings are tried first
    lag: int | None  #: W of the fixed order, stored with the study: W trials run at once; None = free order
    memory_limit_bytes: int | None = None  #: for all trials together; needs the first trial alone, to measure it
    expected_s: float = 5.0  #: seconds to reserve for a trial while none has finished
    timeout_s: float | None = None  #: of one trial


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known after each change; for a live line."""

    done: int
    limit: int
    running: int
    failed: int
    best: float | None
    spent_nano: int
    gain: float | None  #: expected money of the next trial, currency units; None = not judged yet
    price: float  #: expected cost of the next trial, currency units
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOutcome:
    """How a study ended, for now."""

    state: str  #: "done" or "interrupted"; an interrupted one goes on with its recorded trials
    winner: Trial | None
    trials: tuple[Trial, ...]
    stop_reason: str
    frontier: Mapping[str, Any]
    warnings: tuple[str, ...] = ()


Rule = Callable[[float | None], worth.Rule]
Price = Callable[[float], int]


def run_study(
    request: StudyRequest,
    engine: Engine,
    recorder: Recorder,
    *,
    rule: Rule,
    price: Price,
    earlier: Sequence[Trial] = (),
    progress: Callable[[Progress], None] = lambda _: None,
) -> StudyOutcome:
    """Search until the limit, the budget or the worth says stop.

    Args:
        request: what, on which rows, within which limits.
        engine: runs the trials; as many at a time as its capacity and the memory limit allow.
        recorder: keeps the trials.
        rule: the rule of worth, given the best score so far (None at first).
        price: nano-units of a trial of so many seconds.
        earlier: the study's recorded trials, when it goes on.
        progress: told after every change.

    Raises:
        WorkError: no trial came to a score, or the first five failed with the same error.
    """
    search = _Search(request, rule, price, {trial.number: trial for trial in earlier})
    search.again = [trial for trial in earlier if trial.state is TrialState.RUNNING]
    try:
        while True:
            _launch(search, engine, recorder)
            progress(search.progress())
            if search.running:
                ended = [search.ended(result) for result in engine.wait(1.0)]
                if ended:
                    recorder.finish_trials(ended)
                    search.accept(ended)
            elif search.stopped:
                break
    except KeyboardInterrupt:
        for number in search.running:
            engine.cancel(_task_id(number))
        return search.outcome("interrupted", "interrupted; run apply again to go on")
    search.refuse_hopeless()
    return search.outcome("done", search.stop_reason)


@dataclass(slots=True)
class _Search:
    request: StudyRequest
    rule: Rule
    price: Price
    trials: dict[int, Trial]
    again: list[Trial] = field(default_factory=list)  #: recorded as running by a coordinator that is gone
    running: set[int] = field(default_factory=set)
    refusals: int = 0
    stopped: bool = False
    stop_reason: str = ""
    decision: worth.Decision | None = None
    warnings: set[str] = field(default_factory=set)

    def next_trial(self) -> Trial | None:
        """The trial to launch now, or None = wait, or stop."""
        if self.again:
            return self.again.pop(0)
        if self._broken():
            self._stop(f"the first {FAILURES_IN_A_ROW} trials failed with the same error")
            return None
        number = len(self.trials)
        retry = self._lost()
        if retry is not None and not self._over_budget():
            return replace(_fresh(number, retry.settings), origin=retry.origin)
        if not may_propose(number, list(self.trials.values()), self.request.lag):
            return None
        if not self._worth_it():
            return None
        return self._proposed(number)

    def ended(self, result: Result) -> Trial:
        """What came of a trial."""
        number = int(result.id.removeprefix("trial-"))
        trial = replace(
            self.trials[number],
            seconds=result.seconds,
            cpu_seconds=result.cpu_seconds,
            peak_bytes=result.peak_bytes,
            cost_nano=self.price(result.seconds),
        )
        if result.lost:
            return replace(trial, state=TrialState.LOST, error="its process died")
        if result.error:
            return replace(trial, state=TrialState.FAILED, error=f"{result.error['code']}: {result.error['message']}")
        self.warnings.update(result.value["warnings"])
        score = result.value["score"]
        if not math.isfinite(score):
            return replace(trial, state=TrialState.FAILED, error="train.not_finite: the score is no finite number")
        return replace(trial, state=TrialState.DONE, score=score, window_scores=tuple(result.value["window_scores"]))

    def accept(self, ended: Sequence[Trial]) -> None:
        """Take over trials that were recorded as ended."""
        for trial in ended:
            self.trials[trial.number] = trial
            self.running.discard(trial.number)
        self.refusals = 0

    def limit(self) -> int:
        """Upper limit of trials; one where nothing is searched."""
        searched = any(parameter.kind != "fixed" for parameter in self.request.model.space)
        return self.request.trials if searched else 1

    def slots(self, capacity: int) -> int:
        """Trials that may run at once: what the engine offers and what the memory holds, by the highest peak seen."""
        limit = self.request.memory_limit_bytes
        if limit is None:
            return capacity
        peak = max((trial.peak_bytes for trial in self.trials.values()), default=0)
        return max(1, min(capacity, limit // peak)) if peak else 1

    def progress(self) -> Progress:
        """What is known now."""
        trials = self.trials.values()
        gain = self.decision.gain if self.decision and math.isfinite(self.decision.gain) else None
        return Progress(
            done=sum(trial.state not in (TrialState.RUNNING, TrialState.LOST) for trial in trials),
            limit=self.limit(),
            running=len(self.running),
            failed=sum(trial.state is TrialState.FAILED for trial in trials),
            best=self.best(),
            spent_nano=sum(trial.cost_nano for trial in trials),
            gain=gain,
            price=self._next_cost(),
            reason=self.decision.reason if self.decision else "",
        )

    def best(self) -> float | None:
        """The lowest score."""
        return min((trial.score for trial in self.trials.values() if trial.score is not None), default=None)

    def refuse_hopeless(self) -> None:
        """Raise when nothing came to a score."""
        if self.best() is not None:
            return
        errors = [trial.error for trial in self.trials.values() if trial.error]
        raise WorkError(
            "train.no_score", f"no trial of model {self.request.model.name} came to a score",
            expected="at least one trial that fits and predicts",
            found=f"{errors[0]} ({len(errors)} trials)" if errors else "no trial was run",
            next="mend the model function and run apply again" if errors else f"{self.stop_reason}: raise the limit",
        )  # fmt: skip

    def outcome(self, state: str, reason: str) -> StudyOutcome:
        """The study as it stands."""
        trials = tuple(self.trials[number] for number in sorted(self.trials))
        return StudyOutcome(
            state=state,
            winner=best_trial(trials),
            trials=trials,
            stop_reason=reason,
            frontier=frontier(self._rule(), trials, self._next_cost()),
            warnings=tuple(sorted(self.warnings)),
        )

    def _proposed(self, number: int) -> Trial:
        model = self.request.model
        default = default_settings(model.space)
        first = []
        if self.request.champion is not None:
            first.append(("champion", fit_to_space(model.space, self.request.champion)))
        if not first or first[0][1] != default:
            first.append(("default", default))
        if number < len(first):
            origin, settings = first[number]
            return replace(_fresh(number, settings), origin=origin)
        return _fresh(number, propose(model.space, model.seed, number, list(self.trials.values()), self.request.lag))

    def _lost(self) -> Trial | None:
        """A lost trial whose settings were not tried a second time yet."""
        tried = [trial.settings for trial in self.trials.values()]
        lost = (trial for trial in self.trials.values() if trial.state is TrialState.LOST)
        return next((trial for trial in lost if tried.count(trial.settings) == 1), None)

    def _worth_it(self) -> bool:
        ended = self._finished()
        limit = self.limit()
        if sum(trial.state is not TrialState.LOST for trial in self.trials.values()) >= limit:
            self.decision = None
            self._stop_when_idle(f"all {limit} trials are done" if limit > 1 else "there is nothing to search")
            return False
        cost = self._next_cost()
        highest = max((trial.cost for trial in ended), default=cost)
        study = worth.Study(
            finished=ended,
            in_flight=len(self.running),
            reserved=len(self.running) * highest + max(0.0, highest - cost),
            refusals=self.refusals,
        )
        rule = replace(self._rule(), most_trials=self.request.trials + len(self.trials))
        self.decision = worth.decide(rule, study, cost)
        if self.decision.action is worth.Action.LAUNCH:
            self.refusals = 0
            return True
        if not self.running:
            self.refusals += 1
        if self.decision.action is worth.Action.STOP:
            self._stop(self.decision.reason)
        return False

    def _rule(self) -> worth.Rule:
        """The rule of worth, with the noise that the windows show where none is given."""
        rule = self.rule(self.best())
        return rule if rule.noise else replace(rule, noise=window_noise(list(self.trials.values())))

    def _over_budget(self) -> bool:
        budget = self.rule(self.best()).budget
        spent = sum(trial.cost_nano for trial in self.trials.values()) / NANO
        return budget is not None and spent + (len(self.running) + 1) * self._next_cost() > budget

    def _finished(self) -> tuple[worth.Finished, ...]:
        ended = [
            self.trials[number] for number in sorted(self.trials) if self.trials[number].state is not TrialState.RUNNING
        ]
        return tuple(worth.Finished(trial.score, trial.cost_nano / NANO, trial.seconds) for trial in ended)

    def _next_cost(self) -> float:
        recent = self._finished()[-RECENT:]
        return (
            sum(trial.cost for trial in recent) / len(recent) if recent else self.price(self.request.expected_s) / NANO
        )

    def _broken(self) -> bool:
        ended = [trial for trial in self.trials.values() if trial.state in (TrialState.DONE, TrialState.FAILED)]
        failed = {trial.error for trial in ended}
        return len(ended) >= FAILURES_IN_A_ROW and len(failed) == 1 and failed != {""}

    def _stop(self, reason: str) -> None:
        self.stopped, self.stop_reason = True, reason

    def _stop_when_idle(self, reason: str) -> None:
        if not self.running:
            self._stop(reason)


def _launch(search: _Search, engine: Engine, recorder: Recorder) -> None:
    """Start what may start now; all starts are recorded in one transaction before the first runs."""
    started: list[Trial] = []
    fresh: list[Trial] = []
    while len(search.running) < search.slots(engine.capacity) and not search.stopped:
        trial = search.next_trial()
        if trial is None:
            break
        started.append(trial)
        if trial.number not in search.trials:
            fresh.append(trial)
        search.trials[trial.number] = trial
        search.running.add(trial.number)
    if fresh:
        recorder.add_trials(fresh)
    for trial in started:
        engine.submit(_trial_task(search.request, trial))


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """The trial with the lowest score; the earliest of equals."""
    scored = [trial for trial in trials if trial.score is not None]
    return min(scored, key=lambda trial: (trial.score, trial.number), default=None)


def window_noise(trials: Sequence[Trial]) -> float:
    """Standard error of the difference between leading trials over the windows: what chance alone explains.

    The median over the four trials that follow the best; 0 with fewer than three scored trials or windows.
    """
    leading = sorted((t for t in trials if t.score is not None), key=lambda t: (t.score or 0.0, t.number))[:LEADING]
    if len(leading) < 3 or len(leading[0].window_scores) < 3:
        return 0.0
    errors = []
    for other in leading[1:]:
        gaps = [a - b for a, b in zip(leading[0].window_scores, other.window_scores, strict=True)]
        errors.append(statistics.stdev(gaps) / math.sqrt(len(gaps)))
    return statistics.median(errors)


def frontier(rule: worth.Rule, trials: Sequence[Trial], next_cost: float) -> dict[str, Any]:
    """Best score against money spent, what the last improvement cost and what the next would."""
    ended = [trial for trial in trials if trial.state is not TrialState.RUNNING]
    finished = tuple(worth.Finished(trial.score, trial.cost_nano / NANO, trial.seconds) for trial in ended)
    best, spent, points = math.inf, 0, []
    for trial in ended:
        spent += trial.cost_nano
        if trial.score is not None and trial.score < best:
            best = trial.score
            points.append({"trials": trial.number + 1, "cost_nano": spent, "score": best})
    if not math.isfinite(best):
        return {"points": [], "spent_nano": spent}
    step = max(0.01 * abs(best), 1e-12)
    expected = worth.price_of_next(rule, finished, step, next_cost)
    return {
        "points": points,
        "spent_nano": spent,
        "step": step,  #: improvement that the two prices are for, in units of the score
        "price_of_last_step": worth.price_of_last(finished, step),
        "price_of_next_step": expected if expected < HOPELESS_TRIALS * next_cost else None,
        "stop_points": worth.stop_points(rule, finished) if len(finished) > rule.least_trials else {},
    }


@dataclass(frozen=True, slots=True)
class Refit:
    """The final fit of a study's winner."""

    facts: Mapping[str, Any]  #: what `filiera.runner.fit.refit` answers
    predictions: bytes  #: out-of-window predictions
    package: bytes  #: empty when the model cannot be packaged; `facts["reason"]` says why
    seconds: float
    cpu_seconds: float


def refit(request: StudyRequest, engine: Engine, settings: Mapping[str, Any], range_us: tuple[int, int]) -> Refit:
    """Fit the winner's settings on the newest rows and package it.

    Raises:
        WorkError: the fit failed, or its process died.
    """
    arguments = fit_arguments(request.model, settings, request.windows) | {"range": list(range_us)}
    task = Task(
        id="refit",
        function="filiera.runner.fit:refit",
        arguments=arguments,
        inputs=(request.rows,),
        bundle=request.bundle,
    )
    result = run_one(engine, task, f"model {request.model.name}, final fit")
    outputs = [bytes(buffer.view()) for buffer in result.outputs]
    for buffer in result.outputs:
        buffer.close()
    package = outputs[1] if len(outputs) > 1 else b""
    return Refit(result.value, outputs[0], package, result.seconds, result.cpu_seconds)


def run_one(engine: Engine, task: Task, what: str) -> Result:
    """The result of one task on an engine that runs nothing else.

    Raises:
        FilieraError: the task failed, or its process died.
    """
    engine.submit(task)
    found: list[Result] = []
    while not found:
        found = engine.wait(1.0)
    raise_failure(found[0], what)
    return found[0]


def fit_arguments(model: Model, settings: Mapping[str, Any], windows: Sequence[Window]) -> dict[str, Any]:
    """Arguments of the tasks in `filiera.runner.fit`."""
    return {
        "module": model.code.module,
        "name": model.code.name,
        "form": model.form,
        "parameter": model.inputs[0].asset,
        "frame": model.inputs[0].frame.value,
        "settings": dict(settings),
        "seed": model.seed,
        "score": model.score,
        "windows": [window.to_json() for window in windows],
        "features": list(model.features),
    }


def _trial_task(request: StudyRequest, trial: Trial) -> Task:
    return Task(
        id=_task_id(trial.number),
        function="filiera.runner.fit:fit_trial",
        arguments=fit_arguments(request.model, trial.settings, request.windows),
        inputs=(request.rows,),
        bundle=request.bundle,
        timeout_s=request.timeout_s,
    )


def _task_id(number: int) -> str:
    return f"trial-{number}"


def _fresh(number: int, settings: Mapping[str, Any]) -> Trial:
    return Trial(number=number, settings=dict(settings), state=TrialState.RUNNING)
