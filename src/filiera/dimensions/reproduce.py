"""Reproduce: make what a trace made again, from what the ledger has alone, and compare digests.

1. The trace's source bundle is unpacked in a clean folder and described; its code and settings must be the recorded.
2. The recorded input snapshots are read. A table is computed; of a model the recorded winner is fitted with the
   recorded seed, and its out-of-window predictions are made. The study is not searched again.
3. A table is compared by its semantic digest, a model by the digest of its package and by its predictions.

Nothing but an audit entry, the exposure of the rows and the spend is written.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filiera.code.bundle import open_bundle
from filiera.code.closure import explain
from filiera.core.asset import Model, Parameter, Table
from filiera.core.ids import new_id
from filiera.core.key import columns_read, settings_of
from filiera.core.model import ModelVersion
from filiera.core.money import Money
from filiera.core.snapshot import Snapshot
from filiera.core.trace import Trace
from filiera.dimensions.context import Context, Definitions
from filiera.dimensions.describe import describe, source_facts
from filiera.dimensions.facts import seen_digest
from filiera.dimensions.likeness import DIFFERENT, EQUAL, Likeness, compare_model, compare_table
from filiera.dimensions.rebuild import rebuild_model, rebuild_table
from filiera.dimensions.runtimes import refuse_other_runtime
from filiera.errors import CodeError, ConflictError, NotFoundError, UsageError, WorkError
from filiera.lake.table import freed
from filiera.ledger import environments, removals, snapshots, studies, traces


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Everything that the ledger has about one trace."""

    trace: Trace
    label: str  #: `features@3`, `power@1`
    manifest: Mapping[str, Any]  #: code, settings, interpreter
    runtime: Mapping[str, Any]
    sources: Mapping[str, Any]  #: key, time and device of each source, as it was declared
    output: Snapshot | ModelVersion
    inputs: dict[str, Snapshot] = field(default_factory=dict)
    models: dict[str, ModelVersion] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduced:
    """What came of making it again."""

    label: str
    trace: str
    likeness: Likeness
    seconds: float
    cost: Money
    python: str  #: interpreter that made it again

    def to_json(self) -> dict[str, Any]:
        """`filiera.reproduce/1`."""
        return {
            "schema": "filiera.reproduce/1",
            "what": self.label,
            "trace": self.trace,
            **self.likeness.to_json(),
            "python": self.python,
            "seconds": round(self.seconds, 3),
            "cost": self.cost.to_json(),
        }


def recorded(context: Context, trace: Trace) -> Recorded:
    """What the ledger has about a trace.

    Raises:
        NotFoundError: its code or an input was freed, or it was made before code was kept.
        UsageError: it is the trace of a source, which is read from files.
    """
    if trace.kind == "source":
        raise UsageError(
            "reproduce.source", f"{trace.asset} is a source: its rows came from files", expected="a table or a model"
        )
    with context.ledger.reading() as connection:
        output: Snapshot | ModelVersion | None = snapshots.get(connection, trace.output)
        output = output or studies.get_version(connection, trace.output)
        assert output is not None, "a trace's output is never removed from the ledger"
        label = output.label if isinstance(output, ModelVersion) else f"{output.table}@{output.number}"
        if trace.bundle is None or trace.runtime_digest is None:
            raise NotFoundError("reproduce.no_code", f"{label} was made before filiera kept code with its results")
        found = Recorded(
            trace=trace,
            label=label,
            manifest=traces.get_manifest(connection, trace.manifest_digest),
            runtime=traces.get_manifest(connection, trace.runtime_digest),
            sources=_sources(context, trace),
            output=output,
        )
        for asset, id_ in trace.input_snapshots.items():
            snapshot, version = snapshots.get(connection, id_), studies.get_version(connection, id_)
            if snapshot is not None:
                found.inputs[asset] = snapshot
            elif version is not None:
                found.models[asset] = version
        for name, id_ in {"its code": trace.bundle, **trace.input_snapshots}.items():
            if removals.is_gone(connection, id_):
                raise freed(f"{label} cannot be made again: {name}")
    return found


def _sources(context: Context, trace: Trace) -> dict[str, Any]:
    """The sources as they were declared: by the rules that held then, with the contracts that stood for them."""
    with context.ledger.reading() as connection:
        rules = environments.accepted_rules(connection, before_us=trace.created_us) or {}
        wanted: Mapping[str, str] = rules.get("contracts", {})
        known = {(item.asset, item.code_digest): item.manifest_digest for item in traces.of_kind(connection, "source")}
        manifests = {name: known.get((name, digest)) for name, digest in wanted.items()}
        stored = {name: traces.get_manifest(connection, m)["contract"] for name, m in manifests.items() if m}
    now = {name: source.contract.to_json() for name, source in context.settings.sources.items()}
    names = wanted or now
    contracts = {name: stored.get(name) or now.get(name) for name in names}  # without rows it left no trace
    return {name: source_facts(contract) for name, contract in contracts.items() if contract}


