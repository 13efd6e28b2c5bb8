"""What is: the state of a project, a study, and the newest rows of devices, as data for every face."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filiera.clock import US_PER_DAY, rfc3339
from filiera.core.generation import DEV, PROD
from filiera.core.model import ModelVersion
from filiera.core.money import Money
from filiera.core.snapshot import Snapshot
from filiera.core.trace import Trace
from filiera.core.trial import TrialState
from filiera.dimensions import waiting as files
from filiera.dimensions.context import Context
from filiera.errors import ContractError, DeniedError, NotFoundError, nearest
from filiera.ledger import environments, snapshots, sources, studies, traces
from filiera.ledger.journal import Connection, Ledger
from filiera.serve.schema import check_count

MONTH_US = 30 * US_PER_DAY
MOST_NAMED = 1_000  #: devices among which the nearest name is looked for


def status(context: Context) -> dict[str, Any]:
    """Sources, tables, models and environments as they are: `filiera.status/1`."""
    settings = context.settings
    waiting = {name: len(files.pending(context, name).texts) for name in settings.sources}
    with context.ledger.reading() as connection:
        names = dict.fromkeys((DEV, PROD, *environments.names(connection)))
        heads = {name: environments.head(connection, name) for name in names}
        standing = {name: _traces(connection, head.assets if head else {}) for name, head in heads.items()}
        since = context.clock.now_us() - MONTH_US
        return {
            "schema": "filiera.status/1",
            "project": settings.project.name,
            "owner": settings.project.owner,
            "purposes": list(settings.project.purposes),
            "sources": [_source(connection, context, name, waiting[name]) for name in settings.sources],
            "tables": [_table(connection, t) for t in standing[DEV].values() if t.kind == "table"],
            "models": _models(connection),
            "environments": [
                {
                    "name": name,
                    "generation": head.number,
                    "kind": head.kind,
                    "created": rfc3339(head.created_us),
                    "actor": head.actor,
                    "assets": {asset: _output(connection, trace) for asset, trace in standing[name].items()},
                }
                for name, head in heads.items()
                if head is not None
            ],
            "spend": {
                "month": _money(context, environments.total_spend(connection, since)),
                "total": _money(context, environments.total_spend(connection)),
                "budget": settings.project.monthly_budget.to_json() if settings.project.monthly_budget else None,
            },
        }


def _money(context: Context, nano: int) -> dict[str, Any]:
    return Money(nano, context.prices.currency).to_json()


def _traces(connection: Connection, assets: Any) -> dict[str, Trace]:
    found = {name: traces.get(connection, trace) for name, trace in assets.items()}
    return {name: trace for name, trace in found.items() if trace is not None}


def _source(connection: Connection, context: Context, name: str, waiting: int) -> dict[str, Any]:
    counts = sources.count_rows(connection, name)
    snapshot = snapshots.latest(connection, name)
    return {
        "name": name,
        "pattern": context.settings.sources[name].pattern,
        **counts.to_json(),
        "waiting": waiting,
        "snapshot": snapshot.number if snapshot else None,
        "rows": snapshot.rows if snapshot else 0,
        **_span(snapshot),
    }


def _span(snapshot: Snapshot | None) -> dict[str, str | None]:
    low, high = (snapshot.low_us, snapshot.high_us) if snapshot and snapshot.time else (None, None)
    return {"low": None if low is None else rfc3339(low), "high": None if high is None else rfc3339(high)}


def _table(connection: Connection, trace: Trace) -> dict[str, Any]:
    snapshot = snapshots.get(connection, trace.output)
    assert snapshot is not None, "a trace's snapshot is never removed"
    return {
        "name": trace.asset,
        "snapshot": snapshot.number,
        "rows": snapshot.rows,
        "columns": len(snapshot.schema),
        **_span(snapshot),
        "trace": trace.id,
        "key": trace.key,
        "seconds": round(trace.seconds, 3),
    }


def _models(connection: Connection) -> list[dict[str, Any]]:
    newest: dict[str, ModelVersion] = {}
    for version in studies.list_versions(connection):
        newest.setdefault(version.name, version)
    return [
        {
            "name": version.name,
            "version": version.number,
            "label": version.label,
            "score": version.metrics["value"],
            "score_name": version.metrics["score"],
            "unit": version.card["unit"],
            "baseline": version.metrics["baseline_value"],
            "baseline_name": version.metrics["baseline"],
            "trials": version.metrics["trials"],
            "study": version.study,
            "releasable": version.releasable == "",
            "created": rfc3339(version.created_us),
        }
        for version in newest.values()
    ]


def _output(connection: Connection, trace: Trace) -> str:
    if trace.kind == "model":
        version = studies.get_version(connection, trace.output)
        return version.label if version else trace.output
    snapshot = snapshots.get(connection, trace.output)
    return f"{trace.asset}@{snapshot.number}" if snapshot else trace.output


def study_report(ledger: Ledger, model: str, known: Sequence[str]) -> dict[str, Any]:
    """The newest study of a model: `filiera.study/1`.

    Raises:
        NotFoundError: the model was never studied.
    """
    with ledger.reading() as connection:
        found = studies.list_studies(connection, model)
        if not found:
            raise NotFoundError("study.unknown", f"{model} was never studied", next=nearest(model, set(known)))
        study = found[0]
        trials = studies.list_trials(connection, study.id)
        report = studies.get_report(connection, study.id)
        versions = [v for v in studies.list_versions(connection, model) if v.study == study.id]
    scores = [trial.score for trial in trials if trial.score is not None]
    spent = sum(trial.cost_nano for trial in trials)
    unit = versions[0].card["unit"] if versions else None
    frontier = report.get("frontier", {})
    return {
        "schema": "filiera.study/1",
        "model": model,
        "study": study.id,
        "studies": len(found),
        "version": versions[0].label if versions else None,
        "unit": unit,
        "best": min(scores, default=None),
        "baselines": report.get("baselines", []),
        "stop": report.get("reason", "not finished; `filiera apply` goes on"),
        "limit": report.get("limit"),
        "worth": report.get("worth"),
        "spent": Money(spent, ledger.currency).to_json(),
        "currency": ledger.currency,
        "frontier": frontier | {"text": _frontier_text(frontier, unit or "", ledger.currency)},
        "trials": [
            {
                "number": trial.number,
                "settings": dict(trial.settings),
                "origin": trial.origin,
                "state": trial.state.value,
                "score": trial.score,
                "seconds": round(trial.seconds, 3),
                "cost": Money(trial.cost_nano, ledger.currency).to_json(),
                "error": trial.error,
            }
            for trial in trials
        ],
        "failed": sum(1 for trial in trials if trial.state is TrialState.FAILED),
        "capped": sum(1 for trial in trials if trial.state is TrialState.CAPPED),
    }


def _frontier_text(frontier: Mapping[str, Any], unit: str, currency: str) -> str:
    """What the last bit of accuracy cost, and what the next would."""
    if not frontier.get("points"):
        return ""
    step = f"{frontier['step']:.3g} {unit}".rstrip()
    following = frontier["price_of_next_step"]
    told = "is not to be expected from more trials" if following is None else f"would cost {following:.3g} {currency}"
    return f"the last {step} of accuracy cost {frontier['price_of_last_step']:.3g} {currency}; the next {told}"


def newest_rows(
    context: Context, snapshot: Snapshot, version: ModelVersion, devices: Sequence[str]
) -> list[dict[str, Any]]:
    """The newest row of each device, with the inputs of a model; nulls where a value is missing.

    Reads backwards from the newest day, so a device that is alive costs one day, whatever the table holds.

    Raises:
        ContractError: too many devices, or the rows of the table belong to no device.
        DeniedError: devices are personal here, and so masked.
        NotFoundError: a device has no row; names the nearest.
    """
    check_count(len(devices), "devices")
    device = _device_column(context, snapshot, version)
    inputs = [str(column["name"]) for column in version.inputs]
    found: dict[str, dict[str, Any]] = {}
    known: set[str] = set()
    for low_us, high_us in _windows_backwards(snapshot):
        missing = [name for name in dict.fromkeys(devices) if name not in found]
        if not missing:
            break
        rows = context.read(snapshot, list(dict.fromkeys([device, *inputs])), low_us, high_us)
        found |= _last_rows(rows, device, inputs, missing)
        known.update(name for name in pc.unique(rows.column(device).cast(pa.string())).to_pylist() if name is not None)
    for wanted in devices:
        if wanted not in found:
            raise NotFoundError(
                "device.unknown", f"no row of device {wanted[:60]} in {snapshot.table}", next=_nearest(wanted, known)
            )
    return [found[name] for name in devices]


def _device_column(context: Context, snapshot: Snapshot, version: ModelVersion) -> str:
    """The first column of the key that is not the time."""
    device = next((name for name in snapshot.key if name != snapshot.time), None)
    if device is None:
        raise ContractError(
            "predict.no_device", f"{version.name} cannot be asked by device: rows of {snapshot.table} belong to none",
            expected="a table with a device in its key", found=f"key {', '.join(snapshot.key) or 'none'}",
            next="ask by records",
        )  # fmt: skip
    if context.reader.hidden(snapshot, [device]):
        raise DeniedError(
            "column.masked", f"column {device} of {snapshot.table} is masked, so nobody can ask by it",
            next="ask by records",
        )  # fmt: skip
    return device


def _windows_backwards(snapshot: Snapshot) -> Iterator[tuple[int | None, int | None]]:
    """Ranges low <= time < high from the newest row to the oldest: a day, then eight times as far each time."""
    if snapshot.time is None or snapshot.low_us is None or snapshot.high_us is None:
        yield None, None
        return
    high_us, width_us = snapshot.high_us + 1, US_PER_DAY
    while high_us > snapshot.low_us:
        low_us = max(snapshot.low_us, high_us - width_us)
        yield low_us, high_us
        high_us, width_us = low_us, width_us * 8


def _last_rows(rows: pa.Table, device: str, inputs: Sequence[str], wanted: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The last row of each wanted device that has one; rows are sorted by time."""
    codes = pc.index_in(rows.column(device).cast(pa.string()), value_set=pa.array(wanted, pa.string()))
    places = np.asarray(pc.fill_null(codes, -1).to_numpy(), np.int64)
    last = np.full(len(wanted), -1, np.int64)
    seen = np.flatnonzero(places >= 0)
    np.maximum.at(last, places[seen], seen)
    there = [place for place in range(len(wanted)) if last[place] >= 0]
    values = rows.select(inputs).take(pa.array(last[there], pa.int64())).to_pylist()
    return {wanted[place]: _without_nan(row) for place, row in zip(there, values, strict=True)}


def _without_nan(row: Mapping[str, Any]) -> dict[str, Any]:
    """A number that is none is a missing value, as it was in the training."""
    return {name: None if isinstance(value, float) and value != value else value for name, value in row.items()}


def _nearest(wanted: str, known: set[str]) -> str:
    return nearest(wanted[:60], known) if len(known) <= MOST_NAMED else f"{len(known):,} devices are known"
