"""Make a table or a model again from recorded inputs, into memory: nothing is written."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from filiera.clock import US_PER_DAY
from filiera.core.asset import Model, Table
from filiera.core.model import ModelVersion
from filiera.core.snapshot import Snapshot
from filiera.dimensions.compute import Span, compute_spans, start_run
from filiera.dimensions.context import Context, Definitions, scope_of
from filiera.dimensions.parts import slices
from filiera.dimensions.training import prepare
from filiera.lake.rows import arrow_schema
from filiera.lake.semantic import Leaves, hash_rows, times_us
from filiera.lake.store import BEGIN_US, END_US
from filiera.ledger import snapshots
from filiera.runner.frames import one_schema
from filiera.train.search import StudyRequest
from filiera.train.split import refit_range
from filiera.train.study import Refit, refit


@dataclass(frozen=True, slots=True)
class RebuiltTable:
    """A table that was made again."""

    rows: pa.Table
    key: tuple[str, ...]
    time: str | None
    seconds: float

    @property
    def leaves(self) -> Leaves:
        """Its sums of cell hashes by day."""
        return hash_rows(self.rows, self.key, self.time).leaves


def rebuild_table(
    context: Context,
    definitions: Definitions,
    table: Table,
    inputs: Mapping[str, Snapshot],
    models: Mapping[str, ModelVersion],
    output: Snapshot,
    days: Sequence[int],
) -> RebuiltTable:
    """Compute a table from recorded inputs; a partitioned one in the parts that the recorded rows were computed in.

    Sums of floats depend on where a part begins, so other parts could differ in the last bit.

    Args:
        context: the open project.
        definitions: the recorded code.
        table: its definition.
        inputs: the recorded snapshots by asset, in the order of the parameters.
        models: the recorded model versions by asset.
        output: the recorded snapshot, which says in which parts it was computed.
        days: that the recorded computation covered; none = it was computed whole.

    Raises:
        WorkError: the function fails on these inputs.
    """
    began = time.monotonic()
    run = start_run(table, inputs, models)
    shown = _parts(context, output, days) if days else [((None, None), (BEGIN_US, END_US))]
    spans = list(dict.fromkeys(span for span, _ in shown))
    found = dict(zip(spans, compute_spans(context, definitions, run, spans), strict=True))
    time_column = next((part.time for part in found.values() if part.time is not None), None)
    before = {field.name: field.type for field in arrow_schema(output)} if days and output.rows else None
    tables = one_schema([found[span].rows for span in spans], table.name, time=time_column, before=before)
    made = dict(zip(spans, tables, strict=True))
    rows = pa.concat_tables([_within(made[span], time_column, *seen) for span, seen in shown])
    return RebuiltTable(rows.unify_dictionaries(), run.key, time_column, time.monotonic() - began)


def _parts(context: Context, output: Snapshot, days: Sequence[int]) -> list[tuple[Span, tuple[int, int]]]:
    """(the range that was computed, the part of it that is in the snapshot); days without rows by themselves."""
    with context.ledger.reading() as connection:
        batches = snapshots.visible(connection, output.table, output.number)
        written = snapshots.written_bounds(connection, output.table)
    found: list[tuple[Span, tuple[int, int]]] = []
    for item in batches:
        low, high = written[item.files.batch]
        if low > BEGIN_US and high < END_US:  # else it was computed whole, or compacted
            found.append(((low, high), (item.files.low_us, item.files.high_us)))
    covered = [seen for _, seen in found]
    rest = [day for day in days if not any(low <= day * US_PER_DAY < high for low, high in covered)]
    return found + [(span, span) for span in slices(rest)]


def _within(rows: pa.Table, time: str | None, low_us: int, high_us: int) -> pa.Table:
    if time is None or not rows.num_rows:
        return rows
    times = times_us(rows.column(time))
    return rows.filter(pa.array((times >= low_us) & (times < high_us)))


def rebuild_model(
    context: Context, definitions: Definitions, model: Model, snapshot: Snapshot, version: ModelVersion
) -> Refit:
    """Fit the recorded settings on the recorded rows with the recorded seed; the search is not made again.

    Raises:
        WorkError: the fit fails on these rows.
        ContractError: they lack a column.
    """
    training = prepare(context, model, snapshot, joined=model.form == "trainer")
    try:
        request = StudyRequest(
            model=model,
            rows=training.rows,
            windows=training.windows,
            bundle=str(definitions.root),
            trials=1,
            lag=None,
            scope=scope_of(context, model),
        )
        return refit(request, context.engine, version.settings, refit_range(model.split, training.matrix.time))
    finally:
        training.rows.close()


def mean_score(scores: Sequence[float]) -> float:
    """Mean over the windows."""
    return float(np.mean(scores))
