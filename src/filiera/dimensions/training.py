"""Train one model: its study, the final fit of the winner, its package and its record.

1. The study of the key is found or begun. One that ended goes on where its limit, budget or worth was raised.
2. Trials are recorded with the money they took, as they end; an interrupted one too.
3. A winner that has a version already keeps it: only the study's report is new. Another winner is fitted on the newest
   rows, with the money that was kept back for it, and becomes the next version.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from filiera.core.asset import Model
from filiera.core.key import columns_read, definition_digest, interpreter, settings_of
from filiera.core.model import ModelVersion
from filiera.core.snapshot import ObjectRecord, Snapshot
from filiera.core.trace import Trace
from filiera.core.trial import Baseline, Stop, Study, Trial
from filiera.digest import digest, digest_json
from filiera.dimensions.context import Context, Definitions, scope_of
from filiera.dimensions.dynamic import undeclared
from filiera.dimensions.facts import LedgerFacts
from filiera.dimensions.study_limits import check_worth, study_budget
from filiera.dimensions.versions import facts_of
from filiera.engine.memory import SharedBuffer
from filiera.engine.reads import united
from filiera.errors import GateError, WorkError
from filiera.ledger import environments, removals, studies, traces
from filiera.ledger.journal import Ledger, Tx
from filiera.runner.matrix import Matrix, Window
from filiera.train import worth
from filiera.train.baseline import baselines
from filiera.train.card import card, metrics, summary
from filiera.train.leakage import refuse_leakage
from filiera.train.matrix import share_matrix
from filiera.train.purse import LATE_S
from filiera.train.report import NANO, capped
from filiera.train.search import Progress, StudyOutcome, StudyRequest
from filiera.train.split import fold_windows, refit_range, windows
from filiera.train.study import Refit, refit, run_study
from filiera.train.value import Worth, per_unit

MEMORY_SHARE = 0.7  #: of the free memory, for all trials together
#: Time kept back for the final fit, as a multiple of what its rows say.
FINAL_MARGIN = 1.25
FINAL_START_S = 1.5  #: and for loading what packages


@dataclass(frozen=True, slots=True)
class TrialLog:
    """Keeps trials in the ledger, and what they took among the spend."""

    ledger: Ledger
    study: Study
    actor: str
    run: str = ""  #: of apply, under which the money stands

    def add_trials(self, trials: Sequence[Trial]) -> None:
        """Remember trials that start."""
        with self._commit("trial.start", trials) as tx:
            studies.add_trials(tx, self.study.id, trials)

    def finish_trials(self, trials: Sequence[Trial]) -> None:
        """Remember what came of them."""
        with self._commit("trial.finish", trials) as tx:
            self._book(tx, studies.finish_trials(tx, self.study.id, trials))

    def interrupt_trials(self, trials: Sequence[Trial]) -> None:
        """Remember what they took until they were stopped."""
        with self._commit("trial.interrupt", trials) as tx:
            self._book(tx, studies.interrupt_trials(tx, self.study.id, trials))

    def _book(self, tx: Tx, spent: studies.Spent) -> None:
        model, cost, seconds = self.study.model, spent.cost_nano, spent.seconds
        environments.record_spend(tx, run=self.run, asset=model, cost_nano=cost, seconds=seconds)

    def _commit(self, action: str, trials: Sequence[Trial]) -> Any:
        details = {"trials": [trial.number for trial in trials]}
        return self.ledger.commit(actor=self.actor, action=action, object=self.study.model, details=details)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The rows of a model, divided and scored by the baselines; made once for a study."""

    model: Model
    snapshot: Snapshot
    rows: SharedBuffer
    matrix: Matrix
    windows: tuple[Window, ...]
    baselines: tuple[Baseline, ...]  #: the best first


