"""An engine without lake, ledger and processes: what is decided is filiera's, what is kept is a dictionary."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from filiera.code.shape import normalised_digest
from filiera.core.asset import Graph, Model, Table
from filiera.core.asset_json import graph_from_json
from filiera.core.key import interpreter, settings_of, with_digests
from filiera.core.plan import Action, Plan
from filiera.core.trace import Mark, Run, Trace
from filiera.cost.prices import load_prices
from filiera.dimensions.plan import Pending, consider, known_inputs, make_plan
from filiera.dimensions.pricing import Pricing
from filiera.lake.semantic import hash_rows
from filiera.runner.describe import describe
from random_edits.toy import LIBRARIES, SOURCES, STEP_MODULES, Toy, digest

MODULES = ("pipeline", "consts", "pkg", *LIBRARIES, *(f"steps_{number}" for number in range(STEP_MODULES)))
SCHEMA = tuple({"name": name, "type": "integer"} for name in ("day", "place", "value"))


def values_of(toy: Toy, source: str) -> list[int]:
    """The rows of a source, as a table function gets them: sorted by their key."""
    return [value for day in sorted(toy.days[source]) for value in toy.days[source][day]]


def semantic_of(toy: Toy, source: str) -> str:
    """The real digest of the rows, in the order and the files in which they happen to lie."""
    rows = [(day, place, value) for day, values in toy.days[source].items() for place, value in enumerate(values)]
    turn = toy.files[source] % len(rows)
    columns = zip(*rows[turn:], *rows[:turn], strict=True)
    table = pa.table({c["name"]: list(column) for c, column in zip(SCHEMA, columns, strict=True)})
    return hash_rows(table, ["day", "place"], None).leaves.total().digest(SCHEMA)


@dataclass
class Memory:
    """Traces, results and records of one environment."""

    traces: dict[tuple[str, str], Trace] = field(default_factory=dict)  #: by asset and key
    results: dict[str, list[int]] = field(default_factory=dict)  #: by digest
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    head: dict[str, Trace] = field(default_factory=dict)  #: what stands
    graphs: dict[str, Graph] = field(default_factory=dict)  #: by normalised code, as the describe step remembers them


class MemoryFacts:
    """The planner's questions, answered from a dictionary."""

    def __init__(self, memory: Memory, toy: Toy) -> None:
        self._memory = memory
        self._sources = {source: semantic_of(toy, source) for source in SOURCES}
        self.standing: dict[str, Trace] = {}
        self.pricing = Pricing(load_prices("EUR", {}), workers=2, waited_for=False)

    def pending(self, source: str) -> Pending:
        return Pending((), 0)

    def notes(self, source: str) -> list[str]:
        return []

    def semantic(self, asset: str, columns: Sequence[str] | None) -> str | None:
        assert columns is None, "tables read whole rows"
        if asset in self._sources:
            return self._sources[asset]
        return self.standing[asset].output_semantic if asset in self.standing else None

    def layout(self, asset: str) -> tuple[tuple[str, ...], str | None]:
        return ("row",), None

    def columns(self, asset: str) -> tuple[str, ...] | None:
        return None

    def answers(self, keys: Mapping[str, str]) -> Mapping[str, Mark]:
        found = {name: trace for name, key in keys.items() if (trace := self._memory.traces.get((name, key)))}
        self.standing |= found
        return {name: _mark(trace) for name, trace in found.items()}

    def settled(self, asset: str, key: str) -> str:
        return key

    def moved(self, asset: str) -> list[str]:
        return []

    def mark(self, asset: str) -> Mark | None:
        return _mark(self._memory.head[asset]) if asset in self._memory.head else None

    def current(self, asset: str) -> Trace | None:
        return self._memory.head.get(asset)

    def keep(self, asset: str) -> None:
        raise AssertionError(f"{asset} has no threshold")

    def continuation(self, model: Model, graph: Graph, key: str) -> str:
        raise AssertionError("there are no models")

    def threshold(self, asset: str) -> float:
        return 0.0

    def new_share(self, asset: Table | Model) -> float | None:
        raise AssertionError(f"{asset.name} has no threshold")

    def manifest(self, digest: str) -> Mapping[str, Any]:
        return self._memory.records[digest]

    def runs(self, assets: Iterable[str]) -> Mapping[str, Sequence[Run]]:
        wanted = set(assets)
        found: dict[str, list[Run]] = {}
        for (asset, _), trace in reversed(self._memory.traces.items()):
            if asset in wanted:
                found.setdefault(asset, []).append(Run(trace.seconds, trace.input_rows, trace.output_semantic))
        return found

    def rows_to_read(self, asset: Table | Model, graph: Graph) -> int | None:
        return None

    def detail(self, asset: Table | Model, graph: Graph) -> str:
        return ""


