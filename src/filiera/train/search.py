"""The state of a search: which trial is next, what came of it, when to stop. It talks to nobody; see `study`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from filiera.core.asset import Model
from filiera.core.trial import CHAMPION, DEFAULT, REPEAT, Stop, Trial, TrialState
from filiera.engine.memory import SharedBuffer
from filiera.engine.reads import united
from filiera.engine.task import Result, Scope
from filiera.errors import WorkError
from filiera.runner.fit import default_settings
from filiera.runner.matrix import Window
from filiera.train import worth
from filiera.train.propose import fit_to_space, may_propose, propose
from filiera.train.purse import LATE_S, Purse
from filiera.train.report import NANO, best_trial, finished, frontier, window_noise

#: So many trials, all failing with one error, are a broken function and no bad luck.
FAILURES_IN_A_ROW = 5
DIED = "its process died"
#: Seconds of which a rate is taken: prices are rounded to the nano-unit.
_RATE_S = 3600.0

Rule = Callable[[float | None], worth.Rule]
Price = Callable[[float], int]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRequest:
    """What to search, on which rows, within which limits."""

    model: Model
    rows: SharedBuffer  #: of `filiera.train.matrix.share_matrix`
    windows: tuple[Window, ...]
    bundle: str | None  #: folder of the unpacked source bundle
    scope: Scope = field(default_factory=Scope)
    trials: int  #: upper limit of trials; one that repeats the settings of a lost or failed one does not count
    champion: Mapping[str, Any] | None = None  #: its settings are tried first
    lag: int | None  #: W of the fixed order, stored with the study: W trials run at once; None = free order
    memory_limit_bytes: int | None = None  #: for all trials together; needs the first trial alone, to measure it
    expected_s: float = 5.0  #: what a trial is thought to take while none has finished


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
    stop: Stop | None  #: None = it was interrupted
    used: int  #: trials that count for the limit
    needed: float  #: least budget that would let it go on, currency units
    frontier: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    reads: Mapping[str, str] = field(default_factory=dict)  #: digest of each file that its trials read, by name


@dataclass(slots=True)
class Running:
    """A trial in flight."""

    allowance_s: float | None  #: ended after so long; None = no limit
    began_s: float | None = None  #: None = recorded, and not handed to the engine yet


@dataclass(slots=True)
class Search:
    """A study while it runs.

    Args:
        request: what, on which rows, within which limits.
        rule: the rule of worth, given the best score so far.
        price: nano-units of a trial of so many seconds.
        final: nano-units of the final fit, given the seconds of the trial whose settings are fitted.
        trials: those that are recorded already, by number.
        again: of these, the ones that were left running by a coordinator that is gone.
        repeats: settings to try once more, of a study in which nothing came to a score.
        before: numbers of the trials that such a study had; they tell nothing of today.
        clock: seconds from any start, never backwards.
    """

    request: StudyRequest
    rule: Rule
    price: Price
    final: Price
    trials: dict[int, Trial]
    again: list[Trial] = field(default_factory=list)
    repeats: list[Trial] = field(default_factory=list)
    before: frozenset[int] = frozenset()
    clock: Clock = time.monotonic
    running: dict[int, Running] = field(default_factory=dict)
    stop: Stop | None = None
    stop_reason: str = ""
    decision: worth.Decision | None = None
    warnings: set[str] = field(default_factory=set)
    reads: dict[str, str] = field(default_factory=dict)

    @classmethod
    def resume(
        cls, request: StudyRequest, earlier: Sequence[Trial], *, rule: Rule, price: Price, final: Price, clock: Clock
    ) -> Search:
        """A search that goes on from its recorded trials; one in which nothing worked tries its failures again."""
        search = cls(request, rule, price, final, {trial.number: trial for trial in earlier}, clock=clock)
        search.again = [trial for trial in earlier if trial.state is TrialState.RUNNING]
        if search.best() is None and (search._is_broken() or search._used() >= search.limit()):
            failed = {_key(t): t for t in earlier if t.state in (TrialState.FAILED, TrialState.LOST)}
            waiting = {_key(trial) for trial in search.again}
            search.repeats = [trial for key, trial in failed.items() if key not in waiting]
            search.before = frozenset(t.number for t in earlier if t.state is not TrialState.RUNNING)
        return search

    # ---- what to launch

    def next_trial(self, free: int) -> Trial | None:
        """The trial to launch now, in one of `free` slots, and from now on in flight; None = wait, or stop."""
        if self._is_broken():
            self._stop(Stop.BROKEN, self._failure())
            return None
        allowance_s = self._allowance_s(free)
        covered = allowance_s is None or allowance_s > 0
        trial = self._repeated()
        if trial is not None and not covered:
            self._stop_when_idle(Stop.BUDGET, "the budget does not cover another trial")
            return None
        if trial is None:
            trial = self._proposed() if self._may_search(covered=covered) else None
        if trial is None:
            return None
        self.again = [other for other in self.again if other.number != trial.number]
        self.repeats = [other for other in self.repeats if _key(other) != _key(trial)]
        self.trials[trial.number] = trial
        self.running[trial.number] = Running(allowance_s)
        return trial

    def slots(self, capacity: int) -> int:
        """Trials that may run at once: what the engine offers and what the memory holds, by the highest peak seen."""
        limit = self.request.memory_limit_bytes
        if limit is None:
            return capacity
        peak = max((trial.peak_bytes for trial in self.trials.values()), default=0)
        return max(1, min(capacity, limit // peak)) if peak else 1

    # ---- what came of it

    def ended(self, result: Result) -> Trial:
        """What came of a trial."""
        number = int(result.id.removeprefix("trial-"))
        trial = self._took(number, result.seconds)
        self.reads = united([self.reads, result.reads])
        trial = replace(trial, cpu_seconds=result.cpu_seconds, peak_bytes=result.peak_bytes)
        if result.lost:
            return replace(trial, state=TrialState.LOST, error=DIED)
        if result.error and result.error["code"] == "work.timeout":
            text = f"ended after {result.seconds:.3g} s: the budget holds no more"
            return replace(trial, state=TrialState.CAPPED, error=text)
        if result.error:
            return replace(trial, state=TrialState.FAILED, error=f"{result.error['code']}: {result.error['message']}")
        self.warnings.update(result.value["warnings"])
        score = result.value["score"]
        if not math.isfinite(score):
            return replace(trial, state=TrialState.FAILED, error="train.not_finite: the score is no finite number")
        return replace(trial, state=TrialState.DONE, score=score, window_scores=tuple(result.value["window_scores"]))

    def too_long(self) -> list[Trial]:
        """The trials in flight that are to be ended, since they cost more from here than they may gain."""
        if not self.running:
            return []
        rule, study, rate = self._rule(), worth.Study(self._finished(), len(self.running)), self._purse().trial_per_s
        found = []
        for number, elapsed_s in self._elapsed().items():
            if worth.is_too_long(rule, study, elapsed_s, rate):
                more_s = worth.seconds_left(study.finished, elapsed_s)
                text = f"ended after {elapsed_s:.3g} s: about {more_s:.3g} s more would cost more than they may gain"
                found.append(replace(self._took(number, elapsed_s), state=TrialState.CAPPED, error=text))
        return found

    def accept(self, ended: Sequence[Trial]) -> None:
        """Take over trials that were recorded as ended."""
        for trial in ended:
            self.trials[trial.number] = trial
            del self.running[trial.number]

    def interrupt(self) -> list[Trial]:
        """The trials in flight with what they took; they stay recorded as running and run again under their number."""
        stopped = [self._took(number, elapsed_s) for number, elapsed_s in self._elapsed().items()]
        self.trials |= {trial.number: trial for trial in stopped}
        self.running.clear()
        return stopped

    # ---- what is known

    def limit(self) -> int:
        """Upper limit of trials; one where nothing is searched."""
        return self.request.trials if self._is_searched() else 1

    def best(self) -> float | None:
        """The lowest score."""
        return min((trial.score for trial in self.trials.values() if trial.score is not None), default=None)

    def progress(self) -> Progress:
        """What is known now."""
        trials = self.trials.values()
        return Progress(
            done=sum(trial.state is not TrialState.RUNNING and trial.origin != REPEAT for trial in trials),
            limit=self.limit(),
            running=len(self.running),
            failed=sum(trial.state is TrialState.FAILED for trial in trials),
            best=self.best(),
            spent_nano=sum(trial.cost_nano for trial in trials),
            gain=self.decision.gain if self.decision and math.isfinite(self.decision.gain) else None,
            price=self._next_cost(),
            reason=self.decision.reason if self.decision else "",
        )

    def refuse_hopeless(self) -> None:
        """Raise when nothing came to a score."""
        if self.best() is not None:
            return
        errors = [trial.error for trial in self._by_number() if trial.error and trial.number not in self.before]
        mend = "mend the model function, or what it needs from outside, and run apply again: it tries anew"
        raise WorkError(
            "train.no_score", f"no trial of model {self.request.model.name} came to a score: {self.stop_reason}",
            expected="at least one trial that fits and predicts",
            found=f"{errors[0]} ({len(errors)} trials)" if errors else "no trial was run",
            next=mend if errors else "raise the limit",
        )  # fmt: skip

    def outcome(self, state: str, reason: str) -> StudyOutcome:
        """The study as it stands."""
        trials = tuple(self._by_number())
        return StudyOutcome(
            state=state,
            winner=best_trial(trials),
            trials=trials,
            stop_reason=reason,
            stop=self.stop if state == "done" else None,
            used=self._used(),
            needed=self._purse().needed(self._spent(), self._best_s(), self._expected_s()),
            frontier=frontier(self._rule(), trials, self._next_cost()),
            warnings=tuple(sorted(self.warnings)),
            reads=self.reads,
        )

    # ---- inside

    def _repeated(self) -> Trial | None:
        """A trial whose settings were begun before: left running, failed in a broken study, or lost once."""
        if self.again:
            return self.again[0]
        waiting = self.repeats[0] if self.repeats else self._lost()
        return None if waiting is None else replace(_fresh(len(self.trials), waiting.settings), origin=REPEAT)

    def _lost(self) -> Trial | None:
        """A lost trial whose settings were not tried a second time yet."""
        tried = [_key(trial) for trial in self.trials.values()]
        lost = (t for t in self._by_number() if t.state is TrialState.LOST and t.number not in self.before)
        return next((trial for trial in lost if trial.origin != REPEAT and tried.count(_key(trial)) == 1), None)

    def _may_search(self, *, covered: bool) -> bool:
        """Whether another trial may be proposed, and is worth its price."""
        limit = self.limit()
        if self._used() >= limit:
            self.decision = None
            if self._is_searched():
                self._stop_when_idle(Stop.LIMIT, f"all {limit} trials are done")
            else:
                self._stop_when_idle(Stop.SPACE, "there is nothing to search")
            return False
        if not may_propose(len(self.trials), list(self.trials.values()), self.request.lag):
            return False
        repeats = len(self.trials) - self._used()
        study = worth.Study(self._finished(), len(self.running), covered, repeats)
        self.decision = worth.decide(replace(self._rule(), most_trials=limit), study, self._next_cost())
        if self.decision.action is worth.Action.STOP:
            assert self.decision.stop is not None, "a stop says what it is for"
            self._stop(self.decision.stop, self.decision.reason)
        return self.decision.action is worth.Action.LAUNCH

    def _proposed(self) -> Trial:
        model, number, place = self.request.model, len(self.trials), self._used()
        first = [(DEFAULT, default_settings(model.space))]
        if self.request.champion is not None:
            champion = fit_to_space(model.space, self.request.champion)
            first = [(CHAMPION, champion), *(item for item in first if item[1] != champion)]
        if place < len(first):
            origin, settings = first[place]
            return replace(_fresh(number, settings), origin=origin)
        return _fresh(number, propose(model.space, model.seed, number, list(self.trials.values()), self.request.lag))

    def _is_searched(self) -> bool:
        return any(parameter.kind != "fixed" for parameter in self.request.model.space)

    def _used(self) -> int:
        """Trials that count for the limit."""
        return sum(trial.origin != REPEAT for trial in self.trials.values())

    def _took(self, number: int, seconds: float) -> Trial:
        """A trial with what its attempt took, on top of what earlier attempts did."""
        trial = self.trials[number]
        return replace(trial, seconds=trial.seconds + seconds, cost_nano=trial.cost_nano + self.price(seconds))

    def _elapsed(self) -> dict[int, float]:
        """Seconds that each trial in flight has run."""
        now_s = self.clock()
        found = {number: running.began_s for number, running in self.running.items()}
        return {number: now_s - began_s for number, began_s in found.items() if began_s is not None}

    def _rule(self) -> worth.Rule:
        """The rule of worth, with the noise that the windows show where none is given."""
        rule = self.rule(self.best())
        return rule if rule.noise else replace(rule, noise=window_noise(list(self.trials.values())))

    def _purse(self) -> Purse:
        return Purse(
            budget=self.rule(self.best()).budget,
            trial_per_s=self.price(_RATE_S) / _RATE_S / NANO,
            final_start=self.final(0.0) / NANO,
            final_per_s=(self.final(_RATE_S) - self.final(0.0)) / _RATE_S / NANO,
        )

    def _allowance_s(self, free: int) -> float | None:
        running_s = [item.allowance_s for item in self.running.values() if item.allowance_s is not None]
        return self._purse().allowance_s(self._spent(), self._best_s(), running_s, free, self._expected_s())

    def _spent(self) -> float:
        return sum(trial.cost_nano for trial in self.trials.values()) / NANO

    def _best_s(self) -> float:
        best = best_trial(list(self.trials.values()))
        return best.seconds if best else 0.0

    def _expected_s(self) -> float:
        """Seconds of the next trial; before any ended, no more than it takes to end one."""
        seconds = [trial.seconds for trial in self._finished()]
        return sum(seconds) / len(seconds) if seconds else LATE_S

    def _next_cost(self) -> float:
        running = tuple(self.price(elapsed_s) / NANO for elapsed_s in self._elapsed().values())
        return worth.cost_of_next(self._finished(), running, self.price(self.request.expected_s) / NANO)

    def _finished(self) -> tuple[worth.Finished, ...]:
        return finished(self._by_number())

    def _by_number(self) -> list[Trial]:
        return [self.trials[number] for number in sorted(self.trials)]

    def _is_broken(self) -> bool:
        ended = [t for t in self.trials.values() if t.state is not TrialState.RUNNING and t.number not in self.before]
        failed = all(trial.state in (TrialState.FAILED, TrialState.LOST) for trial in ended)
        return len(ended) >= FAILURES_IN_A_ROW and failed and len({trial.error for trial in ended}) == 1

    def _failure(self) -> str:
        died = any(t.state is TrialState.LOST for t in self.trials.values() if t.number not in self.before)
        if died:
            return f"the processes of the first {FAILURES_IN_A_ROW} trials died"
        return f"the first {FAILURES_IN_A_ROW} trials failed with the same error"

    def _stop(self, stop: Stop, reason: str) -> None:
        self.stop, self.stop_reason = stop, reason

    def _stop_when_idle(self, stop: Stop, reason: str) -> None:
        if not self.running:
            self._stop(stop, reason)


def _fresh(number: int, settings: Mapping[str, Any]) -> Trial:
    return Trial(number=number, settings=dict(settings), state=TrialState.RUNNING)


def _key(trial: Trial) -> str:
    """Equal for equal settings."""
    return json.dumps(dict(trial.settings), sort_keys=True)
