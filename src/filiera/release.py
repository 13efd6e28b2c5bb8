"""Releases: the gate's checks, moving an environment to a model version, and moving it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from filiera.core.asset import Model
from filiera.core.generation import Generation
from filiera.core.model import ModelVersion
from filiera.core.plan import Action, Plan
from filiera.core.trace import Trace
from filiera.dimensions.context import Context, Definitions
from filiera.dimensions.training import Training, prepare
from filiera.dimensions.versions import facts_of, package_of, predictions_of
from filiera.engine.failure import raise_failure
from filiera.engine.memory import SharedBuffer
from filiera.engine.task import Task
from filiera.errors import ConflictError, FilieraError, NotFoundError
from filiera.govern.gate import Check, judge
from filiera.ledger import environments, snapshots, sources, studies, traces
from filiera.runner.matrix import unpack
from filiera.runner.packagecheck import inspect_package
from filiera.train import evaluate

PREDICT_MATRIX = "filiera.runner.predict:predict_matrix"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version that is to be released, and what stands behind it."""

    version: ModelVersion
    trace: Trace
    model: Model


def gate_checks(
    context: Context, definitions: Definitions, candidate: Candidate, champion: ModelVersion | None, plan: Plan
) -> list[Check]:
    """Every condition with its evidence; all are made, so that one refusal names all reasons."""
    version = candidate.version
    checks = [
        _contract(context),
        _fresh(version, candidate.model, plan),
        _format(context, version),
        _baseline(version),
    ]
    if champion is None:
        return [*checks, Check("champion", True, "none is released yet")]
    return [*checks, _champion(context, definitions, candidate, champion)]


def _contract(context: Context) -> Check:
    with context.ledger.reading() as connection:
        counts = {name: sources.count_rows(connection, name) for name in context.settings.sources}
    refused = [record.file.path for item in counts.values() for record in item.refused]
    if refused:
        return Check("contract", False, f"files that were refused as a whole: {', '.join(refused[:3])}")
    told = [f"{name}: {c.accepted:,} of {c.rows_read:,} rows accepted" for name, c in counts.items()]
    return Check("contract", True, "; ".join(told))


def _fresh(version: ModelVersion, model: Model, plan: Plan) -> Check:
    wanted = {model.name, *(port.asset for port in model.inputs)}
    stale = [step for step in plan.steps if step.asset in wanted and step.action is not Action.REUSE]
    if stale:
        reasons = "; ".join(f"{s.asset}: {', '.join(r.text for r in s.reasons)}" for s in stale)
        return Check("fresh inputs", False, f"{reasons}; run `filiera apply` first")
    return Check("fresh inputs", True, f"trained on {version.card['table']} snapshot {version.card['snapshot']}")


def _format(context: Context, version: ModelVersion) -> Check:
    if version.package is None:
        return Check("safe format", False, version.releasable)
    try:
        found = inspect_package(package_of(context.lake.objects, version), version.format)
    except FilieraError as error:
        return Check("safe format", False, error.message)
    return Check("safe format", True, f"{found.format}, {len(found.types)} types, all on the list that runs no code")


def _baseline(version: ModelVersion) -> Check:
    ours, theirs = version.metrics["window_scores"], version.metrics["baseline_window_scores"]
    gains = np.array(theirs) - np.array(ours)
    wins = int((gains > 0).sum())
    unit = version.card["unit"] or ""
    text = (
        f"{version.metrics['value']:.4g} {unit} against {version.metrics['baseline']} "
        f"{version.metrics['baseline_value']:.4g} {unit}, better in {wins} of {len(gains)} windows"
    )
    return Check("beats baseline", bool(gains.mean() > 0), text)


def _champion(context: Context, definitions: Definitions, candidate: Candidate, champion: ModelVersion) -> Check:
    name = f"beats champion {champion.label}"
    if champion.id == candidate.version.id:
        return Check(name, False, f"{champion.label} is what runs")
    with context.ledger.reading() as connection:
        snapshot = snapshots.get(connection, next(iter(candidate.trace.input_snapshots.values())))
    assert snapshot is not None, "a trace's snapshots are never removed"
    training = prepare(context, candidate.model, snapshot)
    try:
        verdict = _judge(context, definitions, candidate, champion, training)
    finally:
        training.rows.close()
    return Check(name, verdict.verdict == evaluate.PROMOTED, f"{verdict.verdict}: {verdict.evidence}")


def _judge(
    context: Context, definitions: Definitions, candidate: Candidate, champion: ModelVersion, training: Training
) -> evaluate.Verdict:
    """Compare on the complete windows after the champion's training, each model on rows it has not seen."""
    matrix, model = training.matrix, candidate.model
    if champion.train_high_us is None or len(matrix.time) == 0:
        return evaluate.Verdict(verdict=evaluate.NOT_JUDGED, evidence="rows without time cannot be told new from old")
    windows = evaluate.judged_windows(
        training.windows,
        champion_high_us=champion.train_high_us,
        gap_us=model.split.gap_us,
        newest_us=int(matrix.time[-1]),
    )
    if not windows:
        evidence = "no complete window lies after the champion's training; wait for more rows"
        return evaluate.Verdict(verdict=evaluate.NOT_JUDGED, evidence=evidence)
    rows, old = _ask_champion(context, definitions, champion, training.rows, windows)
    new = np.full(len(matrix.y), np.nan)
    _, blocks = unpack(predictions_of(context.lake.objects, candidate.version))
    new[blocks["row"]] = blocks["prediction"]
    minimum = context.settings.rules_of(model.name).minimum_gain
    return evaluate.judge(
        matrix.time[rows],
        matrix.y[rows],
        old,
        new[rows],
        score_name=model.score,
        unit=candidate.version.card["unit"],
        least_gain=minimum or None,
    )


