"""Do what the plan says, step by step; killed at any moment, the next run continues.

Each step commits by itself with its trace: a file, a table, a trial, a model version. The environment moves to a new
generation at the end. A step that was finished before filiera was stopped is found again by its key and not repeated.
"""

from __future__ import annotations

import fcntl
import html
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filiera.collect.file import Standing
from filiera.core.asset import Graph, Model, Table
from filiera.core.generation import Generation
from filiera.core.ids import new_id
from filiera.core.money import Money
from filiera.core.plan import Action, Step
from filiera.core.trace import Trace
from filiera.digest import digest_json
from filiera.dimensions import waiting as files
from filiera.dimensions.compute import compute_table
from filiera.dimensions.context import Context, Definitions
from filiera.dimensions.facts import LedgerFacts
from filiera.dimensions.ingest import ingest_source
from filiera.dimensions.plan import consider, known_inputs, priced
from filiera.dimensions.training import train_model
from filiera.errors import ConflictError, FilieraError
from filiera.ledger import environments, removals, snapshots, traces
from filiera.ledger.forecasts import record as record_forecasts
from filiera.ledger.journal import Tx

LOCK_POLL_S = 0.05
#: Called in the transaction that publishes a generation, with its number; an error of it keeps everything as it was.
Guard = Callable[[Tx, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of one step."""

    asset: str
    operation: str
    outcome: str  #: "done", "reused", "held" or "failed"
    text: str = ""
    seconds: float = 0.0
    cost: Money | None = None
    key: str | None = None  #: of a step that failed


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyReport:
    """What an apply did."""

    environment: str
    steps: tuple[Done, ...]
    restored: tuple[str, ...] = ()  #: assets of which an earlier result stands again
    refused: tuple[tuple[str, FilieraError], ...]  #: files that were refused as a whole
    failure: FilieraError | None  #: the error that stopped a step; later steps that need it were held
    generation: int | None
    seconds: float
    cost: Money

    def to_json(self) -> dict[str, Any]:
        """`filiera.apply/1`."""
        return {
            "schema": "filiera.apply/1",
            "environment": self.environment,
            "generation": self.generation,
            "seconds": round(self.seconds, 3),
            "cost": self.cost.to_json(),
            "steps": [
                {
                    "asset": step.asset,
                    "operation": step.operation,
                    "outcome": step.outcome,
                    "text": step.text,
                    "seconds": round(step.seconds, 3),
                    "cost": step.cost.to_json() if step.cost else None,
                }
                for step in self.steps
            ],
            "restored": list(self.restored),
            "refused": [{"path": path, **error.to_json()} for path, error in self.refused],
            "failure": self.failure.to_json() if self.failure else None,
        }

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.to_text())}</pre>"

    def to_text(self) -> str:
        """A line a step, refused files, and the sum."""
        told = self.failure.message if self.failure else None  # with its parts, below the steps
        texts = ["" if step.text == told else step.text for step in self.steps]
        lines = [
            f"  {step.outcome:7} {step.asset:16} {text}".rstrip() for step, text in zip(self.steps, texts, strict=True)
        ]
        if self.restored:
            lines.append(f"  {'restored':7} {', '.join(self.restored)}")
        lines += [f"  refused {path}\n{_indented(str(error))}" for path, error in self.refused]
        if self.failure:
            lines.append(_indented(str(self.failure)))
        if not lines:
            lines.append("nothing to do")
        tail = f", {self.environment} is at generation {self.generation}" if self.generation else ""
        lines.append(f"{self.seconds:.1f} s, {self.cost}{tail}")
        return "\n".join(lines)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


@contextmanager
def apply_lock(path: Path, *, wait_s: float = 0.0) -> Iterator[None]:
    """One apply, follow or release at a time per project.

    Raises:
        ConflictError: another one runs, and still does after `wait_s`; names its process.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, time.monotonic() + wait_s)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, until: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() >= until:
                holder = os.pread(descriptor, 20, 0).decode().strip()
                raise ConflictError(
                    "apply.running",
                    "another apply is running",
                    found=f"process {holder}",
                    next="wait for it, then look again",
                ) from error
        time.sleep(LOCK_POLL_S)


def apply(
    context: Context,
    definitions: Definitions,
    environment: str,
    *,
    kind: str = "apply",
    head: Generation | None = None,
    pinned: Mapping[str, Trace] | None = None,
    left_out: frozenset[str] = frozenset(),
    trials: int | None = None,
    cause: Mapping[str, Any] | None = None,
    guard: Guard | None = None,
    studies_go_on: bool = True,
) -> ApplyReport:
    """Bring an environment up to date with the definitions.

    Args:
        context: the open project.
        definitions: the graph and its code.
        environment: which one moves.
        kind: "apply", or "follow" for new data under the same definitions.
        head: the generation that this starts from; default: the newest.
        pinned: traces that stand whatever changed, such as the released models of a follow.
        left_out: assets that are not computed here, such as models that were never released.
        trials: upper limit of trials for this run.
        cause: why the environment moves, for its record; such as settings of this run only.
        guard: may refuse to publish.
        studies_go_on: a study that ended goes on where it may, such as when its limit was raised.

    Raises:
        ConflictError: somebody moved the environment meanwhile; the work is kept under its keys.
    """
    began = time.monotonic()
    run_id = new_id("run", context.clock.now_us(), os.urandom)
    done, refused = _ingest(context, run_id)
    facts = LedgerFacts(context, environment, head, trials, definitions.bundle)
    failure: FilieraError | None = None
    forecasts: list[dict[str, Any]] = []
    restored: list[str] = []
    blocked = dict.fromkeys(left_out, 0.0)
    for asset in definitions.graph.ordered():
        if pinned and asset.name in pinned:
            facts.stand(pinned[asset.name])
            continue
        if asset.name in left_out:
            continue
        (step,) = consider([asset], definitions.graph, facts, blocked)
        if step.action in (Action.REUSE, Action.RESTORE) and not (step.detail and studies_go_on):
            restored += [asset.name] if step.action is Action.RESTORE else []
            continue
        keep_bundle(context, definitions)
        step = priced(step, definitions.graph, facts)
        item, error = _take(context, definitions, facts, asset, step, run_id, trials)
        failure = failure or error
        done.append(item)
        if step.action is Action.RUN and item.outcome == "done":
            forecasts.append(_forecast(step, item))
        if item.outcome != "done" and asset.name not in facts.standing():
            blocked[asset.name] = 0.0
    reasons = {"run": run_id, **(cause or {})}
    generation = _advance(context, definitions, facts, environment, kind, reasons, forecasts, guard)
    cost = sum((item.cost.nano for item in done if item.cost), 0)
    return ApplyReport(
        environment=environment,
        steps=tuple(done),
        restored=tuple(restored),
        refused=tuple(refused),
        failure=failure,
        generation=generation,
        seconds=time.monotonic() - began,
        cost=Money(cost, context.prices.currency),
    )


def _ingest(context: Context, run_id: str) -> tuple[list[Done], list[tuple[str, FilieraError]]]:
    """Read every source's new and changed files."""
    done: list[Done] = []
    refused: list[tuple[str, FilieraError]] = []
    for name, source in context.settings.sources.items():
        waiting = files.candidates(context, name)
        if not waiting:
            continue
        began = time.monotonic()
        report = ingest_source(context, source, waiting)
        refused += report.refused
        if any(item.standing is not Standing.TOUCHED for item in waiting):
            seconds = time.monotonic() - began
            cost = _spent(context, run_id, name, seconds)
            text = report.text()
            done.append(Done(asset=name, operation="ingest", outcome="done", text=text, seconds=seconds, cost=cost))
    return done, refused


def _spent(context: Context, run_id: str, source: str, seconds: float) -> Money:
    """Book what an ingest took; it runs on one core."""
    nano = context.prices.trial_nano(seconds, 1, waited_for=context.waited_for)
    with context.ledger.commit(actor=context.principal, action="source.spend", object=source) as tx:
        environments.record_spend(tx, run=run_id, asset=source, cost_nano=nano, seconds=seconds)
    return Money(nano, context.prices.currency)


def _take(
    context: Context,
    definitions: Definitions,
    facts: LedgerFacts,
    asset: Table | Model,
    step: Step,
    run_id: str,
    trials: int | None,
) -> tuple[Done, FilieraError | None]:
    """Run one step, and say what came of it; an error holds what needs it and nothing else."""
    if step.action in (Action.HOLD, Action.MAYBE) or step.key is None:
        return _held(step), None
    try:
        trace, item = _run_step(context, definitions, facts, asset, step, run_id, trials)
    except FilieraError as error:
        context.progress.end(asset.name, "failed")
        cost, seconds = _booked(context, run_id, asset.name)
        failed = Done(
            asset=asset.name, operation=step.operation, outcome="failed", text=error.message, seconds=seconds,
            cost=cost, key=step.key,
        )  # fmt: skip
        return failed, error
    facts.stand(trace)
    return item, None


def keep_bundle(context: Context, definitions: Definitions) -> None:
    """Store the code before it runs, so that every trace can be made again from what the ledger has."""
    digest = definitions.bundle.digest
    with context.ledger.reading() as connection:
        if environments.get_bundle(connection, digest) is not None and not removals.is_gone(connection, digest):
            return
    record = context.lake.objects.put(definitions.bundle.pack())
    with context.ledger.commit(actor=context.principal, action="bundle.keep", object=digest) as tx:
        environments.put_bundle(tx, digest, record)


def _forecast(step: Step, item: Done) -> dict[str, Any]:
    """What the step was expected to take, beside what it took."""
    return {
        "asset": step.asset,
        "operation": step.operation,
        "p10_s": step.seconds_p10,
        "expected_s": step.seconds,
        "p90_s": step.seconds_p90,
        "actual_s": item.seconds,
        "guess": step.guess,
    }


def _held(step: Step) -> Done:
    text = "; ".join(reason.text for reason in step.reasons)
    return Done(asset=step.asset, operation=step.operation, outcome="held", text=text)


def _run_step(
    context: Context,
    definitions: Definitions,
    facts: LedgerFacts,
    asset: Table | Model,
    step: Step,
    run_id: str,
    trials: int | None,
) -> tuple[Trace, Done]:
    assert step.key is not None
    semantics = known_inputs(asset, facts)
    if isinstance(asset, Table):
        trace = compute_table(context, definitions, facts, asset, step.key, semantics, run_id)
        with context.ledger.reading() as connection:
            snapshot = snapshots.get(connection, trace.output)
        text = f"{snapshot.rows:,} rows, snapshot {snapshot.number}" if snapshot else ""
    else:
        context.lake.objects.forget()  # a study needs the memory, and reads one table once
        trace, text = train_model(context, definitions, facts, asset, step.key, semantics, run_id, trials)
    cost, seconds = _booked(context, run_id, asset.name)
    return trace, Done(
        asset=asset.name, operation=step.operation, outcome="done", text=text, seconds=seconds, cost=cost
    )


def _booked(context: Context, run_id: str, asset: str) -> tuple[Money, float]:
    """What this run spent on an asset; of a study that went on, its new trials only."""
    with context.ledger.reading() as connection:
        nano, seconds = environments.step_spend(connection, run_id, asset)
    return Money(nano, context.prices.currency), seconds


def idle_report(context: Context, definitions: Definitions, facts: LedgerFacts, environment: str) -> ApplyReport | None:
    """The report of an apply that has nothing to do; None when it would move the environment at least."""
    before = facts.head
    assets, fresh = _target(context, definitions, facts)
    if before is None or not _stands(before, assets, fresh, definitions):
        return None
    nothing = Money(0, context.prices.currency)
    return ApplyReport(
        environment=environment, steps=(), refused=(), failure=None, generation=before.number, seconds=0.0, cost=nothing
    )


def _advance(
    context: Context,
    definitions: Definitions,
    facts: LedgerFacts,
    environment: str,
    kind: str,
    cause: Mapping[str, Any],
    forecasts: Sequence[Mapping[str, Any]],
    guard: Guard | None,
) -> int | None:
    """Move the environment to what stands now; None when that is where it is."""
    before = facts.head
    assets, fresh = _target(context, definitions, facts)
    if before is not None and _stands(before, assets, fresh, definitions):
        return before.number
    keep_bundle(context, definitions)
    with context.ledger.commit(actor=context.principal, action=f"environment.{kind}", object=environment) as tx:
        for name in fresh:
            assets[name] = _source_trace(context, tx, name, cause["run"])
        number = before.number + 1 if before else 1
        generation = Generation(
            id=tx.new_id("gen"),
            environment=environment,
            number=number,
            kind=kind,
            assets=assets,
            bundle=definitions.bundle.digest,
            cause=cause,
            actor=context.principal,
            created_us=tx.now_us,
        )
        environments.advance(tx, generation, before.number if before else 0)
        record_forecasts(tx, cause["run"], forecasts)
        tx.details.update(generation=number, **{name: value for name, value in cause.items() if name != "run"})
        if guard is not None:
            guard(tx, number)
    return number


def _target(context: Context, definitions: Definitions, facts: LedgerFacts) -> tuple[dict[str, str], list[str]]:
    """What the environment should name, and the sources whose newest snapshot has no trace yet."""
    kept = _kept(definitions.graph, facts, facts.head)
    with context.ledger.reading() as connection:
        newest = {name: snapshots.latest(connection, name) for name in definitions.graph.sources}
        known = {name: traces.of_output(connection, item.id) if item else None for name, item in newest.items()}
    fresh = [name for name, item in newest.items() if item is not None and known[name] is None]
    return kept | {name: trace.id for name, trace in known.items() if trace is not None}, fresh


def _stands(before: Generation, assets: Mapping[str, str], fresh: list[str], definitions: Definitions) -> bool:
    return not fresh and dict(before.assets) == assets and before.bundle == definitions.bundle.digest


def _kept(graph: Graph, facts: LedgerFacts, head: Generation | None) -> dict[str, str]:
    """What stands: traces of this run, and for assets that failed or wait the one from before."""
    standing = facts.standing()
    found = {}
    for asset in graph.definitions:
        if asset.name in standing:
            found[asset.name] = standing[asset.name].id
        elif head and asset.name in head.assets:
            found[asset.name] = head.assets[asset.name]
    return found


def _source_trace(context: Context, tx: Tx, name: str, run_id: str) -> str:
    snapshot = snapshots.latest(tx.connection, name)
    assert snapshot is not None
    contract = context.settings.sources[name].contract
    trace = Trace(
        id=tx.new_id("trc"),
        asset=name,
        kind="source",
        key=digest_json("key", 1, {"asset": name, "contract": contract.digest, "rows": snapshot.semantic}),
        run=run_id,
        inputs={},
        input_snapshots={},
        code_digest=contract.digest,
        manifest_digest=traces.put_manifest(tx, {"contract": contract.to_json()}),
        output=snapshot.id,
        output_semantic=snapshot.semantic,
        seconds=0.0,
        cpu_seconds=0.0,
        cost_nano=0,
        input_rows=snapshot.rows,
        created_us=tx.now_us,
    )
    traces.record(tx, trace)
    return trace.id
