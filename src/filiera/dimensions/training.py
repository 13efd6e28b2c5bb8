"""Train one model: its study, the final fit of the winner, its package and its record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from filiera.clock import rfc3339
from filiera.core.asset import Model
from filiera.core.model import ModelVersion
from filiera.core.snapshot import ObjectRecord, Snapshot
from filiera.core.trace import Trace
from filiera.core.trial import Baseline, Study, Trial
from filiera.digest import digest
from filiera.dimensions.context import Context, Definitions
from filiera.dimensions.facts import LedgerFacts
from filiera.dimensions.key import columns_read, interpreter, settings_of
from filiera.engine.memory import SharedBuffer
from filiera.ledger import environments, studies, traces
from filiera.ledger.journal import Ledger, Tx
from filiera.runner.matrix import Matrix, Window
from filiera.train import worth
from filiera.train.baseline import baselines
from filiera.train.leakage import refuse_leakage
from filiera.train.matrix import share_matrix
from filiera.train.split import fold_windows, refit_range, windows
from filiera.train.study import Progress, Refit, StudyOutcome, StudyRequest, refit, run_study
from filiera.train.value import Worth, per_unit, stated_worth

MEMORY_SHARE = 0.7  #: of the free memory, for all trials together


@dataclass(frozen=True, slots=True)
class TrialLog:
    """Keeps trials in the ledger."""

    ledger: Ledger
    study: Study
    actor: str

    def add_trials(self, trials: Sequence[Trial]) -> None:
        """Remember trials that start."""
        with self._commit("trial.start", trials) as tx:
            studies.add_trials(tx, self.study.id, trials)

    def finish_trials(self, trials: Sequence[Trial]) -> None:
        """Remember what came of them."""
        with self._commit("trial.finish", trials) as tx:
            studies.finish_trials(tx, self.study.id, trials)

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


def prepare(context: Context, model: Model, snapshot: Snapshot) -> Training:
    """Put the rows of a model into shared memory and divide them; the caller closes `rows`.

    Raises:
        WorkError: too little data.
        ContractError: a column is missing, or an input gives the target away.
    """
    wanted = columns_read(model, snapshot.key, snapshot.time) or ()
    table = context.read(snapshot, [name for name in wanted if name in snapshot.columns])
    device = next((name for name in snapshot.key if name != snapshot.time), None)
    units = {str(column["name"]): column.get("unit") for column in snapshot.schema}
    rows, matrix = share_matrix(table, model, key=snapshot.key, time=snapshot.time, device=device, units=units)
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
    """Search, fit the winner on the newest rows, and record the version.

    Raises:
        WorkError: too little data, no trial succeeded, or an input gives the target away.
        KeyboardInterrupt: the study was interrupted; its trials are kept and the next apply goes on.
    """
    snapshot = facts.snapshot(model.inputs[0].asset)
    assert snapshot is not None, "a step runs only when its inputs have data"
    training = prepare(context, model, snapshot)
    try:
        study = _open_study(context, model, key)
        most, first = facts.study_size(model)
        request = StudyRequest(
            model=model,
            rows=training.rows,
            windows=training.windows,
            bundle=str(definitions.root),
            trials=trials or most,
            champion=first[0] if first else None,
            lag=study.workers,
            memory_limit_bytes=_free_memory(),
        )
        outcome = _search(context, model, training, study, request)
        fitted = _fit_winner(context, request, outcome, training)
    finally:
        training.rows.close()
    trace, version = _record(context, definitions, key, semantics, run_id, study, training, request, outcome, fitted)
    text = _summary(version, request, outcome)
    context.progress.end(model.name, text)
    return trace, text


def _search(context: Context, model: Model, training: Training, study: Study, request: StudyRequest) -> StudyOutcome:
    with context.ledger.reading() as connection:
        known = studies.list_trials(connection, study.id)
    value, budget = _worth(context, model), _budget(context, model)
    context.progress.start(model.name, request.trials, "")
    outcome = run_study(
        request,
        context.engine,
        TrialLog(context.ledger, study, context.principal),
        rule=lambda best: _rule(value, budget, training, request, best),
        price=lambda seconds: context.prices.trial_nano(seconds, context.workers, waited_for=context.waited_for),
        earlier=known,
        progress=_shown(context, model, training),
    )
    if outcome.state == "interrupted":
        raise KeyboardInterrupt
    return outcome


def _rule(
    value: Worth, budget: float | None, training: Training, request: StudyRequest, best: float | None
) -> worth.Rule:
    return worth.Rule(
        value=per_unit(value, training.baselines[0].score, best),
        budget=budget,
        most_trials=request.trials,
        least_trials=min(10, request.trials),
    )


def _fit_winner(context: Context, request: StudyRequest, outcome: StudyOutcome, training: Training) -> Refit:
    assert outcome.winner is not None, "a study that is done has a winner"
    span = refit_range(request.model.split, training.matrix.time)
    return refit(request, context.engine, outcome.winner.settings, span)


def _open_study(context: Context, model: Model, key: str) -> Study:
    with context.ledger.reading() as connection:
        found = studies.find_study(connection, model.name, key)
    if found is not None:
        return found
    with context.ledger.commit(actor=context.principal, action="study.begin", object=model.name) as tx:
        study = Study(id=tx.new_id("std"), model=model.name, key=key, created_us=tx.now_us, workers=context.workers)
        studies.create_study(tx, study)
    return study


def _worth(context: Context, model: Model) -> Worth:
    rules = context.settings.rules_of(model.name)
    return stated_worth(rules.worth, rules.stop, context.prices.currency)


def _budget(context: Context, model: Model) -> float | None:
    """What this study may spend: its own limit, and what is left of the month's."""
    limits = []
    own, monthly = context.settings.rules_of(model.name).budget, context.settings.project.monthly_budget
    if own is not None:
        limits.append(own.amount)
    if monthly is not None:
        since = context.clock.now_us() - 30 * 86_400_000_000
        with context.ledger.reading() as connection:
            limits.append(max(0.0, monthly.amount - environments.total_spend(connection, since) / 1e9))
    return min(limits) if limits else None