def _ask_champion(
    context: Context, definitions: Definitions, champion: ModelVersion, rows: SharedBuffer, windows: Sequence[Any]
) -> tuple[Any, Any]:
    package = SharedBuffer.create([package_of(context.lake.objects, champion)])
    task = Task(
        id="champion",
        function=PREDICT_MATRIX,
        arguments={"facts": facts_of(champion), "windows": [window.to_json() for window in windows]},
        inputs=(rows, package),
        bundle=str(definitions.root),
    )
    try:
        context.engine.submit(task)
        (result,) = context.engine.wait()
        raise_failure(result, f"champion {champion.label}")
    finally:
        package.close()
    (buffer,) = result.outputs
    _, blocks = unpack(buffer.view())
    buffer.close()
    return blocks["row"], blocks["prediction"]


def find_candidate(context: Context, definitions: Definitions, version: ModelVersion) -> Candidate:
    """A version with its trace and its definition.

    Raises:
        NotFoundError: the pipeline has no such model any more.
    """
    model = definitions.graph.find(version.name)
    if not isinstance(model, Model):
        raise NotFoundError(
            "model.no_definition", f"pipeline.py has no model {version.name}", next="release needs its definition"
        )
    with context.ledger.reading() as connection:
        trace = traces.of_output(connection, version.id)
    assert trace is not None, "a version is recorded with its trace"
    return Candidate(version, trace, model)


def champion_of(context: Context, environment: str, name: str) -> ModelVersion | None:
    """The version of a model that an environment runs."""
    with context.ledger.reading() as connection:
        head = environments.head(connection, environment)
        trace = traces.get(connection, head.assets[name]) if head and name in head.assets else None
        return studies.get_version(connection, trace.output) if trace else None


def release(
    context: Context,
    definitions: Definitions,
    candidate: Candidate,
    environment: str,
    source: str,
    checks: Sequence[Check],
) -> Generation:
    """Move an environment to a version, when every check passed; one transaction with its audit entry.

    The environment takes over the definitions and tables of `source` as they stand, and of models only this one.

    Raises:
        GateError: a check failed; nothing changed but the audit entry of the refusal.
    """
    what = f"{environment}:{candidate.version.label}"
    try:
        judge(candidate.version.label, checks)
    except FilieraError:
        details = {"checks": [check.to_json() for check in checks]}
        with context.ledger.commit(actor=context.principal, action="release.refused", object=what, details=details):
            pass
        raise
    with context.ledger.reading() as connection:
        before = environments.head(connection, environment)
        origin = environments.head(connection, source)
    assets = _released_assets(definitions, candidate, before, origin)
    with context.ledger.commit(actor=context.principal, action="release", object=what) as tx:
        generation = Generation(
            id=tx.new_id("gen"),
            environment=environment,
            number=before.number + 1 if before else 1,
            kind="release",
            assets=assets,
            bundle=definitions.bundle.digest,
            cause={
                "model": candidate.version.label,
                "digest": candidate.version.digest,
                "checks": [check.to_json() for check in checks],
                "self_released": True,
            },
            actor=context.principal,
            created_us=tx.now_us,
        )
        environments.advance(tx, generation, before.number if before else 0)
        tx.details.update(generation=generation.number, digest=candidate.version.digest, self_released=True)
    return generation


def _released_assets(
    definitions: Definitions, candidate: Candidate, before: Generation | None, origin: Generation | None
) -> dict[str, str]:
    graph = definitions.graph
    kept = {
        name: trace
        for name, trace in (before.assets if before else {}).items()
        if graph.find(name) or name in graph.sources
    }
    tables = {table.name for table in graph.tables} | set(graph.sources)
    taken = {name: trace for name, trace in (origin.assets if origin else {}).items() if name in tables}
    return kept | taken | {candidate.version.name: candidate.trace.id}


def rollback(context: Context, environment: str) -> Generation:
    """Move an environment to where it was before its last release; one transaction with its audit entry.

    Raises:
        ConflictError: there is nothing before it.
    """
    with context.ledger.reading() as connection:
        past = environments.history(connection, environment, limit=1000)
    target = _before_last_release(past)
    with context.ledger.commit(actor=context.principal, action="rollback", object=environment) as tx:
        generation = Generation(
            id=tx.new_id("gen"),
            environment=environment,
            number=past[0].number + 1,
            kind="rollback",
            assets=dict(target.assets),
            bundle=target.bundle,
            cause={"to": target.number},
            actor=context.principal,
            created_us=tx.now_us,
        )
        environments.advance(tx, generation, past[0].number)
        tx.details.update(generation=generation.number, to=target.number)
    return generation


def _before_last_release(past: Sequence[Generation]) -> Generation:
    """The newest generation that is older than the release which stands now.

    A rollback stands for the generation it went to, so a second rollback goes one release further back.
    """
    by_number: Mapping[int, Generation] = {item.number: item for item in past}
    standing = past[0] if past else None
    while standing is not None and standing.kind != "release":
        number = standing.cause["to"] if standing.kind == "rollback" else standing.number - 1
        standing = by_number.get(number)
    target = by_number.get(standing.number - 1) if standing else None
    if target is None:
        raise ConflictError(
            "rollback.nothing", "there is no earlier release to go back to", next="`filiera status` shows what runs"
        )
    return target
