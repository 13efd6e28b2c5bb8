"""What must run, what may run, what is reused, and why: a pure function of the graph and the facts.

Steps are considered layer by layer, with one question to the ledger each. While all inputs of a step are known, its
key is known, and a trace either answers for it or not. Below a step that will run, inputs are unknown until it ran
("maybe"): its output may come out equal, and then everything below is reused (early cut-off).
"""

from __future__ import annotations

import gc
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from filiera.core.asset import Graph, Model, Table
from filiera.core.key import columns_read, interpreter, settings_of, step_key
from filiera.core.money import Money
from filiera.core.plan import Action, Dimension, Plan, Reason, Step
from filiera.core.trace import Mark, Run, Trace
from filiera.cost.forecast import change_share, log_sd
from filiera.cost.simulate import MOST_STEPS, Chance, simulate
from filiera.dimensions.compare import code_changes, input_changes, interpreter_changes, setting_changes
from filiera.dimensions.dynamic import NOTHING, note
from filiera.dimensions.pricing import Pricing
from filiera.errors import nearest


@dataclass(frozen=True, slots=True)
class Pending:
    """Files of a source that wait for ingest."""

    texts: tuple[str, ...]  #: one line a file: name, size, new or changed
    size_bytes: int
    digest: str = ""  #: changes with the name, size or times of a file that waits


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

    def answers(self, keys: Mapping[str, str]) -> Mapping[str, Mark]:
        """The traces that answer for keys, by asset, whoever made them; from then on they stand."""
        ...

    def settled(self, asset: str, key: str) -> str:
        """The key under which a run is recorded: another one where what an earlier run read has moved."""
        ...

    def moved(self, asset: str) -> list[str]:
        """What the trace that stands read beside its inputs and what is not the same any more, by name."""
        ...

    def mark(self, asset: str) -> Mark | None:
        """What stands for the asset in the environment now, in short."""
        ...

    def current(self, asset: str) -> Trace | None:
        """What stands for the asset in the environment now."""
        ...

    def keep(self, asset: str) -> None:
        """What stands for the asset goes on standing although its inputs moved."""
        ...

    def continuation(self, model: Model, graph: Graph, key: str) -> str:
        """What the finished study of a key could go on for; "" = it would end where it did."""
        ...

    def threshold(self, asset: str) -> float:
        """Share 0-1 of new rows below which a change of data alone does not run the asset."""
        ...

    def new_share(self, asset: Table | Model) -> float | None:
        """Share 0-1 of new rows among what the asset reads; None = cannot be told."""
        ...

    def manifest(self, digest: str) -> Mapping[str, Any]:
        """A stored closure manifest or settings record."""
        ...

    def runs(self, assets: Iterable[str]) -> Mapping[str, Sequence[Run]]:
        """What earlier runs of assets took, newest first."""
        ...

    def rows_to_read(self, asset: Table | Model, graph: Graph) -> int | None:
        """Rows that a run of the asset will read; None while an input is unknown."""
        ...

    def detail(self, asset: Table | Model, graph: Graph) -> str:
        """How much of the asset has to be done, in words."""
        ...

    @property
    def pricing(self) -> Pricing:
        """What a second costs."""
        ...


def make_plan(
    graph: Graph,
    facts: Facts,
    *,
    environment: str,
    currency: str,
    now_us: int,
    left_out: frozenset[str] = frozenset(),
    pinned: frozenset[str] = frozenset(),
) -> Plan:
    """The least work that brings the environment up to date with the graph, its data and its settings.

    Assets that are left out stay as they are, and what needs them waits. Pinned ones stand whatever changed.
    """
    with _no_collector():
        return _make_plan(
            graph, facts, environment=environment, currency=currency, now_us=now_us, left_out=left_out, pinned=pinned
        )