def prepare(context: Context, model: Model, snapshot: Snapshot, *, joined: bool = False) -> Training:
    """Put the rows of a model into shared memory and divide them; the caller closes `rows`.

    Args:
        context: the open project.
        model: its definition.
        snapshot: of its input.
        joined: features and target in one block, as the fits of a trainer want them; `predict_matrix` reads the
            other layout only.

    Raises:
        WorkError: too little data.
        ContractError: a column is missing, or an input gives the target away.
    """
    wanted = columns_read(model, snapshot.table, snapshot.key, snapshot.time) or ()
    table = context.read(snapshot, [name for name in wanted if name in snapshot.columns])
    device = next((name for name in snapshot.key if name != snapshot.time), None)
    units = {str(column["name"]): column.get("unit") for column in snapshot.schema}
    rows, matrix = share_matrix(
        table, model, key=snapshot.key, time=snapshot.time, device=device, units=units, joined=joined
    )
    try:
        refuse_leakage(matrix)
        timed = snapshot.time is not None
        found = windows(model.split, matrix.time) if timed else fold_windows(model.split)
        return Training(
            model=model,
            snapshot=snapshot,
            rows=rows,
            matrix=matrix,
            windows=found,
            baselines=tuple(baselines(matrix, found, model.score)),
        )
    except BaseException:
        rows.close()
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """One model to train, with everything that was found of it."""

    context: Context
    definitions: Definitions
    key: str
    semantics: Mapping[str, str]
    run: str
    training: Training
    study: Study
    trials: tuple[Trial, ...]  #: that the study has already
    report: Mapping[str, Any]  #: its newest; empty at first
    value: Worth
    budget: float | None  #: of all its trials and the next final fit, currency units

    @property
    def model(self) -> Model:
        return self.training.model

    @property
    def finals_nano(self) -> int:
        """What its earlier final fits took."""
        return int(self.report.get("finals_nano", 0))

    def commit(self, action: str) -> Any:
        return self.context.ledger.commit(actor=self.context.principal, action=action, object=self.model.name)

    def trial_nano(self, seconds: float) -> int:
        """Price of a trial."""
        context = self.context
        return context.prices.trial_nano(seconds, context.workers, waited_for=context.waited_for)

    def final_nano(self, seconds: float) -> int:
        """Price of a final fit, which runs alone."""
        return self.context.prices.trial_nano(seconds, 1, waited_for=self.context.waited_for)


def train_model(
    context: Context,
    definitions: Definitions,
    facts: LedgerFacts,
    model: Model,
    key: str,
    semantics: Mapping[str, str],
    run_id: str,
    trials: int | None,
) -> tuple[Trace, str]:
    """Search, fit the winner on the newest rows, and record the version; go on with a study that ended.

    A study that goes on and keeps its winner keeps its version: the trace that came before is given back.

    Raises:
        UsageError: the worth is per a unit that the target is not in.
        WorkError: too little data, no trial succeeded, or an input gives the target away.
        GateError: the budget does not hold the final fit.
        KeyboardInterrupt: the study was interrupted; its trials are kept and the next apply goes on.
    """
    snapshot = facts.snapshot(model.inputs[0].asset)
    assert snapshot is not None, "a step runs only when its inputs have data"
    value = check_worth(context, definitions.graph, model, snapshot)
    training = prepare(context, model, snapshot, joined=model.form == "trainer")
    try:
        work = _begin(context, definitions, training, value, key, semantics, run_id)
        request = _request(work, facts, trials)
        outcome = _search(work, request)
        trace, text = _conclude(work, request, outcome)
    finally:
        training.rows.close()
    context.progress.end(model.name, text)
    return trace, text


def _begin(
    context: Context,
    definitions: Definitions,
    training: Training,
    value: Worth,
    key: str,
    semantics: Mapping[str, str],
    run_id: str,
) -> _Work:
    study = _open_study(context, training, key)
    with context.ledger.reading() as connection:
        known, report = studies.list_trials(connection, study.id), studies.get_report(connection, study.id)
    return _Work(
        context=context,
        definitions=definitions,
        key=key,
        semantics=semantics,
        run=run_id,
        training=training,
        study=study,
        trials=tuple(known),
        report=report,
        value=value,
        budget=study_budget(context, training.model, report, known),
    )


