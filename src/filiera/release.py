"""Releases: the gate's checks, moving an environment to a model version, and moving it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from filiera.challenge import Candidate, challenge
from filiera.core.asset import Graph, Model
from filiera.core.generation import Generation
from filiera.core.model import ModelVersion
from filiera.core.plan import Action, Dimension, Plan
from filiera.core.trace import Trace
from filiera.dimensions.apply import keep_bundle
from filiera.dimensions.context import Context, Definitions
from filiera.dimensions.dynamic import moved
from filiera.dimensions.follow import NOT_AS_RELEASED, follow
from filiera.dimensions.plan import definition_changes
from filiera.dimensions.versions import package_of
from filiera.errors import ConflictError, FilieraError, GateError, NotFoundError
from filiera.govern.gate import Check, judge
from filiera.lake.table import freed
from filiera.ledger import environments, removals, snapshots, sources, studies, traces
from filiera.runner.packagecheck import inspect_package
from filiera.train import evaluate

#: A model trained on a smaller share of the rows that are there by now is not fresh, unless it is held for longer.
FRESH_SHARE = 0.98


def catch_up(context: Context, environment: str) -> None:
    """Bring in new rows, so that the champion is judged on those that it would get in service."""
    try:
        follow(context, environment)
    except GateError as error:
        if error.code != NOT_AS_RELEASED:
            raise
        # another value is what is to be released; the champion is judged on the rows that it has


def gate_checks(
    context: Context,
    definitions: Definitions,
    candidate: Candidate,
    champion: ModelVersion | None,
    environment: str,
    plan: Plan,
) -> list[Check]:
    """Every condition with its evidence; all are made, so that one refusal names all reasons."""
    version = candidate.version
    checks = [
        _contract(context),
        _fresh(context, definitions, candidate, plan),
        _format(context, version),
        _baseline(version),
    ]
    if champion is None:
        return [*checks, Check("champion", True, "none is released yet")]
    return [*checks, _champion(context, candidate, champion, environment)]


def _contract(context: Context) -> Check:
    with context.ledger.reading() as connection:
        counts = {name: sources.count_rows(connection, name) for name in context.settings.sources}
    refused = [record.file.path for item in counts.values() for record in item.refused]
    if refused:
        return Check("contract", False, f"files that were refused as a whole: {', '.join(refused[:3])}")
    told = [f"{name}: {c.accepted:,} of {c.rows_read:,} rows accepted" for name, c in counts.items()]
    return Check("contract", True, "; ".join(told))


def _fresh(context: Context, definitions: Definitions, candidate: Candidate, plan: Plan) -> Check:
    """Whether the definitions are those that were trained with, on nearly all the rows that are there by now."""
    lineage = _lineage(context, candidate)
    wanted = {trace.asset for trace in lineage} | _upstream(definitions.graph, candidate.model.name)
    stale = [
        (step.asset, [reason.text for reason in step.reasons if reason.dimension is not Dimension.DATA])
        for step in plan.steps
        if step.asset in wanted and step.action is not Action.REUSE
    ]
    told = "; ".join(f"{asset}: {', '.join(texts)}" for asset, texts in stale if texts)
    if told:
        return Check("fresh inputs", False, f"{told}; run `filiera apply` first")
    stands = _stands(context, candidate, plan.environment)
    if other := "" if stands else _trained_otherwise(context, definitions, lineage):
        text = f"{candidate.version.label} was trained with other definitions: {other}"
        return Check("fresh inputs", False, f"{text}; bring them back and run `filiera apply`, or release what stands")
    trained, now = _source_rows(context, lineage)
    card = candidate.version.card
    text = f"trained on {card['table']} snapshot {card['snapshot']}"
    held = context.settings.hold_until(candidate.model.name)
    if trained < min(FRESH_SHARE, 1 - held) * now:
        return Check("fresh inputs", False, f"{text}, {trained:,} of {now:,} rows; run `filiera apply` first")
    return Check("fresh inputs", True, text + (f", {trained:,} of {now:,} rows" if trained != now else ""))


def _stands(context: Context, candidate: Candidate, source: str) -> bool:
    """Whether `source` stands at a version: where a definition behind it changed since, its output came out equal."""
    with context.ledger.reading() as connection:
        head = environments.head(connection, source)
    return head is not None and head.assets.get(candidate.version.name) == candidate.trace.id


def _lineage(context: Context, candidate: Candidate) -> list[Trace]:
    """The trace of a version, and of everything that it was made from."""
    found, waiting = {candidate.trace.id: candidate.trace}, [candidate.trace]
    with context.ledger.reading() as connection:
        while waiting:
            for name, output in waiting.pop().input_snapshots.items():
                trace = None if name in context.settings.sources else traces.of_output(connection, output)
                if trace is not None and trace.id not in found:
                    found[trace.id] = trace
                    waiting.append(trace)
    return list(found.values())


def _upstream(graph: Graph, name: str) -> set[str]:
    """An asset, and everything that it is made from by these definitions."""
    found, waiting = {name}, [name]
    while waiting:
        asset = graph.find(waiting.pop())
        fresh = {port.asset for port in asset.inputs} - found if asset else set()
        found |= fresh
        waiting += fresh
    return found


def _trained_otherwise(context: Context, definitions: Definitions, lineage: Sequence[Trace]) -> str:
    """How the definitions of the folder differ from those that a version was made with; "" = they do not."""
    graph, texts = definitions.graph, []
    for trace in lineage:
        asset = graph.find(trace.asset)
        if asset is None:
            texts.append(f"{trace.asset} is gone")
            continue
        with context.ledger.reading() as connection:
            record = traces.get_manifest(connection, trace.manifest_digest)
        changes = definition_changes(asset, trace, graph, record, moved(definitions.bundle, trace.dynamic))
        if changes:
            texts.append(f"{trace.asset}: {', '.join(reason.text for reason in changes)}")
    return "; ".join(texts)


def _source_rows(context: Context, lineage: Sequence[Trace]) -> tuple[int, int]:
    """Rows of the sources behind a version when it was trained, and now."""
    read = {name: output for trace in reversed(lineage) for name, output in trace.input_snapshots.items()}
    trained = now = 0
    with context.ledger.reading() as connection:
        for name in read.keys() & context.settings.sources.keys():
            snapshot, newest = snapshots.get(connection, read[name]), snapshots.latest(connection, name)
            trained += snapshot.rows if snapshot else 0
            now += newest.rows if newest else 0
    return trained, now


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
    unit = f" {version.card['unit']}" if version.card["unit"] else ""
    text = (
        f"{version.metrics['value']:.4g}{unit} against {version.metrics['baseline']} "
        f"{version.metrics['baseline_value']:.4g}{unit}, better in {wins} of {len(gains)} windows"
    )
    return Check("beats baseline", bool(gains.mean() > 0), text)


def _champion(context: Context, candidate: Candidate, champion: ModelVersion, environment: str) -> Check:
    name = f"beats champion {champion.label}"
    if champion.id == candidate.version.id:
        return Check(name, False, f"{champion.label} is what runs")
    verdict = challenge(context, candidate, champion, environment)
    return Check(name, verdict.verdict == evaluate.PROMOTED, f"{verdict.verdict}: {verdict.evidence}")


def find_candidate(context: Context, definitions: Definitions, version: ModelVersion) -> Candidate:
    """A version with its trace and its definition.

    Raises:
        NotFoundError: the pipeline has no such model any more, or the version was freed.
    """
    model = definitions.graph.find(version.name)
    if not isinstance(model, Model):
        raise NotFoundError(
            "model.no_definition", f"pipeline.py has no model {version.name}", next="release needs its definition"
        )
    with context.ledger.reading() as connection:
        trace = traces.of_output(connection, version.id)
        gone = removals.is_gone(connection, version.id)
    assert trace is not None, "a version is recorded with its trace"
    if gone:
        raise freed(f"model version {version.label}")
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
    keep_bundle(context, definitions)  # the folder may have moved on by a comment since the last apply
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
        NotFoundError: what stood there was freed.
    """
    with context.ledger.reading() as connection:
        past = environments.history(connection, environment, limit=1000)
        target = _before_last_release(past)
        made = [trace.output for name in target.assets.values() if (trace := traces.get(connection, name))]
        if any(removals.is_gone(connection, output) for output in (target.bundle, *made)):
            raise freed(f"a part of generation {target.number} of {environment}")
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
