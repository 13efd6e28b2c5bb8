"""Studies, their trials, and the model versions that came of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from filiera.core.model import ModelVersion
from filiera.core.trial import Study, Trial, TrialState
from filiera.ledger import tables as t
from filiera.ledger.journal import Tx, as_json


def create_study(tx: Tx, study: Study) -> None:
    """Begin a study; its key is unique per model."""
    tx.connection.execute(
        sa.insert(t.study).values(
            id=study.id,
            project=tx.project,
            model=study.model,
            key=study.key,
            workers=study.workers,
            snapshot=study.snapshot,
            report="{}",
            created_us=study.created_us,
        )
    )


def find_study(connection: sa.Connection, model: str, key: str) -> Study | None:
    """The study of a model with that key."""
    row = (
        connection.execute(sa.select(t.study).where(t.study.c.model == model, t.study.c.key == key)).mappings().first()
    )
    return _study(row) if row else None


def list_studies(connection: sa.Connection, model: str) -> list[Study]:
    """All studies of a model, newest first."""
    query = sa.select(t.study).where(t.study.c.model == model).order_by(t.study.c.created_us.desc())
    return [_study(row) for row in connection.execute(query).mappings()]


def put_report(tx: Tx, study_id: str, report: Mapping[str, Any]) -> None:
    """Keep the newest report of a study: baselines, stop reason, frontier."""
    tx.connection.execute(sa.update(t.study).where(t.study.c.id == study_id).values(report=as_json(dict(report))))


def get_report(connection: sa.Connection, study_id: str) -> dict[str, Any]:
    """The newest report of a study."""
    text = connection.execute(sa.select(t.study.c.report).where(t.study.c.id == study_id)).scalar_one()
    report: dict[str, Any] = json.loads(text)
    return report


def add_trials(tx: Tx, study_id: str, trials: Sequence[Trial]) -> None:
    """Record trials at their start."""
    for trial in trials:
        tx.connection.execute(
            sa.insert(t.trial).values(study=study_id, created_us=tx.now_us, ended_us=None, **_values(trial))
        )


@dataclass(frozen=True, slots=True)
class Spent:
    """What trials took since it was last recorded."""

    cost_nano: int
    seconds: float


def finish_trials(tx: Tx, study_id: str, trials: Sequence[Trial]) -> Spent:
    """Record what came of running trials, several in one transaction."""
    recorded = _recorded(tx.connection, study_id, trials)
    for trial in trials:
        values = _values(trial)
        del values["number"]
        where = (t.trial.c.study == study_id) & (t.trial.c.number == trial.number)
        tx.connection.execute(sa.update(t.trial).where(where).values(ended_us=tx.now_us, **values))
    return _spent(trials, recorded)


def interrupt_trials(tx: Tx, study_id: str, trials: Sequence[Trial]) -> Spent:
    """Record what trials took that were stopped. They stay running, so that the next apply runs them again.

    A trial that has ended meanwhile is left as it is.
    """
    recorded = _recorded(tx.connection, study_id, trials)
    stopped = [trial for trial in trials if recorded[trial.number].state is TrialState.RUNNING]
    for trial in stopped:
        where = (t.trial.c.study == study_id) & (t.trial.c.number == trial.number)
        values = {"seconds": trial.seconds, "cost_nano": trial.cost_nano}
        tx.connection.execute(sa.update(t.trial).where(where).values(values))
    return _spent(stopped, recorded)


def _recorded(connection: sa.Connection, study_id: str, trials: Sequence[Trial]) -> dict[int, Trial]:
    numbers = {trial.number for trial in trials}
    return {trial.number: trial for trial in list_trials(connection, study_id) if trial.number in numbers}


def _spent(trials: Sequence[Trial], recorded: Mapping[int, Trial]) -> Spent:
    return Spent(
        sum(trial.cost_nano - recorded[trial.number].cost_nano for trial in trials),
        sum(trial.seconds - recorded[trial.number].seconds for trial in trials),
    )


def list_trials(connection: sa.Connection, study_id: str) -> list[Trial]:
    """All trials of a study by number."""
    query = sa.select(t.trial).where(t.trial.c.study == study_id).order_by(t.trial.c.number)
    return [_trial(row) for row in connection.execute(query).mappings()]


def record_version(tx: Tx, version: ModelVersion) -> None:
    """Write a model version."""
    body = {
        "inputs": [dict(column) for column in version.inputs],
        "settings": dict(version.settings),
        "metrics": dict(version.metrics),
        "train_low_us": version.train_low_us,
        "train_high_us": version.train_high_us,
        "runtime": dict(version.runtime),
        "releasable": version.releasable,
        "card": dict(version.card),
    }
    tx.connection.execute(
        sa.insert(t.model_version).values(
            id=version.id,
            project=tx.project,
            name=version.name,
            number=version.number,
            study=version.study,
            digest=version.digest,
            format=version.format,
            package=as_json(dict(version.package)) if version.package else None,
            predictions=as_json(dict(version.predictions)) if version.predictions else None,
            body=as_json(body),
            created_us=version.created_us,
        )
    )


def list_versions(connection: sa.Connection, name: str | None = None) -> list[ModelVersion]:
    """Model versions, newest first."""
    query = sa.select(t.model_version).order_by(t.model_version.c.number.desc())
    if name is not None:
        query = query.where(t.model_version.c.name == name)
    return [_version(row) for row in connection.execute(query).mappings()]


def get_version(connection: sa.Connection, version_id: str) -> ModelVersion | None:
    """A model version by id."""
    query = sa.select(t.model_version).where(t.model_version.c.id == version_id)
    row = connection.execute(query).mappings().first()
    return _version(row) if row else None


def _study(row: Mapping[Any, Any]) -> Study:
    return Study(**{name: row[name] for name in Study.__dataclass_fields__})


def _trial(row: Mapping[Any, Any]) -> Trial:
    return Trial(
        number=row["number"],
        settings=json.loads(row["settings"]),
        state=TrialState(row["state"]),
        score=row["score"],
        window_scores=tuple(json.loads(row["window_scores"])),
        seconds=row["seconds"],
        cpu_seconds=row["cpu_seconds"],
        peak_bytes=row["peak_bytes"],
        cost_nano=row["cost_nano"],
        error=row["error"],
        origin=row["origin"],
    )


def _values(trial: Trial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "settings": as_json(dict(trial.settings)),
        "origin": trial.origin,
        "state": trial.state.value,
        "score": trial.score,
        "window_scores": as_json(list(trial.window_scores)),
        "seconds": trial.seconds,
        "cpu_seconds": trial.cpu_seconds,
        "peak_bytes": trial.peak_bytes,
        "cost_nano": trial.cost_nano,
        "error": trial.error,
    }


def _version(row: Mapping[Any, Any]) -> ModelVersion:
    body = json.loads(row["body"])
    return ModelVersion(
        id=row["id"],
        name=row["name"],
        number=row["number"],
        study=row["study"],
        digest=row["digest"],
        format=row["format"],
        package=json.loads(row["package"]) if row["package"] else None,
        predictions=json.loads(row["predictions"]) if row["predictions"] else None,
        inputs=tuple(body["inputs"]),
        settings=body["settings"],
        metrics=body["metrics"],
        train_low_us=body["train_low_us"],
        train_high_us=body["train_high_us"],
        runtime=body["runtime"],
        releasable=body["releasable"],
        card=body["card"],
        created_us=row["created_us"],
    )
