"""What must run, what may run, what is reused, and why: a pure function of the graph and the facts.

Steps are considered in topological order. While all inputs of a step are known, its key is known, and a trace either
answers for it or not. Below a step that will run, inputs are unknown until it ran ("maybe"): its output may come out
equal, and then everything below is reused (early cut-off).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from filiera.core.asset import Graph, Model, Table
from filiera.core.money import Money
from filiera.core.plan import Action, Dimension, Plan, Reason, Step
from filiera.core.trace import Trace
from filiera.dimensions.compare import code_changes, input_changes, interpreter_changes, setting_changes
from filiera.dimensions.key import columns_read, interpreter, settings_of, step_key
from filiera.errors import nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Expected and 90th percentile of one run of a step."""

    seconds: float
    seconds_p90: float
    cost: Money
    cost_p90: Money
    guess: bool


@dataclass(frozen=True, slots=True)
class Pending:
    """Files of a source that wait for ingest."""

    texts: tuple[str, ...]  #: one line a file: name, size, new or changed
    size_bytes: int


class Facts(Protocol):
    """What the plan has to know about the world; all answers hold for one moment."""

    def pending(self, source: str) -> Pending:
        """Files that wait."""
        ...

    def notes(self, source: str) -> list[str]:
        """What a person should know of a source although nothing follows from it."""
        ...

    def semantic(self, asset: str, columns: Sequence[str] | None) -> str | None:
        """Digest of what a reader of these columns sees of the environment's `asset`; None when there is no data."""
        ...

    def layout(self, asset: str) -> tuple[tuple[str, ...], str | None]:
        """Key columns and time column of a source or table."""
        ...

    def columns(self, asset: str) -> tuple[str, ...] | None:
        """Columns of a source or table; None when it has no data or will be computed first."""
        ...

    def trace(self, asset: str, key: str) -> Trace | None:
        """The trace that answers for the key, whoever made it."""
        ...

    def current(self, asset: str) -> Trace | None:
        """The trace that stands for the asset in the environment now."""
        ...

    def continuation(self, model: Model, graph: Graph, key: str) -> str:
        """What the finished study of a key could go on for; "" = it would end where it did."""
        ...

    def manifest(self, digest: str) -> Mapping[str, Any]:
        """A stored closure manifest or settings record."""
        ...

    def price(self, asset: str, operation: str) -> Price:
        """Forecast from earlier runs."""
        ...

    def detail(self, asset: Table | Model, graph: Graph, current: Trace | None) -> str:
        """How much of the asset has to be done, in words."""
        ...


def make_plan(graph: Graph, facts: Facts, *, environment: str, currency: str, now_us: int) -> Plan:
    """The least work that brings the environment up to date with the graph, its data and its settings."""
    steps: list[Step] = []
    unknown: dict[str, float] = {}  # asset -> probability that its output changes
    for source in graph.sources:
        step = _source_step(source, facts)
        steps.append(step)
        if step.action is Action.RUN:
            unknown[source] = 1.0
    for asset in graph.ordered():
        step = consider(asset, graph, facts, unknown)
        steps.append(step)
        if step.action in (Action.RUN, Action.MAYBE):
            unknown[asset.name] = step.probability
        elif step.action is Action.HOLD:
            unknown[asset.name] = 0.0
    missing = [
        text for model in graph.models if model.inputs[0].asset not in unknown for text in missing_columns(model, facts)
    ]
    earlier = [text for source in graph.sources for text in facts.notes(source)]
    warnings = (*graph.warnings, *earlier, *missing)
    return Plan(environment=environment, currency=currency, steps=tuple(steps), warnings=warnings, created_us=now_us)


def missing_columns(model: Model, facts: Facts) -> list[str]:
    """What a model names and its table does not have, one sentence a column."""
    table = model.inputs[0].asset
    columns = facts.columns(table)
    if columns is None:
        return []
    wanted = [name for name in (*model.features, model.predicts) if name not in columns]
    return [
        f"{model.name} cannot be trained: {table} has no column {name}; {nearest(name, columns)}" for name in wanted
    ]


def _source_step(source: str, facts: Facts) -> Step:
    pending = facts.pending(source)
    if not pending.texts:
        return Step(asset=source, operation="ingest", action=Action.REUSE)
    return _priced(
        Step(
            asset=source,
            operation="ingest",
            action=Action.RUN,
            reasons=tuple(Reason(Dimension.DATA, text) for text in pending.texts),
        ),
        facts.price(source, "ingest"),
    )


