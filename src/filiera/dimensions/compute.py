"""Compute one table: its new and changed days side by side, committed with their trace in one transaction."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from filiera.clock import US_PER_DAY
from filiera.core.asset import Frame, Table
from filiera.core.contract import OPEN
from filiera.core.key import columns_read, definition_digest, interpreter, settings_of
from filiera.core.model import ModelVersion
from filiera.core.snapshot import Snapshot
from filiera.core.trace import Trace
from filiera.dimensions.context import Context, Definitions, scope_of
from filiera.dimensions.dynamic import undeclared
from filiera.dimensions.facts import LedgerFacts
from filiera.dimensions.partcheck import refuse_difference, sample_days
from filiera.dimensions.parts import changed_days, lookback_days, slices
from filiera.engine.failure import raise_failure
from filiera.engine.memory import SharedBuffer
from filiera.engine.reads import united
from filiera.engine.task import Result, Task
from filiera.errors import WorkError
from filiera.lake.rows import arrow_schema
from filiera.ledger import environments, studies, traces
from filiera.ledger.journal import Tx
from filiera.runner.frames import ipc_writer, one_schema

COMPUTE = "filiera.runner.table:compute"
Span = tuple[int | None, int | None]


class _OtherTypesError(Exception):
    """New days have other columns or types than the days that would stay."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What came of one span."""

    span: Span
    time: str | None
    rows: pa.Table


@dataclass(slots=True)
class Run:
    """What the parts of one computation have in common, and what they took."""

    table: Table
    key: tuple[str, ...]
    time: str | None
    inputs: dict[str, Snapshot]
    models: dict[str, ModelVersion]
    reach_us: int
    reads: dict[str, str] = field(default_factory=dict)  #: digest of each file that the code read, by name
    rows_read: int = 0
    seconds: float = 0.0  #: of all parts together
    wall_s: float = 0.0
    cpu_seconds: float = 0.0


def compute_table(
    context: Context,
    definitions: Definitions,
    facts: LedgerFacts,
    table: Table,
    key: str,
    semantics: Mapping[str, str],
    run_id: str,
) -> Trace:
    """Bring a table up to date and record how.

    Raises:
        WorkError: the user's function failed, or its result has no key; nothing was changed.
    """
    run, began = _begin(context, facts, table), time.monotonic()
    parts = facts.parts(table) if table.partition and run.time else None
    base = facts.base(table, definitions.graph) if parts is not None else None
    parent = facts.snapshot_of(base) if base else None
    try:
        time_column, rows = _slices(context, definitions, run, _spans(parts, base), parent)
    except _OtherTypesError:
        base = parent = None
        time_column, rows = _slices(context, definitions, run, _spans(parts, None), None)
    if parts is not None and base is None and time_column is not None:
        _check_parts(context, definitions, run, time_column, rows)
    run.wall_s = time.monotonic() - began
    classes, units = _inherited(run)
    dynamic = united([base.dynamic if base else {}, undeclared(table, run.reads)])
    trace_of = _trace_maker(context, definitions, run, key, semantics, parts, dynamic, run_id)
    made: list[Trace] = []

    def effects(tx: Tx, snapshot: Snapshot) -> None:
        made.append(trace_of(tx, snapshot))

    snapshot = context.lake.replace_slices(
        table.name,
        parent,
        rows,
        key=list(run.key),
        time=time_column or (parent.time if parent else None),
        classes=classes,
        units=units,
        actor=context.principal,
        effects=effects,
    )
    context.progress.end(table.name, f"{snapshot.rows:,} rows, snapshot {snapshot.number}")
    return made[0]


def _slices(
    context: Context, definitions: Definitions, run: Run, spans: list[Span], parent: Snapshot | None
) -> tuple[str | None, list[tuple[int | None, int | None, pa.Table]]]:
    """The time column and the rows of each span, in the types of the rows that stay.

    Raises:
        _OtherTypesError: they do not fit beside the rows that stay; without those they may.
    """
    context.progress.start(run.table.name, len(spans), f"{len(spans)} parts")
    found = compute_spans(context, definitions, run, spans)
    time = next((part.time for part in found if part.time is not None), None)
    stays = parent is not None and parent.rows > 0
    before = {field.name: field.type for field in arrow_schema(parent)} if parent and stays else None
    try:
        tables = one_schema([part.rows for part in found], run.table.name, time=time, before=before) if found else []
    except WorkError as error:
        raise (_OtherTypesError if stays else error) from error
    return time, [(*part.span, table) for part, table in zip(found, tables, strict=True)]


