"""Drift of the released models: day means of their inputs, of the days they were trained on and of those since."""

from __future__ import annotations

import math
from collections.abc import Iterator, MutableMapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filiera.automation.drift import fires
from filiera.clock import US_PER_DAY, parse_rfc3339, rfc3339
from filiera.core.event import Event, EventKind
from filiera.core.generation import PROD
from filiera.core.model import ModelVersion
from filiera.core.snapshot import Snapshot
from filiera.dimensions.context import Context
from filiera.ledger import environments, snapshots, studies, traces

#: Version id -> newest whole day that was looked at: the rows of a day are read once per process.
Looked = MutableMapping[str, int]


def drift_events(context: Context, looked: Looked) -> Iterator[Event]:
    """An event for each day at which an input of a released model had moved too far; none unless `drift = true`."""
    if not context.settings.automation.drift:
        return
    for version, snapshot in _released(context):
        assert snapshot.high_us is not None
        newest = snapshot.high_us // US_PER_DAY  # still growing
        if looked.get(version.id) != newest:
            yield from _of_version(context, version, snapshot, newest)
            looked[version.id] = newest


def _released(context: Context) -> list[tuple[ModelVersion, Snapshot]]:
    """Released models that were trained on times, with the rows that stand beside them."""
    found = []
    with context.ledger.reading() as connection:
        head = environments.head(connection, PROD)
        standing = {name: traces.get(connection, trace) for name, trace in (head.assets if head else {}).items()}
        for trace in standing.values():
            version = studies.get_version(connection, trace.output) if trace and trace.kind == "model" else None
            table = standing.get(version.card["table"]) if version else None
            snapshot = snapshots.get(connection, table.output) if table and table.kind == "table" else None
            if version is not None and snapshot is not None and version.card["time"] and snapshot.high_us is not None:
                found.append((version, snapshot))
    return found


def _of_version(context: Context, version: ModelVersion, snapshot: Snapshot, newest: int) -> Iterator[Event]:
    low_us, high_us = (parse_rfc3339(text) for text in version.card["trained_on"])
    columns = [str(item["name"]) for item in version.inputs if str(item["name"]) in snapshot.columns]
    time = str(version.card["time"])
    rows = context.read(snapshot, list(dict.fromkeys([time, *columns])), low_us, newest * US_PER_DAY)
    days = np.asarray(pc.floor_temporal(rows[time], unit="day").cast(pa.int64())) // US_PER_DAY
    first_later = high_us // US_PER_DAY + 1
    for column in columns:
        means = _day_means(days, rows[column])
        training = [mean for day, mean in means.items() if day < first_later]
        later = [(day, mean) for day, mean in means.items() if day >= first_later]
        for fire in fires(training, later):
            moved = f"{column} moved: {fire.shift:+.1f} standard deviations from the days of the training"
            when = rfc3339(fire.day * US_PER_DAY)[:10]
            yield Event(
                source=f"drift {version.label}",
                source_id=f"{column} {when}",
                kind=EventKind.DRIFT,
                body={"reason": f"{moved}, on {when}"},
            )


def _day_means(days: np.ndarray, column: pa.ChunkedArray) -> dict[int, float]:
    """Mean of each day that has values, in order; of anything but numbers nothing."""
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        return {}
    values = np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    there = np.isfinite(values)
    known, place = np.unique(days[there], return_inverse=True)
    sums, counts = np.bincount(place, values[there]), np.bincount(place)
    return {int(day): float(s / n) for day, s, n in zip(known, sums, counts, strict=True) if math.isfinite(s)}