def _open_study(context: Context, training: Training, key: str) -> Study:
    model = training.model
    with context.ledger.reading() as connection:
        found = studies.find_study(connection, model.name, key)
    if found is not None:
        return found
    with context.ledger.commit(actor=context.principal, action="study.begin", object=model.name) as tx:
        study = Study(
            id=tx.new_id("std"), model=model.name, key=key, created_us=tx.now_us, workers=context.workers,
            snapshot=training.snapshot.id,
        )  # fmt: skip
        studies.create_study(tx, study)
    return study


def _request(work: _Work, facts: LedgerFacts, trials: int | None) -> StudyRequest:
    most, first = facts.study_size(work.model, work.key)
    return StudyRequest(
        model=work.model,
        rows=work.training.rows,
        windows=work.training.windows,
        bundle=str(work.definitions.root),
        scope=scope_of(work.context, work.model),
        trials=trials or most,
        champion=first[0] if first else None,
        lag=work.study.workers if work.model.order == "fixed" else None,
        memory_limit_bytes=_free_memory(),
    )


def _search(work: _Work, request: StudyRequest) -> StudyOutcome:
    context = work.context
    context.progress.start(work.model.name, request.trials, "")
    share = _final_share(work.training)
    try:
        outcome = run_study(
            request,
            context.engine,
            TrialLog(context.ledger, work.study, context.principal, work.run),
            rule=lambda best: _rule(work, request, best),
            price=work.trial_nano,
            final=lambda seconds: work.final_nano(FINAL_START_S + seconds * share),
            earlier=work.trials,
            progress=_shown(work),
        )
    except WorkError as error:
        if error.code == "train.no_score":
            _put_report(work, {"reason": error.message, "ended": Stop.BROKEN.value, "error": error.found})
        raise
    outcome = replace(outcome, reads=united([work.report.get("reads", {}), outcome.reads]))
    if outcome.state == "interrupted":
        _put_report(work, dict(work.report) | {"reads": outcome.reads})
        raise KeyboardInterrupt
    _put_report(work, _report(work, request, outcome))
    return outcome


def _rule(work: _Work, request: StudyRequest, best: float | None) -> worth.Rule:
    return worth.Rule(
        value=per_unit(work.value, work.training.baselines[0].score, best),
        budget=work.budget,
        most_trials=request.trials,
        least_trials=min(10, request.trials),
    )


def _final_share(training: Training) -> float:
    """Seconds of the final fit per second of a trial: it fits every window once more, and the newest rows."""
    matrix = training.matrix
    places = range(len(matrix.y))
    fitted = sum(len(places[rows]) if isinstance(rows, slice) else len(rows) for rows, _ in
                 (matrix.split(window) for window in training.windows))  # fmt: skip
    newest = places
    if training.snapshot.time is not None:
        newest = places[matrix.between(*refit_range(training.model.split, matrix.time))]
    return FINAL_MARGIN * (1 + len(newest) / max(fitted, 1))


def _free_memory() -> int | None:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
    except OSError:
        return None
    return int(int(fields["MemAvailable"].split()[0]) * 1024 * MEMORY_SHARE)


def _shown(work: _Work) -> Callable[[Progress], None]:
    context, model, baseline = work.context, work.model, work.training.baselines[0]

    def show(live: Progress) -> None:
        best = f"best {live.best:.4g}" if live.best is not None else "no score yet"
        gain = "judging" if live.gain is None else f"next may gain {live.gain:.2g} for {live.price:.2g}"
        spent = f"spent {live.spent_nano / NANO:.3g} {context.prices.currency}"
        context.progress.update(model.name, live.done, f"{best}, baseline {baseline.score:.4g}, {spent}, {gain}")

    return show


def _put_report(work: _Work, report: Mapping[str, Any]) -> None:
    with work.commit("study.report") as tx:
        studies.put_report(tx, work.study.id, _report_baselines(work) | dict(report))


def _report_baselines(work: _Work) -> dict[str, Any]:
    return {
        "baselines": [
            {"name": item.name, "score": item.score, "window_scores": list(item.window_scores)}
            for item in work.training.baselines
        ],
        "worth": work.value.text,
        "currency": work.value.currency,
        "finals_nano": work.finals_nano,
    }