def consider(asset: Table | Model, graph: Graph, facts: Facts, unknown: Mapping[str, float]) -> Step:
    """What follows for one asset, given which of its inputs are not known yet."""
    operation = "compute" if isinstance(asset, Table) else "train"
    blank = Step(asset=asset.name, operation=operation, action=Action.REUSE)
    names = [port.asset for port in asset.inputs]
    current = facts.current(asset.name)
    open_inputs = [name for name in names if name in unknown]
    if open_inputs:
        maybe = _maybe(blank, asset, graph, current, open_inputs, unknown, facts)
        return _priced(maybe, facts.price(asset.name, operation))
    inputs = known_inputs(asset, facts)
    missing = [name for name in names if name not in inputs]
    if missing:
        text = f"{', '.join(missing)} has no data yet"
        return replace(blank, action=Action.HOLD, reasons=(Reason(Dimension.DATA, text),))
    key = step_key(asset, inputs, graph)
    if facts.trace(asset.name, key) is not None:
        more = facts.continuation(asset, graph, key) if isinstance(asset, Model) else ""
        return replace(blank, key=key, detail=f"may continue: {more}" if more else "")
    return _priced(
        replace(
            blank,
            action=Action.RUN,
            key=key,
            reasons=why(asset, inputs, graph, current, facts),
            detail=facts.detail(asset, graph, current),
        ),
        facts.price(asset.name, operation),
    )


def known_inputs(asset: Table | Model, facts: Facts) -> dict[str, str]:
    """Semantic digest of what each port reads, for the ports that have data."""
    found: dict[str, str] = {}
    for port in asset.inputs:
        columns = None if isinstance(asset, Table) else columns_read(asset, *facts.layout(port.asset))
        semantic = facts.semantic(port.asset, columns)
        if semantic is not None:
            found[port.asset] = semantic
    return found


def _maybe(
    blank: Step,
    asset: Table | Model,
    graph: Graph,
    current: Trace | None,
    open_inputs: Sequence[str],
    unknown: Mapping[str, float],
    facts: Facts,
) -> Step:
    stays = 1.0
    for name in open_inputs:
        stays *= 1.0 - unknown[name]
    if stays == 1.0:
        text = f"waits for {', '.join(open_inputs)}"
        return replace(blank, action=Action.HOLD, reasons=(Reason(Dimension.DATA, text),))
    reasons: tuple[Reason, ...] = (Reason(Dimension.DATA, f"if {' or '.join(open_inputs)} changes"),)
    if current is not None:
        reasons = (*_definition_changes(asset, current, facts), *reasons)
    certain = current is None or len(reasons) > 1
    return replace(
        blank,
        action=Action.RUN if current is None else Action.MAYBE,
        reasons=(Reason(Dimension.DATA, "never computed"),) if current is None else reasons,
        probability=1.0 if certain else 1.0 - stays,
        detail=facts.detail(asset, graph, current) if isinstance(asset, Model) else "",
    )


def why(
    asset: Table | Model, inputs: Mapping[str, str], graph: Graph, current: Trace | None, facts: Facts
) -> tuple[Reason, ...]:
    """Every difference between the trace that stands for the asset and what should be."""
    if current is None:
        return (Reason(Dimension.DATA, "never computed"),)
    reasons = [Reason(Dimension.DATA, f"{name} changed") for name in input_changes(current.inputs, inputs)]
    reasons += _definition_changes(asset, current, facts)
    record = facts.manifest(current.manifest_digest)
    reasons += interpreter_changes(record.get("interpreter", {}), interpreter(graph))
    return tuple(reasons) or (Reason(Dimension.MODEL, "computed under another key before"),)


def _definition_changes(asset: Table | Model, current: Trace, facts: Facts) -> list[Reason]:
    record = facts.manifest(current.manifest_digest)
    reasons: list[Reason] = []
    if current.code_digest != asset.code.digest:
        reasons += code_changes(record.get("code", {}), asset.code.manifest)
    texts = setting_changes(record.get("settings", {}), settings_of(asset))
    return reasons + [Reason(Dimension.MODEL, text) for text in texts]


def _priced(step: Step, price: Price) -> Step:
    return replace(
        step,
        seconds=price.seconds,
        seconds_p90=price.seconds_p90,
        cost=price.cost,
        cost_p90=price.cost_p90,
        guess=price.guess,
    )