def _free_memory() -> int | None:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
    except OSError:
        return None
    return int(int(fields["MemAvailable"].split()[0]) * 1024 * MEMORY_SHARE)


def _shown(context: Context, model: Model, training: Training) -> Callable[[Progress], None]:
    currency = context.prices.currency

    def show(live: Progress) -> None:
        best = f"best {live.best:.4g}" if live.best is not None else "no score yet"
        gain = "judging" if live.gain is None else f"next may gain {live.gain:.2g} for {live.price:.2g}"
        spent = live.spent_nano / 1e9
        text = f"{best}, baseline {training.baselines[0].score:.4g}, spent {spent:.3g} {currency}, {gain}"
        context.progress.update(model.name, live.done, text)

    return show


def _record(
    context: Context,
    definitions: Definitions,
    key: str,
    semantics: Mapping[str, str],
    run_id: str,
    study: Study,
    training: Training,
    request: StudyRequest,
    outcome: StudyOutcome,
    fitted: Refit,
) -> tuple[Trace, ModelVersion]:
    """Package, predictions, version, study report and trace: in one transaction."""
    model, objects = training.model, context.lake.objects
    package = objects.put(fitted.package) if fitted.package else None
    predictions = objects.put(fitted.predictions)
    seconds = sum(trial.seconds for trial in outcome.trials) / context.workers + fitted.seconds
    cost = sum(trial.cost_nano for trial in outcome.trials)
    cost += context.prices.trial_nano(fitted.seconds, 1, waited_for=context.waited_for)
    with context.ledger.commit(actor=context.principal, action="model.train", object=model.name) as tx:
        version = _version(tx, study, training, outcome, fitted, package, predictions)
        studies.record_version(tx, version)
        studies.put_report(tx, study.id, _report(context, training, request, outcome))
        manifest = {
            "code": dict(model.code.manifest),
            "settings": settings_of(model),
            "interpreter": interpreter(definitions.graph),
        }
        trace = Trace(
            id=tx.new_id("trc"),
            asset=model.name,
            kind="model",
            key=key,
            run=run_id,
            inputs=dict(semantics),
            input_snapshots={training.snapshot.table: training.snapshot.id},
            code_digest=model.code.digest,
            manifest_digest=traces.put_manifest(tx, manifest),
            output=version.id,
            output_semantic=version.digest,
            seconds=seconds,
            cpu_seconds=sum(trial.cpu_seconds for trial in outcome.trials) + fitted.cpu_seconds,
            cost_nano=cost,
            input_rows=len(training.matrix.y),
            created_us=tx.now_us,
        )
        traces.record(tx, trace)
        environments.record_spend(tx, run=run_id, asset=model.name, cost_nano=cost, seconds=seconds)
        tx.details.update(version=version.number, digest=version.digest, trials=len(outcome.trials))
    return trace, version