def _report(work: _Work, request: StudyRequest, outcome: StudyOutcome) -> dict[str, Any]:
    best = outcome.winner.score if outcome.winner else None
    return {
        "reason": outcome.stop_reason,
        "ended": outcome.stop.value if outcome.stop else None,
        "limit": request.trials,
        "used": outcome.used,
        "needed": outcome.needed,
        "value_per_unit": per_unit(work.value, work.training.baselines[0].score, best),
        "frontier": dict(outcome.frontier),
        "capped": capped(outcome.trials),
        "warnings": list(outcome.warnings),
        "reads": dict(outcome.reads),
    }


def _conclude(work: _Work, request: StudyRequest, outcome: StudyOutcome) -> tuple[Trace, str]:
    """The winner as a version: the one that it has already, or a new one."""
    kept = _kept(work, outcome)
    if kept is not None:
        trace, version = kept
    else:
        fitted = _fit_winner(work, request, outcome)
        trace, version = _record(work, outcome, fitted)
    text = summary(version, outcome.used, request.trials, outcome.stop_reason, stays=kept is not None)
    return trace, text


def _kept(work: _Work, outcome: StudyOutcome) -> tuple[Trace, ModelVersion] | None:
    """The study's newest version and its trace, when that has the winner's settings."""
    assert outcome.winner is not None, "a study that is done has a winner"
    with work.context.ledger.reading() as connection:
        made = (v for v in studies.list_versions(connection, work.model.name) if v.study == work.study.id)
        version = next(made, None)
        trace = traces.of_output(connection, version.id) if version else None
        gone = version is not None and removals.is_gone(connection, version.id)
    if version is None or trace is None or gone or _plain(version.settings) != _plain(outcome.winner.settings):
        return None
    return trace, version


def _plain(settings: Mapping[str, Any]) -> str:
    return json.dumps(dict(settings), sort_keys=True)


def _fit_winner(work: _Work, request: StudyRequest, outcome: StudyOutcome) -> Refit:
    """Fit the winner on the newest rows; what a fit took that came to nothing is among the spend as well."""
    assert outcome.winner is not None, "a study that is done has a winner"
    span = refit_range(work.model.split, work.training.matrix.time)
    timeout_s, began_s = _final_timeout_s(work, outcome), time.monotonic()
    try:
        return refit(request, work.context.engine, outcome.winner.settings, span, timeout_s)
    except BaseException as error:
        _book_final(work, time.monotonic() - began_s)
        if isinstance(error, WorkError) and error.code == "work.timeout":
            raise _no_money(work, f"the final fit was ended after {timeout_s:.3g} s") from error
        raise


def _final_timeout_s(work: _Work, outcome: StudyOutcome) -> float | None:
    """Seconds that the budget leaves for the final fit; None = no limit."""
    rate = work.final_nano(3600.0) / 3600.0 / NANO
    if work.budget is None or rate <= 0:
        return None
    left = work.budget - sum(trial.cost_nano for trial in outcome.trials) / NANO
    if left / rate <= LATE_S:
        raise _no_money(work, f"{max(left, 0.0):.3g} {work.value.currency} left")
    return left / rate - LATE_S


def _no_money(work: _Work, found: str) -> GateError:
    return GateError(
        "train.budget", f"the budget does not hold the final fit of model {work.model.name}", found=found,
        next="raise `budget` in filiera.toml and run apply again; the trials are kept",
    )  # fmt: skip


def _book_final(work: _Work, seconds: float) -> None:
    with work.commit("model.train_failed") as tx:
        _record_final(tx, work, seconds)


def _record_final(tx: Tx, work: _Work, seconds: float) -> None:
    """What a final fit took: among the spend, and in the report, since the study's own budget pays for it."""
    cost = work.final_nano(seconds)
    environments.record_spend(tx, run=work.run, asset=work.model.name, cost_nano=cost, seconds=seconds)
    report = studies.get_report(tx.connection, work.study.id)
    studies.put_report(tx, work.study.id, report | {"finals_nano": work.finals_nano + cost})


