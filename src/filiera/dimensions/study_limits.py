"""What a study may cost and what its score is worth, as it is stated now; checked before any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from filiera.clock import US_PER_DAY
from filiera.core.asset import Graph, Model, Table
from filiera.core.generation import PROD
from filiera.core.snapshot import Snapshot
from filiera.core.trial import Trial
from filiera.dimensions.context import Context
from filiera.ledger import environments, studies, traces
from filiera.settings import Settings
from filiera.train.card import unit_of
from filiera.train.report import NANO, may_continue
from filiera.train.value import Worth, in_units_of, stated_worth

MONTH_US = 30 * US_PER_DAY
#: Later studies of a model start from what the last one found and need fewer trials.
RETRAIN_SHARE, RETRAIN_LEAST = 0.3, 10


def check_worth(context: Context, graph: Graph, model: Model, snapshot: Snapshot | None) -> Worth:
    """The stated worth of a model per unit of its target, checked before any training.

    Args:
        context: for the settings and the currency.
        graph: tells where the target comes from while there are no rows yet.
        model: its definition.
        snapshot: of its input; None = not computed yet.

    Raises:
        UsageError: it cannot be read, is in another currency, or per a unit that the target is not in.
    """
    if snapshot is None:
        unit = _declared_unit(context.settings, graph, model.inputs[0].asset, model.predicts)
    else:
        unit = unit_of(snapshot, model.predicts)
    rules = context.settings.rules_of(model.name)
    return in_units_of(stated_worth(rules.worth, rules.stop, context.prices.currency), model.predicts, unit)


def _declared_unit(settings: Settings, graph: Graph, asset: str, column: str) -> str | None:
    """The unit that a column will have: the one of the first source that has a column of its name."""
    source = settings.sources.get(asset)
    if source is not None:
        return next((item.unit for item in source.contract.columns if item.name == column), None)
    table = graph.find(asset)
    ports = table.inputs if isinstance(table, Table) else ()
    found = (_declared_unit(settings, graph, port.asset, column) for port in ports)
    return next((unit for unit in found if unit is not None), None)


def continuation(context: Context, model: Model, key: str, limit: int, value: Worth) -> str:
    """What the finished study of a key could go on for, or "" when it would end where it did.

    Args:
        context: the open project.
        model: its definition.
        key: of the step.
        limit: trials that are allowed now.
        value: of `check_worth`.
    """
    with context.ledger.reading() as connection:
        study = studies.find_study(connection, model.name, key)
        if study is None:
            return ""
        report, trials = studies.get_report(connection, study.id), studies.list_trials(connection, study.id)
    return may_continue(report, limit, study_budget(context, model, report, trials), value)


def study_size(
    context: Context, model: Model, *, asked: int | None = None, key: str | None = None
) -> tuple[int, list[Mapping[str, Any]]]:
    """Upper limit of trials, and the settings that are tried first.

    A model that has versions of other studies needs fewer trials, unless their number was written down or asked for.

    Args:
        context: the open project.
        model: its definition.
        asked: upper limit that was asked for.
        key: of the step, where it is known.
    """
    written = asked or context.settings.rules_of(model.name).trials
    names = {parameter.name for parameter in model.space}
    with context.ledger.reading() as connection:
        released = environments.head(connection, PROD)
        trace_id = released.assets.get(model.name) if released else None
        trace = traces.get(connection, trace_id) if trace_id else None
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


def study_budget(context: Context, model: Model, report: Mapping[str, Any], trials: Sequence[Trial]) -> float | None:
    """What all trials of a study and its next final fit may take: of its own limit, and of what the month has left."""
    limits = []
    spent = sum(trial.cost_nano for trial in trials) / NANO
    own, monthly = context.settings.rules_of(model.name).budget, context.settings.project.monthly_budget
    if own is not None:
        limits.append(own.amount - report.get("finals_nano", 0) / NANO)
    if monthly is not None:
        with context.ledger.reading() as connection:
            month = environments.total_spend(connection, context.clock.now_us() - MONTH_US) / NANO
        limits.append(spent + max(0.0, monthly.amount - month))
    return min(limits) if limits else None
