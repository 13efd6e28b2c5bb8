"""What runs by itself in an environment: `prod` follows new rows with released code, `dev` applies the folder's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from filiera.automation.debounce import rules_of
from filiera.automation.gitref import bundle_at, commit_of
from filiera.automation.policy import FOLLOW
from filiera.code.bundle import Bundle
from filiera.core.event import Debounce, EventKind
from filiera.core.generation import DEV, PROD, Generation
from filiera.core.plan import Plan
from filiera.dimensions.apply import ApplyReport, Guard, apply
from filiera.dimensions.context import Context, Definitions, working_bundle
from filiera.dimensions.describe import describe
from filiera.dimensions.facts import LedgerFacts
from filiera.dimensions.follow import Released, find_released, follow, plan_follow
from filiera.dimensions.plan import make_plan
from filiera.dimensions.study_limits import check_worth
from filiera.settings import Automation


@dataclass(frozen=True, slots=True)
class Ready:
    """An environment as it stands, with its code."""

    head: Generation | None
    plan: Callable[[frozenset[str]], Plan]  #: without the assets that are left out
    run: Callable[[frozenset[str], Guard], ApplyReport]


@dataclass(frozen=True, slots=True)
class Target:
    """An environment in which things run by themselves."""

    environment: str
    rules: Automation
    ready: Callable[[Context], Ready | None]  #: None = there is nothing to work at
    debounce: Mapping[EventKind, Debounce] = field(default_factory=dict)  #: kinds that are not named are due at once


def targets(settings: Automation) -> tuple[Target, Target]:
    """The environments, those first that must be fresh."""
    return Target(PROD, FOLLOW, _prod), Target(DEV, settings, _dev, rules_of(settings))


def _prod(context: Context) -> Ready | None:
    released = find_released(context, PROD)
    if released is None:
        return None
    found: Released = released

    def run(left_out: frozenset[str], guard: Guard) -> ApplyReport:
        report = follow(context, PROD, guard=guard, left_out=left_out)
        assert report is not None, "what was released once stays"
        return report

    return Ready(found.head, lambda left_out: plan_follow(context, found, left_out), run)


def _dev(context: Context) -> Ready:
    definitions = describe(context, automation_bundle(context))
    return Ready(
        LedgerFacts(context, DEV).head,
        lambda left_out: _plan_dev(context, definitions, left_out),
        # no plan has the price of a study that goes on, so nobody agreed to it
        lambda left_out, guard: apply(context, definitions, DEV, left_out=left_out, guard=guard, studies_go_on=False),
    )


def automation_bundle(context: Context) -> Bundle:
    """The code that runs by itself in `dev`: of `[automation] ref` where one is named, else of the folder."""
    settings = context.settings
    if settings.automation.ref is None:
        return working_bundle(settings)
    return bundle_at(settings.root, commit_of(settings.root, settings.automation.ref))


def _plan_dev(context: Context, definitions: Definitions, left_out: frozenset[str]) -> Plan:
    facts = LedgerFacts(context, DEV, bundle=definitions.bundle)
    plan = make_plan(
        definitions.graph,
        facts,
        environment=DEV,
        currency=context.prices.currency,
        now_us=context.clock.now_us(),
        left_out=left_out,
    )
    for model in definitions.graph.models:
        if model.name not in left_out:
            check_worth(context, definitions.graph, model, facts.snapshot(model.inputs[0].asset))
    return plan