def _report(context: Context, training: Training, request: StudyRequest, outcome: StudyOutcome) -> dict[str, Any]:
    value = _worth(context, training.model)
    best = outcome.winner.score if outcome.winner else None
    return {
        "baselines": [
            {"name": item.name, "score": item.score, "window_scores": list(item.window_scores)}
            for item in training.baselines
        ],
        "reason": outcome.stop_reason,
        "limit": request.trials,
        "worth": value.text,
        "value_per_unit": per_unit(value, training.baselines[0].score, best),
        "currency": value.currency,
        "frontier": dict(outcome.frontier),
        "warnings": list(outcome.warnings),
    }


def _version(
    tx: Tx,
    study: Study,
    training: Training,
    outcome: StudyOutcome,
    fitted: Refit,
    package: ObjectRecord | None,
    predictions: ObjectRecord,
) -> ModelVersion:
    model, found, winner = training.model, fitted.facts, outcome.winner
    assert winner is not None
    earlier = studies.list_versions(tx.connection, model.name)
    number = earlier[0].number + 1 if earlier else 1
    timed = training.snapshot.time is not None
    baseline = training.baselines[0]
    return ModelVersion(
        id=tx.new_id("mdl"),
        name=model.name,
        number=number,
        study=study.id,
        digest=digest("model", 1, fitted.package or fitted.predictions),
        format=found["format"],
        package=package.to_json() if package else None,
        predictions=predictions.to_json(),
        inputs=tuple(found["inputs"]),
        settings=dict(winner.settings),
        metrics={
            "score": model.score,
            "value": winner.score,
            "window_scores": list(winner.window_scores),
            "baseline": baseline.name,
            "baseline_value": baseline.score,
            "baseline_window_scores": list(baseline.window_scores),
            "trials": len(outcome.trials),
            "spent_nano": sum(trial.cost_nano for trial in outcome.trials),
        },
        train_low_us=found["train_low_us"] if timed else None,
        train_high_us=found["train_high_us"] if timed else None,
        runtime=dict(found["runtime"]),
        releasable=found["reason"],
        card=_card(training, number, found),
        created_us=tx.now_us,
    )


def _card(training: Training, number: int, found: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a version, for people; nothing here is written by hand."""
    snapshot, model = training.snapshot, training.model
    timed = snapshot.time is not None
    units = {str(column["name"]): column.get("unit") for column in snapshot.schema}
    windows = [[rfc3339(w.test_low), rfc3339(w.test_high)] for w in training.windows]
    span = [rfc3339(found["train_low_us"]), rfc3339(found["train_high_us"])] if timed else "all rows"
    return {
        "model": f"{model.name}@{number}",
        "predicts": model.predicts,
        "unit": units.get(model.predicts),
        "key": [name for name in snapshot.key if name != snapshot.time],
        "time": snapshot.time,
        "table": snapshot.table,
        "snapshot": snapshot.number,
        "rows": len(training.matrix.y),
        "rows_without_target": training.matrix.header["dropped"],
        "windows": windows if timed else len(training.windows),
        "trained_on": span,
        "trained_rows": found["rows"],
        "notes": list(found["warnings"]),
    }


def _summary(version: ModelVersion, request: StudyRequest, outcome: StudyOutcome) -> str:
    unit, metrics = version.card["unit"] or "", version.metrics
    return (
        f"{version.label}: {metrics['score']} {metrics['value']:.4g} {unit} (baseline {metrics['baseline']} "
        f"{metrics['baseline_value']:.4g}), {len(outcome.trials)} of at most {request.trials} trials: "
        f"{outcome.stop_reason}"
    )