def _check_parts(
    context: Context,
    definitions: Definitions,
    run: Run,
    time: str,
    rows: Sequence[tuple[int | None, int | None, pa.Table]],
) -> None:
    """A new definition is checked once: some days computed alone must come out as within their part."""
    parts = [(low, high, table) for low, high, table in rows if low is not None and high is not None]
    sampled = sample_days([(low, high) for low, high, _ in parts])
    for part in compute_spans(context, definitions, run, list(sampled)):
        day = part.span[0]
        assert day is not None, "a sampled day has bounds"
        together = next(table for low, high, table in parts if low <= day < high)
        kinds = {field.name: field.type for field in together.schema}
        (alone,) = one_schema([part.rows], run.table.name, time=time, before=kinds)
        refuse_difference(run.table.name, day, time, together, alone)


def _begin(context: Context, facts: LedgerFacts, table: Table) -> Run:
    inputs: dict[str, Snapshot] = {}
    models: dict[str, ModelVersion] = {}
    for port in table.inputs:
        snapshot = facts.snapshot(port.asset)
        if port.frame is Frame.MODEL:
            models[port.asset] = _standing_version(context, facts, port.asset)
        elif snapshot is not None:
            inputs[port.asset] = snapshot
    return start_run(table, inputs, models)


def start_run(table: Table, inputs: Mapping[str, Snapshot], models: Mapping[str, ModelVersion]) -> Run:
    """A computation of a table from these snapshots and model versions, by asset in the order of its parameters."""
    first = next(iter(inputs.values()), None)
    key = table.key or (first.key if first else ())
    reach = lookback_days(table.lookback_us) * US_PER_DAY
    return Run(table, tuple(key), first.time if first else None, dict(inputs), dict(models), reach)


def _spans(parts: Mapping[str, str] | None, base: Trace | None) -> list[Span]:
    if not parts and base is None:  # not in parts, or without a day: its columns are known when it has run once
        return [(None, None)]
    days = changed_days(parts or {}, base.parts if base else {})
    found: list[Span] = [*slices(days)]
    return found


def compute_spans(context: Context, definitions: Definitions, run: Run, spans: list[Span]) -> list[_Part]:
    """Run each part in a child; inputs are handed over as sealed memory and given back when the part is done."""
    engine, waiting = context.engine, list(enumerate(spans))
    running: dict[str, tuple[int, Span, Task]] = {}
    found: dict[int, _Part] = {}
    try:
        while waiting or running:
            while waiting and len(running) < engine.capacity:
                number, span = waiting.pop(0)
                task = _task(context, definitions, run, number, span)
                running[task.id] = (number, span, task)
                engine.submit(task)
            for result in engine.wait():
                number, span, task = running.pop(result.id)
                _close(task.inputs)
                found[number] = _part(run, span, result)
                context.progress.update(run.table.name, len(found), "")
    finally:  # after a failure the next step finds an idle engine
        for name, (_, _, task) in running.items():
            engine.cancel(name)
            _close(task.inputs)
    return [found[number] for number in sorted(found)]


def _part(run: Run, span: Span, result: Result) -> _Part:
    raise_failure(result, f"table {run.table.name}")
    run.seconds += result.seconds
    run.cpu_seconds += result.cpu_seconds
    run.reads = united([run.reads, result.reads])
    return _Part(span, result.value["time"], _rows(result))


def _close(buffers: Iterable[SharedBuffer]) -> None:
    for buffer in buffers:
        buffer.close()