def reproduce(context: Context, trace: Trace, *, anyway: bool = False) -> Reproduced:
    """Make again what a trace made and compare.

    Args:
        context: the open project; its interpreter is used.
        trace: of a table or a model.
        anyway: compare although the interpreter or a library is another than recorded.

    Raises:
        NotFoundError: code or an input was freed.
        ConflictError: another runtime; or rows that would be read otherwise now.
    """
    known = recorded(context, trace)
    refuse_other_runtime(context, known.manifest, known.runtime, anyway=anyway)
    began = time.monotonic()
    with ExitStack() as stack:
        for asset in sorted({trace.asset, *trace.input_snapshots}):
            stack.enter_context(context.lake.readers.reading(asset))
        folder = stack.enter_context(_clean_folder(context))
        try:
            likeness = _made_again(context, known, folder)
        except (WorkError, CodeError) as error:
            likeness = Likeness(outcome=DIFFERENT, differences=(f"it fails now: {error.message}",))
    return _book(context, known, likeness, time.monotonic() - began)


def _made_again(context: Context, known: Recorded, folder: Path) -> Likeness:
    trace = known.trace
    with context.ledger.reading() as connection:
        bundle = environments.get_bundle(connection, str(trace.bundle))
    assert bundle is not None, "a trace's code is recorded before it runs"
    code = open_bundle(context.lake.objects.get(bundle), str(trace.bundle))
    definitions = describe(context, code, folder=folder, sources=known.sources)
    asset = definitions.graph.find(trace.asset)
    if asset is None:
        return Likeness(outcome=DIFFERENT, differences=("its code defines no such asset",))
    asset = _as_it_ran(asset, known.manifest["settings"])
    before = _other_definition(asset, known)
    _refuse_other_rows(context, asset, known)
    made = _compared(context, definitions, asset, known)
    if made.outcome == EQUAL or not before:
        return made
    return Likeness(outcome=made.outcome, differences=(*before, *made.differences), note=made.note)


def _compared(context: Context, definitions: Definitions, asset: Table | Model, known: Recorded) -> Likeness:
    if isinstance(asset, Table) and isinstance(known.output, Snapshot):
        inputs = {port.asset: known.inputs[port.asset] for port in asset.inputs if port.asset in known.inputs}
        days = [int(day) for day in known.trace.parts]
        table = rebuild_table(context, definitions, asset, inputs, known.models, known.output, days)
        return compare_table(context, known.output, table, parts=bool(days), flags=asset.code.manifest.get("flags", []))
    assert isinstance(asset, Model)
    assert isinstance(known.output, ModelVersion)
    fitted = rebuild_model(context, definitions, asset, known.inputs[asset.inputs[0].asset], known.output)
    return compare_model(context, known.output, fitted, asset.tolerance)


def _as_it_ran(asset: Table | Model, settings: Mapping[str, Any]) -> Table | Model:
    """The definition with the settings of the run, which may have been set for that run alone."""
    if isinstance(asset, Table):
        return replace(asset, settings=dict(settings["settings"]))
    space = tuple(Parameter(**(item | {"choices": tuple(item["choices"])})) for item in settings["space"])
    return replace(asset, space=space)


def _other_definition(asset: Table | Model, known: Recorded) -> list[str]:
    """How the description of the recorded code differs from the recorded one."""
    found = []
    if asset.code.digest != known.trace.code_digest:
        found += [f"code: {text}" for text in explain(known.manifest["code"], asset.code.manifest)]
    then, now = known.manifest["settings"], settings_of(asset)
    return found + [f"setting {name}" for name in sorted({*then, *now}) if then.get(name) != now.get(name)]


def _refuse_other_rows(context: Context, asset: Table | Model, known: Recorded) -> None:
    """The recorded snapshots may be seen otherwise now: a column may have been declared personal since."""
    for name, snapshot in known.inputs.items():
        columns = columns_read(asset, name, snapshot.key, snapshot.time)
        if seen_digest(context, snapshot, columns) != known.trace.inputs[name]:
            hidden = context.reader.hidden(snapshot, columns or snapshot.columns)
            raise ConflictError(
                "reproduce.masked",
                f"{known.label} cannot be made again: {name} is read otherwise now",
                found=f"masked: {', '.join(hidden)}" if hidden else "columns that were masked are open",
            )


@contextmanager
def _clean_folder(context: Context) -> Iterator[Path]:
    """A folder of this reproduction alone; gone afterwards."""
    above = context.settings.state / "reproduce"
    above.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=above) as folder:
        yield Path(folder)


def _book(context: Context, known: Recorded, likeness: Likeness, seconds: float) -> Reproduced:
    nano = context.prices.trial_nano(seconds, 1, waited_for=context.waited_for)
    run = new_id("run", context.clock.now_us(), os.urandom)
    python = context.settings.project.python or "this"
    details = {"trace": known.trace.id, "python": python, **likeness.to_json()}
    with context.ledger.commit(
        actor=context.principal, action="trace.reproduce", object=known.label, details=details
    ) as tx:
        environments.record_spend(tx, run=run, asset=known.trace.asset, cost_nano=nano, seconds=seconds)
    return Reproduced(
        label=known.label,
        trace=known.trace.id,
        likeness=likeness,
        seconds=seconds,
        cost=Money(nano, context.prices.currency),
        python=python,
    )
