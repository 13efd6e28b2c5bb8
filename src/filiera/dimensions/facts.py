"""The facts a plan needs, from the ledger and the lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from filiera.collect.file import Candidate, Standing, list_candidates
from filiera.core.asset import Graph, Model, Table
from filiera.core.generation import PROD, Generation
from filiera.core.money import Money
from filiera.core.snapshot import Snapshot
from filiera.core.trace import Trace
from filiera.cost.forecast import forecast_seconds
from filiera.digest import digest_json
from filiera.dimensions.context import Context
from filiera.dimensions.key import interpreter, settings_of
from filiera.dimensions.parts import changed_days, part_digests
from filiera.dimensions.plan import Pending, Price
from filiera.dimensions.study_limits import check_worth, continuation
from filiera.errors import UsageError
from filiera.ledger import environments, snapshots, sources, studies, traces

INGEST_START_S, INGEST_BYTES_PER_S = 0.5, 4_000_000
GUESS_S = {"compute": 5.0, "train": 60.0}
#: Files that are looked at again the next time.
LATER = (Standing.BUSY, Standing.UNREADABLE)
#: Later studies of a model start from what the last one found and need fewer trials.
RETRAIN_SHARE, RETRAIN_LEAST = 0.3, 10


class LedgerFacts:
    """What is known at one moment; answers are kept, so that one plan sees one world."""

    def __init__(
        self, context: Context, environment: str, head: Generation | None = None, trials: int | None = None
    ) -> None:
        self._context = context
        self._trials = trials  #: upper limit that was asked for
        with context.ledger.reading() as connection:
            self._head = head or environments.head(connection, environment)
        self._standing: dict[str, Trace | None] = {}
        self._current: dict[str, Trace | None] = {}

    @property
    def head(self) -> Generation | None:
        """The environment's newest generation."""
        return self._head

    # ---- what the plan asks

    def pending(self, source: str) -> Pending:
        """Files that wait, one line each."""
        waiting = [item for item in self.candidates(source) if item.standing is not Standing.TOUCHED]
        texts = tuple(f"{item.standing.value} file {item.name} ({_size(item.size_bytes)})" for item in waiting)
        return Pending(texts, sum(item.size_bytes for item in waiting))

    def notes(self, source: str) -> list[str]:
        """Files that are looked at later or were read under an earlier contract, columns that come as nulls."""
        settings, listed = self._context.settings.sources[source], self._listed(source)
        later = [item for item in listed if item.standing in LATER]
        texts = [f"{source}: {item.name} is {item.standing.value}; it is read the next time" for item in later]
        if not listed:
            texts.append(f"{source}: no file fits {settings.pattern}")
        with self._context.ledger.reading() as connection:
            records = newest_files(sources.list_files(connection, source)).values()
        old = sum(r.state == "accepted" and r.contract_digest != settings.contract.digest for r in records)
        if old:
            word = "file was" if old == 1 else "files were"
            texts.append(f"{source}: {old} {word} read under an earlier contract; the rows stay as they are")
        snapshot = self._context.lake.latest(source)
        hidden = self._context.reader.hidden(snapshot, snapshot.columns) if snapshot else []
        if hidden:
            texts.append(f"{source}: {', '.join(hidden)} masked: functions and readers get nulls")
        return texts

    def busy(self, source: str) -> list[str]:
        """Files that somebody is writing, or that cannot be read now."""
        return [item.name for item in self._listed(source) if item.standing in LATER]

    def candidates(self, source: str) -> list[Candidate]:
        """New, changed and touched files of a source."""
        return [
            item for item in self._listed(source) if item.standing is not Standing.KNOWN and item.standing not in LATER
        ]

    def _listed(self, source: str) -> list[Candidate]:
        with self._context.ledger.reading() as connection:
            known = newest_files(sources.list_files(connection, source))
        settings = self._context.settings.sources[source]
        settled = [
            record.file
            for record in known.values()
            if record.state != "refused" or record.contract_digest == settings.contract.digest
        ]  # a refused file is tried again when its contract was mended
        now_ns = self._context.clock.now_us() * 1_000
        return list_candidates(self._context.settings.root, settings.pattern, settled, now_ns)

    def semantic(self, asset: str, columns: Sequence[str] | None) -> str | None:
        """Digest of what a reader of these columns sees."""
        if asset in self._context.settings.sources:
            snapshot = self._context.lake.latest(asset)
        else:
            trace = self._standing.get(asset)
            if trace is None or trace.kind == "model":
                return trace.output_semantic if trace else None
            snapshot = self.snapshot_of(trace)
        if snapshot is None or snapshot.rows == 0:
            return None
        wanted = list(columns) if columns is not None else list(snapshot.columns)
        hidden = self._context.reader.hidden(snapshot, wanted)
        if columns is None and not hidden:
            return snapshot.semantic
        seen = self._context.lake.totals(snapshot).digest(snapshot.schema, [n for n in wanted if n not in hidden])
        return digest_json("masked", 1, {"seen": seen, "masked": sorted(hidden)}) if hidden else seen

    def layout(self, asset: str) -> tuple[tuple[str, ...], str | None]:
        """Key and time column."""
        snapshot = self.snapshot(asset)
        return (snapshot.key, snapshot.time) if snapshot else ((), None)

    def columns(self, asset: str) -> tuple[str, ...] | None:
        """Columns of a source or table; None when it has no data or will be computed first."""
        snapshot = self.snapshot(asset)
        return snapshot.columns if snapshot else None

    def trace(self, asset: str, key: str) -> Trace | None:
        """The trace that answers for a key: the environment's own first."""
        current = self.current(asset)
        if current is not None and current.key == key:
            found: Trace | None = current
        else:
            with self._context.ledger.reading() as connection:
                found = traces.find(connection, asset, key)
        if found is not None:
            self._standing[asset] = found
        return found

    def current(self, asset: str) -> Trace | None:
        """The trace that stands for the asset in the environment."""
        if asset not in self._current:
            trace_id = self._head.assets.get(asset) if self._head else None
            with self._context.ledger.reading() as connection:
                self._current[asset] = traces.get(connection, trace_id) if trace_id else None
        return self._current[asset]

    def manifest(self, digest: str) -> Mapping[str, Any]:
        """A stored record."""
        with self._context.ledger.reading() as connection:
            return traces.get_manifest(connection, digest)

    def price(self, asset: str, operation: str) -> Price:
        """Forecast from earlier runs of the asset."""
        if operation == "ingest":
            size = self.pending(asset).size_bytes
            seconds = INGEST_START_S + size / INGEST_BYTES_PER_S
            return self._priced(seconds, seconds * 2, 1, guess=False)
        with self._context.ledger.reading() as connection:
            history = [trace.seconds for trace in traces.history(connection, asset)]
        found = forecast_seconds(history, GUESS_S[operation])
        return self._priced(found.seconds, found.seconds_p90, self._context.workers, guess=found.guess)

    def _priced(self, seconds: float, worst: float, cores: int, *, guess: bool) -> Price:
        prices = self._context.prices
        waiting = prices.waiting_second if self._context.waited_for else 0.0
        rate = prices.core_second * cores + waiting
        return Price(
            seconds=seconds,
            seconds_p90=worst,
            cost=Money.units(seconds * rate, prices.currency),
            cost_p90=Money.units(worst * rate, prices.currency),
            guess=guess,
        )

    def detail(self, asset: Table | Model, graph: Graph, current: Trace | None) -> str:
        """How much has to be done."""
        if isinstance(asset, Model):
            most, first = self.study_size(asset)
            return f"up to {most} trials{', champion settings first' if first else ''}"
        if asset.partition is None:
            return "computed whole"
        now = self.parts(asset)
        if now is None:
            return "by day"
        base = self.base(asset, graph, current)
        days = changed_days(now, base.parts if base else {})
        return f"{len(days)} of {len(now)} days"

    # ---- what apply asks besides

    def stand(self, trace: Trace) -> None:
        """A trace was just made, or stands although its inputs moved."""
        self._standing[trace.asset] = trace

    def standing(self) -> dict[str, Trace]:
        """The trace of each asset, as far as it is known."""
        return {name: trace for name, trace in self._standing.items() if trace is not None}

    def snapshot(self, asset: str) -> Snapshot | None:
        """The snapshot that a reader of the asset gets."""
        if asset in self._context.settings.sources:
            return self._context.lake.latest(asset)
        trace = self._standing.get(asset)
        return self.snapshot_of(trace) if trace and trace.kind == "table" else None

    def snapshot_of(self, trace: Trace) -> Snapshot | None:
        """The snapshot that a trace made."""
        with self._context.ledger.reading() as connection:
            return snapshots.get(connection, trace.output)

    def parts(self, table: Table) -> dict[str, str] | None:
        """Input digest by day of a partitioned table; None while an input is unknown."""
        daily, whole = [], []
        for port in table.inputs:
            snapshot = self.snapshot(port.asset)
            if snapshot is not None and snapshot.time is not None:
                hidden = self._context.reader.hidden(snapshot, snapshot.columns)
                seen = [name for name in snapshot.columns if name not in hidden]
                daily.append(self._context.lake.leaves(snapshot).by_day(seen))
                continue
            semantic = self.semantic(port.asset, None)
            if semantic is None:
                return None
            whole.append(semantic)
        return part_digests(daily, whole, table.lookback_us)

    def base(self, table: Table, graph: Graph, current: Trace | None) -> Trace | None:
        """The trace whose days can be kept: same code, settings and interpreter, other data."""
        if current is None or current.code_digest != table.code.digest or not current.parts:
            return None
        record = self.manifest(current.manifest_digest)
        same = record.get("settings") == settings_of(table) and record.get("interpreter") == interpreter(graph)
        return current if same else None

    def continuation(self, model: Model, graph: Graph, key: str) -> str:
        """What the finished study of a key could go on for: its limit, budget or worth was raised; "" = nothing."""
        try:
            value = check_worth(self._context, graph, model, self.snapshot(model.inputs[0].asset))
        except UsageError:  # `plan` refuses it; what was trained stands meanwhile
            return ""
        return continuation(self._context, model, key, self.study_size(model, key)[0], value)

    def study_size(self, model: Model, key: str | None = None) -> tuple[int, list[Mapping[str, Any]]]:
        """Upper limit of trials, and the settings that are tried first.

        A model that has versions of other studies needs fewer trials, unless their number was written down.
        """
        written = self._trials or self._context.settings.rules_of(model.name).trials
        names = {parameter.name for parameter in model.space}
        with self._context.ledger.reading() as connection:
            released = environments.head(connection, PROD)
            trace = (
                traces.get(connection, released.assets[model.name])
                if released and model.name in released.assets
                else None
            )
            versions = studies.list_versions(connection, model.name)
            champion = studies.get_version(connection, trace.output) if trace else None
            study = studies.find_study(connection, model.name, key) if key else None
        first: list[Mapping[str, Any]] = [
            dict(v.settings) for v in [*([champion] if champion else []), *versions[:1]] if set(v.settings) == names
        ]
        unique = [item for index, item in enumerate(first) if item not in first[:index]]
        if written is not None:
            return written, unique
        if any(study is None or version.study != study.id for version in versions):
            return min(model.trials, max(RETRAIN_LEAST, round(model.trials * RETRAIN_SHARE))), unique
        return model.trials, unique


def newest_files(records: Sequence[sources.FileRecord]) -> dict[str, sources.FileRecord]:
    """The newest complete record of each path; a file of which only a part was read counts as new."""
    found: dict[str, sources.FileRecord] = {}
    for record in records:
        if record.state != sources.RELEASED:
            found.setdefault(record.file.path, record)
    return {path: record for path, record in found.items() if record.state != "part"}


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{max(count / 1e3, 0.1):.1f} kB"