def _mark(trace: Trace) -> Mark:
    return Mark(
        id=trace.id, asset=trace.asset, kind=trace.kind, key=trace.key, definition=trace.definition,
        output=trace.output, semantic=trace.output_semantic, classes="", dynamic="{}",
    )  # fmt: skip


def graph_of(root: Path, memory: Memory) -> Graph:
    """The real describe step in this process, remembered by the normalised code as it is outside of it."""
    place = normalised_digest(root)
    if place not in memory.graphs:
        _load(root)
        keys = {source: {"key": ["day", "place"], "time": None, "device": None} for source in SOURCES}
        memory.graphs[place] = with_digests(graph_from_json(describe({"root": str(root), "sources": keys}, [], print)))
    return memory.graphs[place]


def _load(root: Path) -> None:
    for name in MODULES:
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    assert sys.path[0] == str(root)
    importlib.import_module("pipeline")


def clean_run(root: Path, toy: Toy) -> dict[str, list[int]]:
    """Every table computed from nothing by the code in the folder."""
    _load(root)
    results = {source: values_of(toy, source) for source in SOURCES}
    for name in toy.ordered():
        results[name] = _call(name, results, toy.steps[name].inputs)
    return results


def _call(name: str, results: Mapping[str, list[int]], ports: Sequence[str]) -> list[int]:
    function = getattr(sys.modules["pipeline"], name)
    found: list[int] = function(**{port: results[port] for port in ports})
    return found


def plan(graph: Graph, memory: Memory, toy: Toy) -> Plan:
    """The real plan."""
    return make_plan(graph, MemoryFacts(memory, toy), environment="dev", currency="EUR", now_us=0)


def apply(graph: Graph, memory: Memory, toy: Toy, expected: Mapping[str, list[int]]) -> tuple[list[str], list[str]]:
    """Do the least that the keys say; gives the tables that ran, and those whose result is not the expected one.

    The code that runs is what `clean_run` loaded last; what does not run stays as it was computed before.
    """
    facts, ran, stale = MemoryFacts(memory, toy), [], []
    for asset in graph.ordered():
        (step,) = consider([asset], graph, facts, {})
        if step.action is Action.RUN:
            assert isinstance(asset, Table)
            assert step.key is not None
            facts.standing[asset.name] = _run(asset, step.key, graph, facts, memory, toy)
            ran.append(asset.name)
        if memory.results[facts.standing[asset.name].output] != expected[asset.name]:
            stale.append(asset.name)
    memory.head = facts.standing
    return ran, stale


def _run(asset: Table, key: str, graph: Graph, facts: MemoryFacts, memory: Memory, toy: Toy) -> Trace:
    inputs = known_inputs(asset, facts)
    given = {
        name: values_of(toy, name) if name in SOURCES else memory.results[facts.standing[name].output]
        for name in inputs
    }
    result = _call(asset.name, given, [port.asset for port in asset.inputs])
    output = digest(list(result))
    record = {"code": dict(asset.code.manifest), "settings": settings_of(asset), "interpreter": interpreter(graph)}
    memory.results[output], memory.records[asset.code.digest + key] = result, record
    trace = Trace(
        id=f"{asset.name}-{len(memory.traces)}", asset=asset.name, kind="table", key=key, run="", inputs=inputs,
        input_snapshots={}, code_digest=asset.code.digest, manifest_digest=asset.code.digest + key, output=output,
        output_semantic=output, seconds=0.01, cpu_seconds=0.01, cost_nano=0, input_rows=1, created_us=0,
        definition=graph.digests[asset.name],
    )  # fmt: skip
    memory.traces[asset.name, key] = trace
    return trace
