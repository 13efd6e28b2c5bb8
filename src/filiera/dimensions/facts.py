"""The facts a plan needs, from the ledger and the lake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from filiera.code.bundle import Bundle
from filiera.core.asset import Frame, Graph, Model, Table
from filiera.core.contract import OPEN
from filiera.core.generation import Generation
from filiera.core.key import columns_read, interpreter, settings_of
from filiera.core.snapshot import Snapshot
from filiera.core.trace import Mark, Run, Trace
from filiera.digest import digest_json
from filiera.dimensions import waiting
from filiera.dimensions.context import Context
from filiera.dimensions.dynamic import NOTHING, moved, reads_of, settle
from filiera.dimensions.parts import changed_days, part_digests
from filiera.dimensions.plan import Pending
from filiera.dimensions.pricing import Pricing
from filiera.dimensions.staleness import new_share
from filiera.dimensions.study_limits import check_worth, continuation, study_size
from filiera.errors import UsageError
from filiera.ledger import environments, snapshots, traces


class LedgerFacts:
    """What is known at one moment; answers are kept, so that one plan sees one world."""

    def __init__(
        self,
        context: Context,
        environment: str,
        head: Generation | None = None,
        trials: int | None = None,
        bundle: Bundle | None = None,
    ) -> None:
        self._context = context
        self._trials = trials  #: upper limit that was asked for
        self._bundle = bundle  #: the code that is planned for, and the files that it declares
        self._settled: dict[str, str] = {}
        with context.ledger.reading() as connection:
            self._head = head or environments.head(connection, environment)
        self._standing: dict[str, Mark] = {}
        self._traces: dict[str, Trace | None] = {}
        self._snapshots: dict[str, Snapshot | None] = {}
        self._semantics: dict[tuple[str, tuple[str, ...] | None], str] = {}
        self._waiting: dict[str, Pending] = {}
        self.pricing = Pricing(context.prices, workers=context.workers, waited_for=context.waited_for)
        declared = (column for source in context.settings.sources.values() for column in source.contract.columns)
        self._declares_classes = any(column.column_class != OPEN for column in declared)

    @property
    def head(self) -> Generation | None:
        """The environment's newest generation."""
        return self._head

    # ---- what the plan asks

    def pending(self, source: str) -> Pending:
        """Files that wait, one line each."""
        if source not in self._waiting:
            self._waiting[source] = waiting.pending(self._context, source)
        return self._waiting[source]

    def notes(self, source: str) -> list[str]:
        """What a person should know of a source although nothing follows from it."""
        return waiting.notes(self._context, source)

    def semantic(self, asset: str, columns: Sequence[str] | None) -> str | None:
        """Digest of what a reader of these columns sees."""
        mark = self._standing.get(asset)
        if mark is not None and (
            mark.kind == "model" or (columns is None and not mark.classes and not self._declares_classes)
        ):
            return mark.semantic
        snapshot = self.snapshot(asset)
        if snapshot is None or (snapshot.rows == 0 and asset in self._context.settings.sources):
            return None
        place = (snapshot.id, tuple(columns) if columns is not None else None)
        if place not in self._semantics:
            self._semantics[place] = seen_digest(self._context, snapshot, columns)
        return self._semantics[place]

    def layout(self, asset: str) -> tuple[tuple[str, ...], str | None]:
        """Key and time column."""
        snapshot = self.snapshot(asset)
        return (snapshot.key, snapshot.time) if snapshot else ((), None)

    def columns(self, asset: str) -> tuple[str, ...] | None:
        """Columns of a source or table; None when it has no data or will be computed first."""
        snapshot = self.snapshot(asset)
        return snapshot.columns if snapshot else None

    def answers(self, keys: Mapping[str, str]) -> Mapping[str, Mark]:
        """The traces that answer for keys, by asset: the environment's own first, then anybody's. They stand now."""
        found = self._found(keys)
        for name in [name for name, mark in found.items() if mark.dynamic != NOTHING]:
            self._settle(name, keys[name], found)
        self._standing |= found
        return found

    def _found(self, keys: Mapping[str, str]) -> dict[str, Mark]:
        found = {name: own for name, key in keys.items() if (own := self._own.get(name)) and own.key == key}
        rest = {name: key for name, key in keys.items() if name not in found}
        if rest:
            with self._context.ledger.reading() as connection:
                found |= traces.answers(connection, rest)
        return found

    def _settle(self, asset: str, key: str, found: dict[str, Mark]) -> None:
        """Accept a trace that read something undeclared only while that is what it was."""
        if self._bundle is None:
            return
        first = found.pop(asset)
        self._settled[asset], mark = settle(
            self._bundle, key, first, lambda settled: self._found({asset: settled}).get(asset)
        )
        if mark is not None:
            found[asset] = mark

    def settled(self, asset: str, key: str) -> str:
        """The key under which a run is recorded: another one where what an earlier run read has moved."""
        return self._settled.get(asset, key)

    def moved(self, asset: str) -> list[str]:
        """What the trace that stands read beside its inputs and what is not the same any more, by name."""
        mark = self._own.get(asset)
        return moved(self._bundle, reads_of(mark)) if mark and self._bundle else []

    def reads_outside(self) -> bool:
        """Whether a trace that stands, or will, read a file outside the code's own folder."""
        return any('"/' in mark.dynamic for mark in (*self._own.values(), *self._standing.values()))

    def mark(self, asset: str) -> Mark | None:
        """What stands for the asset in the environment, in short."""
        return self._own.get(asset)

    def current(self, asset: str) -> Trace | None:
        """The trace that stands for the asset in the environment."""
        if asset not in self._traces:
            trace_id = self._head.assets.get(asset) if self._head else None
            with self._context.ledger.reading() as connection:
                self._traces[asset] = traces.get(connection, trace_id) if trace_id else None
        return self._traces[asset]

    def keep(self, asset: str) -> None:
        """What stands for the asset in the environment goes on standing although its inputs moved."""
        self._standing[asset] = self._own[asset]

    def manifest(self, digest: str) -> Mapping[str, Any]:
        """A stored record."""
        with self._context.ledger.reading() as connection:
            return traces.get_manifest(connection, digest)

    def runs(self, assets: Iterable[str]) -> Mapping[str, Sequence[Run]]:
        """What earlier computations took, newest first."""
        with self._context.ledger.reading() as connection:
            return traces.runs(connection, assets)

    def continuation(self, model: Model, graph: Graph, key: str) -> str:
        """What the finished study of a key could go on for: its limit, budget or worth was raised; "" = nothing."""
        try:
            value = check_worth(self._context, graph, model, self.snapshot(model.inputs[0].asset))
        except UsageError:  # `plan` refuses it; what was trained stands meanwhile
            return ""
        return continuation(self._context, model, key, self.study_size(model, key)[0], value)

    def threshold(self, asset: str) -> float:
        """Share 0-1 of new rows below which a change of data alone makes an asset stale but does not run it."""
        return self._context.settings.hold_until(asset)

    def new_share(self, asset: Table | Model) -> float | None:
        """Share 0-1 of new or changed rows among what the asset reads, since it was made; None = cannot be told."""
        current = self.current(asset.name)
        if current is None or any(port.frame is Frame.MODEL for port in asset.inputs):
            return None
        shares = []
        for port in asset.inputs:
            now, made = self.snapshot(port.asset), current.input_snapshots.get(port.asset)
            with self._context.ledger.reading() as connection:
                then = snapshots.get(connection, made) if made else None
            if now is None or then is None:
                return None
            wanted = list(columns_read(asset, port.asset, now.key, now.time) or now.columns)
            read = columns_read(asset, port.asset, then.key, then.time)
            if form(then, wanted) != form(now, wanted) or seen_digest(self._context, then, read) != (
                current.inputs.get(port.asset)
            ):
                return None  # the same rows are seen otherwise: masked, or of other types
            leaves = [self._context.lake.leaves(snapshot) for snapshot in (then, now)]
            source = self._context.settings.sources.get(port.asset)
            only_added = source is not None and source.contract.only_adds
            shares.append(new_share(leaves[0], leaves[1], wanted, only_added=only_added))
        return max(shares)

    def detail(self, asset: Table | Model, graph: Graph) -> str:
        """How much has to be done."""
        if isinstance(asset, Model):
            most, first = self.study_size(asset)
            return f"up to {most} trials{', champion settings first' if first else ''}"
        if asset.partition is None:
            return "computed whole"
        now = self.parts(asset)
        if now is None:
            return "by day"
        base = self.base(asset, graph)
        days = changed_days(now, base.parts if base else {})
        return f"{len(days)} of {len(now)} days"

    def rows_to_read(self, asset: Table | Model, graph: Graph) -> int | None:
        """Rows that a run of the asset will read; None while an input is unknown."""
        found = [self.snapshot(port.asset) for port in asset.inputs if port.frame is not Frame.MODEL]
        rows = sum(snapshot.rows for snapshot in found if snapshot is not None)
        if isinstance(asset, Model) or asset.partition is None:
            return rows
        now, base = self.parts(asset), self.base(asset, graph)
        if now is None:
            return None
        return round(rows * len(changed_days(now, base.parts if base else {})) / max(len(now), 1))

    # ---- what apply asks besides

    def stand(self, trace: Trace) -> None:
        """A trace was just made, or stands although its inputs moved."""
        with self._context.ledger.reading() as connection:
            self._standing |= {mark.asset: mark for mark in traces.marks(connection, [trace.id])}

    def standing(self) -> Mapping[str, Mark]:
        """The trace of each asset, as far as it is known."""
        return self._standing

    def snapshot(self, asset: str) -> Snapshot | None:
        """The snapshot that a reader of the asset gets."""
        if asset in self._context.settings.sources:
            if asset not in self._snapshots:
                self._snapshots[asset] = self._context.lake.latest(asset)
            return self._snapshots[asset]
        mark = self._standing.get(asset)
        return self._snapshot(mark.output) if mark and mark.kind == "table" else None

    def _snapshot(self, snapshot_id: str) -> Snapshot | None:
        if snapshot_id not in self._snapshots:
            with self._context.ledger.reading() as connection:
                self._snapshots[snapshot_id] = snapshots.get(connection, snapshot_id)
        return self._snapshots[snapshot_id]

    def snapshot_of(self, trace: Trace) -> Snapshot | None:
        """The snapshot that a trace made."""
        return self._snapshot(trace.output)

    def parts(self, table: Table) -> dict[str, str] | None:
        """Input digest by day of a partitioned table; None while an input is unknown."""
        daily, whole = [], []
        for port in table.inputs:
            snapshot = self.snapshot(port.asset)
            if snapshot is not None and snapshot.time is not None:
                read = columns_read(table, port.asset, snapshot.key, snapshot.time) or snapshot.columns
                hidden = self._context.reader.hidden(snapshot, read)
                seen = [name for name in read if name not in hidden]
                daily.append(self._context.lake.leaves(snapshot).by_day(seen))
                whole.append(form(snapshot, read))
                continue
            semantic = self.semantic(port.asset, columns_read(table, port.asset, *self.layout(port.asset)))
            if semantic is None:
                return None
            whole.append(semantic)
        return part_digests(daily, whole, table.lookback_us)

    def base(self, table: Table, graph: Graph) -> Trace | None:
        """The trace whose days can be kept: same code, settings and interpreter, other data."""
        current = self.current(table.name)
        if current is None or current.code_digest != table.code.digest or not current.parts:
            return None
        if self.moved(table.name):
            return None
        record = self.manifest(current.manifest_digest)
        same = record.get("settings") == settings_of(table) and record.get("interpreter") == interpreter(graph)
        return current if same else None

    def study_size(self, model: Model, key: str | None = None) -> tuple[int, list[Mapping[str, Any]]]:
        """Upper limit of trials, and the settings that are tried first."""
        return study_size(self._context, model, asked=self._trials, key=key)

    @cached_property
    def _own(self) -> Mapping[str, Mark]:
        """The traces of the environment's newest generation, read at once."""
        if self._head is None:
            return {}
        with self._context.ledger.reading() as connection:
            return {mark.asset: mark for mark in traces.marks(connection, self._head.assets.values())}


def seen_digest(context: Context, snapshot: Snapshot, columns: Sequence[str] | None) -> str:
    """Digest of what a reader of these columns of a snapshot sees now; None = all of them."""
    wanted = list(columns) if columns is not None else list(snapshot.columns)
    hidden = context.reader.hidden(snapshot, wanted)
    if columns is None and not hidden:
        return snapshot.semantic
    seen = context.lake.totals(snapshot).digest(snapshot.schema, [n for n in wanted if n not in hidden])
    return digest_json("masked", 1, {"seen": seen, "masked": sorted(hidden), "order": wanted}) if hidden else seen


def form(snapshot: Snapshot, columns: Sequence[str]) -> str:
    """Digest of the order and the types of columns; equal values of other types are no equal days."""
    types = {str(column["name"]): str(column["type"]) for column in snapshot.schema}
    return digest_json("form", 1, [[name, types.get(name)] for name in columns])