def _task(context: Context, definitions: Definitions, run: Run, number: int, span: Span) -> Task:
    low, high = span
    buffers, ports = [], []
    for port in run.table.inputs:
        if port.frame is Frame.MODEL:
            model, parts = _model_port(context, run.models[port.asset])
            ports.append({"asset": port.asset, "frame": port.frame.value, "model": model})
            buffers += parts
            continue
        snapshot = run.inputs[port.asset]
        timed = low is not None and snapshot.time is not None
        columns = columns_read(run.table, port.asset, snapshot.key, snapshot.time)
        since = low - run.reach_us if timed and low is not None else None
        rows = context.read(snapshot, list(columns) if columns else None, since, high if timed else None)
        run.rows_read += rows.num_rows
        buffers.append(SharedBuffer.written(ipc_writer(rows)))
        ports.append({"asset": port.asset, "frame": port.frame.value})
    return Task(
        id=f"{run.table.name}-{number}",
        function=COMPUTE,
        arguments={
            "module": run.table.code.module,
            "name": run.table.code.name,
            "settings": dict(run.table.settings),
            "query": list(run.table.query),
            "ports": ports,
            "key": list(run.key),
            "time": run.time,
            "low_us": low,
            "high_us": high,
        },
        inputs=tuple(buffers),
        bundle=str(definitions.root),
        scope=scope_of(context, run.table),
    )


def _standing_version(context: Context, facts: LedgerFacts, model: str) -> ModelVersion:
    """The version that stands for a model: what was just trained, or in a follow what is released."""
    with context.ledger.reading() as connection:
        version = studies.get_version(connection, facts.standing()[model].output)
    assert version is not None, "the trace of a model names its version"
    return version


def _model_port(context: Context, version: ModelVersion) -> tuple[dict[str, Any], list[SharedBuffer]]:
    """The facts of a model version, its package and its out-of-window predictions."""
    from filiera.dimensions.versions import facts_of, package_of, predictions_of

    return facts_of(version), [
        SharedBuffer.create([package_of(context.lake.objects, version)]),
        SharedBuffer.create([predictions_of(context.lake.objects, version)]),
    ]


def _rows(result: Result) -> pa.Table:
    (buffer,) = result.outputs
    table = pa.ipc.open_file(pa.py_buffer(buffer.view())).read_all()
    buffer.close()
    return table


def _inherited(run: Run) -> tuple[dict[str, str], dict[str, str | None]]:
    """A column that keeps its name keeps its class and its unit."""
    classes: dict[str, str] = {}
    units: dict[str, str | None] = {}
    for snapshot in run.inputs.values():
        for column in snapshot.schema:
            name = str(column["name"])
            units.setdefault(name, column.get("unit"))
            if column["class"] != OPEN:
                classes[name] = str(column["class"])
    return classes, units


def _trace_maker(
    context: Context,
    definitions: Definitions,
    run: Run,
    key: str,
    semantics: Mapping[str, str],
    parts: Mapping[str, str] | None,
    dynamic: Mapping[str, str],
    run_id: str,
) -> Any:
    def make(tx: Tx, snapshot: Snapshot) -> Trace:
        table = run.table
        manifest = {
            "code": dict(table.code.manifest),
            "settings": settings_of(table),
            "interpreter": interpreter(definitions.graph),
        }
        cost = context.prices.trial_nano(run.seconds, context.workers, waited_for=context.waited_for)
        trace = Trace(
            id=tx.new_id("trc"),
            asset=table.name,
            kind="table",
            key=key,
            run=run_id,
            inputs=dict(semantics),
            input_snapshots={name: item.id for name, item in run.inputs.items()}
            | {name: version.id for name, version in run.models.items()},
            code_digest=table.code.digest,
            manifest_digest=traces.put_manifest(tx, manifest),
            output=snapshot.id,
            output_semantic=snapshot.semantic,
            seconds=run.wall_s,
            cpu_seconds=run.cpu_seconds,
            cost_nano=cost,
            input_rows=run.rows_read,
            created_us=tx.now_us,
            parts=dict(parts or {}),
            bundle=definitions.bundle.digest,
            runtime_digest=traces.put_manifest(tx, definitions.graph.runtime_manifest),
            definition=definition_digest(table, definitions.graph),
            dynamic=dynamic,
        )
        traces.record(tx, trace)
        environments.record_spend(tx, run=run_id, asset=table.name, cost_nano=cost, seconds=run.wall_s)
        return trace

    return make