@contextmanager
def _no_collector() -> Iterator[None]:
    """A large plan makes a million small values and no cycle: looking for cycles among them took half of its time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _make_plan(
    graph: Graph,
    facts: Facts,
    *,
    environment: str,
    currency: str,
    now_us: int,
    left_out: frozenset[str],
    pinned: frozenset[str],
) -> Plan:
    unknown = dict.fromkeys(left_out, 0.0)  # asset -> probability that its output changes
    steps = [_source_step(source, facts) for source in graph.sources]
    unknown |= {step.asset: 1.0 for step in steps if step.action is Action.RUN}
    history: dict[str, Sequence[Run]] = {}
    for layer in graph.layers:
        free = [asset for asset in layer if asset.name not in left_out and asset.name not in pinned]
        found = consider(free, graph, facts, unknown)
        steps += found
        work = [step.asset for step in found if step.action in (Action.RUN, Action.MAYBE)]
        history |= facts.runs(work) if work else {}
        for step in found:
            if step.action in (Action.RUN, Action.MAYBE):
                unknown[step.asset] = step.probability * change_share(history.get(step.asset, ()))
            elif step.action is Action.HOLD and step.key is None:
                unknown[step.asset] = 0.0
    steps = [_priced(step, graph, facts, history) for step in steps]
    choosy = [asset for asset in graph.definitions if isinstance(asset, Model) or asset.columns]
    missing = [text for asset in choosy for text in missing_columns(asset, facts, unknown)]
    read = [
        text
        for asset in graph.definitions
        if (mark := facts.mark(asset.name)) is not None and mark.dynamic != NOTHING
        for text in note(asset, mark)
    ]
    earlier = [text for source in graph.sources for text in facts.notes(source)]
    plan = Plan(
        environment=environment,
        currency=currency,
        steps=tuple(steps),
        warnings=(*graph.warnings, *earlier, *missing, *read),
        created_us=now_us,
    )
    return _with_spread(plan, graph, facts, history)


def missing_columns(asset: Table | Model, facts: Facts, unknown: Container[str] = ()) -> list[str]:
    """What an asset names and its input does not have, one sentence a column; an input that is `unknown` may get it."""
    texts: list[str] = []
    done = "trained" if isinstance(asset, Model) else "computed"
    for port in asset.inputs:
        wanted = columns_read(asset, port.asset, (), None)
        columns = facts.columns(port.asset) if wanted and port.asset not in unknown else None
        texts += [
            f"{asset.name} cannot be {done}: {port.asset} has no column {name}; {nearest(name, columns)}"
            for name in wanted or ()
            if columns is not None and name not in columns
        ]
    return texts


def _source_step(source: str, facts: Facts) -> Step:
    pending = facts.pending(source)
    if not pending.texts:
        return Step(asset=source, operation="ingest", action=Action.REUSE)
    reasons = tuple(Reason(Dimension.DATA, text) for text in pending.texts)
    return Step(asset=source, operation="ingest", action=Action.RUN, reasons=reasons, key=pending.digest)


def _priced(step: Step, graph: Graph, facts: Facts, history: Mapping[str, Sequence[Run]]) -> Step:
    """The step with its forecast, if it runs or may run."""
    if step.action not in (Action.RUN, Action.MAYBE):
        return step
    asset = graph.find(step.asset)
    if asset is None:
        return facts.pricing.ingest(step, facts.pending(step.asset).size_bytes)
    rows = facts.rows_to_read(asset, graph) if step.key else None
    return facts.pricing.work(step, history.get(step.asset, ()), rows)


def priced(step: Step, graph: Graph, facts: Facts) -> Step:
    """One step with its forecast, if it runs or may run."""
    return _priced(step, graph, facts, facts.runs([step.asset]))


def _with_spread(plan: Plan, graph: Graph, facts: Facts, history: Mapping[str, Sequence[Run]]) -> Plan:
    """The plan with the 90th percentile of all its work together."""
    work, chances = plan.work, []
    if len(work) > MOST_STEPS:
        return plan
    for step in work:
        asset = graph.find(step.asset)
        chances.append(
            Chance(
                name=step.asset,
                certain=step.probability == 1.0,
                needs=tuple(port.asset for port in asset.inputs) if asset else (),
                changed=change_share(history.get(step.asset, ())) if asset else 1.0,
                seconds=step.seconds,
                log_sd=log_sd(step.seconds_p10, step.seconds_p90),
                nano_per_s=facts.pricing.nano_per_s(facts.pricing.workers if asset else 1),
            )
        )
    spread = simulate(chances)
    if spread is None:
        return plan
    # the worst case is the sum of 90th percentiles: only the noise of the draws comes out above it
    seconds, nano = min(spread.seconds_p90, plan.worst_seconds), min(spread.nano_p90, plan.worst_cost.nano)
    return replace(plan, seconds_p90=seconds, cost_p90=Money(nano, plan.currency))


def consider(assets: Sequence[Table | Model], graph: Graph, facts: Facts, unknown: Mapping[str, float]) -> list[Step]:
    """What follows for assets that do not read each other, given the inputs that are not known yet; without prices.

    Args:
        assets: of one layer, or one.
        graph: all definitions.
        facts: the world.
        unknown: probability that it changes of every asset whose output is not known yet.
    """
    steps: dict[str, Step] = {}
    keyed: dict[str, tuple[Table | Model, dict[str, str]]] = {}
    keys: dict[str, str] = {}
    for asset in assets:
        open_inputs = [port.asset for port in asset.inputs if port.asset in unknown]
        if open_inputs:
            steps[asset.name] = _maybe(asset, graph, open_inputs, unknown, facts)
            continue
        inputs = known_inputs(asset, facts)
        missing = [port.asset for port in asset.inputs if port.asset not in inputs]
        if not missing and isinstance(asset, Model) and facts.rows_to_read(asset, graph) == 0:
            missing = [port.asset for port in asset.inputs]  # a table of no rows is one, a model is not
        if missing:
            steps[asset.name] = _held(asset, Reason(Dimension.DATA, f"{', '.join(missing)} has no data yet"))
            continue
        keyed[asset.name], keys[asset.name] = (asset, inputs), step_key(asset, inputs, graph)
    marks = facts.answers(keys)
    for name, (asset, inputs) in keyed.items():
        mark = marks.get(name)
        if mark is None:
            steps[name] = _stale(asset, inputs, facts.settled(name, keys[name]), graph, facts)
        else:
            steps[name] = _answered(asset, inputs, mark, graph, facts)
    return [steps[asset.name] for asset in assets]


def _operation(asset: Table | Model) -> str:
    return "compute" if isinstance(asset, Table) else "train"


def _held(asset: Table | Model, *reasons: Reason, key: str | None = None) -> Step:
    return Step(asset=asset.name, operation=_operation(asset), action=Action.HOLD, reasons=reasons, key=key)


def _answered(asset: Table | Model, inputs: Mapping[str, str], mark: Mark, graph: Graph, facts: Facts) -> Step:
    """A trace answers: the one that stands, or an earlier one that stands again."""
    more = facts.continuation(asset, graph, mark.key) if isinstance(asset, Model) else ""
    own = facts.mark(asset.name)
    stands = own is not None and own.id == mark.id
    return Step(
        asset=asset.name,
        operation=_operation(asset),
        action=Action.REUSE if stands else Action.RESTORE,
        key=mark.key,
        reasons=() if stands or own is None else why(asset, inputs, graph, facts.current(asset.name), facts),
        detail=f"may continue: {more}" if more else "",
    )


def _stale(asset: Table | Model, inputs: Mapping[str, str], key: str, graph: Graph, facts: Facts) -> Step:
    """No trace answers: it runs, unless its data moved less than its threshold."""
    current = facts.current(asset.name)
    reasons = why(asset, inputs, graph, current, facts)
    threshold = facts.threshold(asset.name)
    if current is not None and threshold > 0 and all(reason.dimension is Dimension.DATA for reason in reasons):
        share = facts.new_share(asset)
        if share is not None and share < threshold:
            facts.keep(asset.name)
            text = f"stale, held until {100 * threshold:.3g} % of its rows are new or changed, {100 * share:.2g} % now"
            return _held(asset, Reason(Dimension.DATA, text), *reasons, key=current.key)
    return Step(
        asset=asset.name,
        operation=_operation(asset),
        action=Action.RUN,
        key=key,
        definition=graph.digests.get(asset.name),
        reasons=reasons,
        detail=facts.detail(asset, graph),
    )


def known_inputs(asset: Table | Model, facts: Facts) -> dict[str, str]:
    """Semantic digest of what each port reads, for the ports that have data."""
    found: dict[str, str] = {}
    for port in asset.inputs:
        whole = isinstance(asset, Table) and port.asset not in asset.columns
        columns = None if whole else columns_read(asset, port.asset, *facts.layout(port.asset))
        semantic = facts.semantic(port.asset, columns)
        if semantic is not None:
            found[port.asset] = semantic
    return found


def _maybe(
    asset: Table | Model, graph: Graph, open_inputs: Sequence[str], unknown: Mapping[str, float], facts: Facts
) -> Step:
    stays = 1.0
    for name in open_inputs:
        stays *= 1.0 - unknown[name]
    if stays == 1.0:
        return _held(asset, Reason(Dimension.DATA, f"waits for {', '.join(open_inputs)}"))
    mark, definition = facts.mark(asset.name), graph.digests.get(asset.name)
    changes: list[Reason] = []
    if mark is None:
        changes = [Reason(Dimension.DATA, "never computed")]
    elif (mark.definition != definition or facts.moved(asset.name)) and (current := facts.current(asset.name)):
        changes = _definition_changes(asset, current, graph, facts)
    condition = [Reason(Dimension.DATA, f"if {' or '.join(open_inputs)} changes")] if mark else []
    return Step(
        asset=asset.name,
        operation=_operation(asset),
        action=Action.MAYBE if mark else Action.RUN,
        definition=definition,
        reasons=(*changes, *condition),
        probability=1.0 if changes else 1.0 - stays,
        detail=facts.detail(asset, graph) if isinstance(asset, Model) else "",
    )


def why(
    asset: Table | Model, inputs: Mapping[str, str], graph: Graph, current: Trace | None, facts: Facts
) -> tuple[Reason, ...]:
    """Every difference between the trace that stands for the asset and what should be."""
    if current is None:
        return (Reason(Dimension.DATA, "never computed"),)
    reasons = [Reason(Dimension.DATA, f"{name} changed") for name in input_changes(current.inputs, inputs)]
    reasons += _definition_changes(asset, current, graph, facts)
    return tuple(reasons) or (Reason(Dimension.MODEL, "computed under another key before"),)


def _definition_changes(asset: Table | Model, current: Trace, graph: Graph, facts: Facts) -> list[Reason]:
    return definition_changes(asset, current, graph, facts.manifest(current.manifest_digest), facts.moved(asset.name))


def definition_changes(
    asset: Table | Model, trace: Trace, graph: Graph, record: Mapping[str, Any], moved: Iterable[str]
) -> list[Reason]:
    """Every difference between what a trace was made with and a definition, its data left aside.

    Args:
        asset: the definition.
        trace: of the same asset.
        graph: for the interpreter.
        record: the manifest of the trace.
        moved: names of what it read beside its inputs and what is not the same any more.
    """
    reasons: list[Reason] = []
    if trace.code_digest != asset.code.digest:
        reasons += code_changes(record.get("code", {}), asset.code.manifest)
    reasons += [Reason(Dimension.CODE, f"{name} changed") for name in moved]
    texts = setting_changes(record.get("settings", {}), settings_of(asset))
    reasons += [Reason(Dimension.MODEL, text) for text in texts]
    return reasons + interpreter_changes(record.get("interpreter", {}), interpreter(graph))