def _record(work: _Work, outcome: StudyOutcome, fitted: Refit) -> tuple[Trace, ModelVersion]:
    """Package, predictions, version and trace: in one transaction."""
    objects = work.context.lake.objects
    package = objects.put(fitted.package) if fitted.package else None
    predictions = objects.put(fitted.predictions)
    with work.commit("model.train") as tx:
        version = _version(tx, work, outcome, fitted, package, predictions)
        studies.record_version(tx, version)
        trace = _trace(tx, work, outcome, fitted, version)
        traces.record(tx, trace, instead=True)  # a study that went on to a better winner
        _record_final(tx, work, fitted.seconds)
        tx.details.update(version=version.number, digest=version.digest, trials=len(outcome.trials))
    return trace, version


def _trace(tx: Tx, work: _Work, outcome: StudyOutcome, fitted: Refit, version: ModelVersion) -> Trace:
    """The record of the whole study and its final fit; the spend has the trials by themselves."""
    model, snapshot, trials = work.model, work.training.snapshot, outcome.trials
    manifest = {
        "code": dict(model.code.manifest),
        "settings": settings_of(model),
        "interpreter": interpreter(work.definitions.graph),
    }
    return Trace(
        id=tx.new_id("trc"),
        asset=model.name,
        kind="model",
        key=work.key,
        run=work.run,
        inputs=dict(work.semantics),
        input_snapshots={snapshot.table: snapshot.id},
        code_digest=model.code.digest,
        manifest_digest=traces.put_manifest(tx, manifest),
        output=version.id,
        output_semantic=_seen_of(version, fitted),
        seconds=sum(trial.seconds for trial in trials) / work.context.workers + fitted.seconds,
        cpu_seconds=sum(trial.cpu_seconds for trial in trials) + fitted.cpu_seconds,
        cost_nano=sum(trial.cost_nano for trial in trials) + work.final_nano(fitted.seconds),
        input_rows=len(work.training.matrix.y),
        created_us=tx.now_us,
        bundle=work.definitions.bundle.digest,
        runtime_digest=traces.put_manifest(tx, work.definitions.graph.runtime_manifest),
        definition=definition_digest(model, work.definitions.graph),
        dynamic=undeclared(model, united([outcome.reads, fitted.reads])),
    )


def _seen_of(version: ModelVersion, fitted: Refit) -> str:
    """Digest of what a table that reads the model can notice: also its predictions of rows that it was trained on."""
    predictions = digest("predictions", 1, fitted.predictions)
    seen = {"package": version.digest, "predictions": predictions, "facts": facts_of(version)}
    return digest_json("model seen", 1, seen)


def _version(
    tx: Tx,
    work: _Work,
    outcome: StudyOutcome,
    fitted: Refit,
    package: ObjectRecord | None,
    predictions: ObjectRecord,
) -> ModelVersion:
    training, found, winner = work.training, fitted.facts, outcome.winner
    assert winner is not None, "a study that is done has a winner"
    earlier = studies.list_versions(tx.connection, work.model.name)
    number = earlier[0].number + 1 if earlier else 1
    timed = training.snapshot.time is not None
    return ModelVersion(
        id=tx.new_id("mdl"),
        name=work.model.name,
        number=number,
        study=work.study.id,
        digest=digest("model", 1, fitted.package or fitted.predictions),
        format=found["format"],
        package=package.to_json() if package else None,
        predictions=predictions.to_json(),
        inputs=tuple(found["inputs"]),
        settings=dict(winner.settings),
        metrics=metrics(work.model, winner, training.baselines[0], outcome.trials),
        train_low_us=found["train_low_us"] if timed else None,
        train_high_us=found["train_high_us"] if timed else None,
        runtime=dict(found["runtime"]),
        releasable=found["reason"],
        card=card(work.model, training.snapshot, training.matrix, training.windows, number, found),
        created_us=tx.now_us,
    )
