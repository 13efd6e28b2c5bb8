"""Plan, apply and follow."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.code.bundle import code_files
from filiera.core.generation import DEV, PROD
from filiera.core.plan import Action, Plan
from filiera.core.progress import Progress, Silent
from filiera.cost.calibration import Forecasted, calibration
from filiera.dimensions import stamp, waiting
from filiera.dimensions.apply import ApplyReport, apply, idle_report
from filiera.dimensions.context import Definitions
from filiera.dimensions.declared import declarations
from filiera.dimensions.facts import LedgerFacts
from filiera.dimensions.overrides import Overrides, override
from filiera.dimensions.plan import make_plan
from filiera.dimensions.shown import refuse_stale, remember_plan
from filiera.dimensions.study_limits import check_worth
from filiera.errors import ConflictError, GateError
from filiera.ledger import environments, forecasts
from filiera.workspace.base import Base

if TYPE_CHECKING:
    pass

#: A remembered plan is looked at again after a day: freshness rules may have come due.
PLAN_VALID_US = 86_400_000_000


class Plans(Base):
    """Plan, apply and follow."""

    def plan(self, environment: str = DEV, *, overrides: Overrides | None = None) -> Plan:
        """What changed, what follows, and its price; changes nothing.

        Args:
            environment: that would move.
            overrides: settings of this run only, such as `{"power.max_leaf_nodes": 64}`.
        """
        self._refuse_unknown(environment)
        return self._plan(self._overridden(overrides), environment)

    def _overridden(self, overrides: Overrides | None) -> Definitions:
        definitions = self.definitions()
        return replace(definitions, graph=override(definitions.graph, overrides)) if overrides else definitions

    def _plan(self, definitions: Definitions, environment: str, facts: LedgerFacts | None = None) -> Plan:
        context = self._context
        facts = facts or LedgerFacts(context, environment, bundle=definitions.bundle)
        plan = make_plan(
            definitions.graph,
            facts,
            environment=environment,
            currency=context.prices.currency,
            now_us=context.clock.now_us(),
        )
        for model in definitions.graph.models:
            check_worth(context, definitions.graph, model, facts.snapshot(model.inputs[0].asset))
        return plan

    @property
    def _plans(self) -> Path:
        return self.settings.state / "cache" / "plans"

    def calibration(self, limit: int = 1_000) -> dict[str, Any]:
        """How the newest forecasts compare with what the steps took: `filiera.calibration/1`."""
        with self.ledger.reading() as connection:
            records = forecasts.newest(connection, limit)
        return calibration([Forecasted(**record) for record in records])

    def plan_answer(self, environment: str = DEV, *, overrides: Overrides | None = None) -> dict[str, Any]:
        """The plan as data and as text, remembered for as long as nothing changes.

        Where nothing is left to do, `apply` is what an apply would answer, as data and as text; else it is None.
        """
        from filiera.core.plan_text import plan_text

        self._refuse_unknown(environment)
        seen = self._look()
        definitions = self._overridden(overrides)
        facts = LedgerFacts(self._context, environment, bundle=definitions.bundle)
        plan = self._plan(definitions, environment, facts)
        answer: dict[str, Any] = {"plan": plan.to_json(), "text": plan_text(plan)}
        remember_plan(self._plans, answer["plan"])
        if overrides:
            return answer
        idle = self._idle(definitions, facts, plan)
        answer["apply"] = {"report": idle.to_json(), "text": idle.to_text()} if idle else None
        if any(waiting.busy(self._context, source) for source in self.settings.sources):
            return answer  # a file that is being written may be whole a moment later
        if facts.reads_outside():
            return answer  # a stamp does not look there
        if not self.settings.is_current:
            return answer  # the stamp has the settings that were written since this project was opened
        stamp.remember(seen, environment, answer, valid_until_us=seen.at_us + PLAN_VALID_US)
        return answer

    def _look(self) -> stamp.Look:
        """At everything that a plan reads, before it is made."""
        stated = declarations(self.settings.root, code_files(self.settings.root))
        return stamp.look(
            self.settings.root,
            [*(source.pattern for source in self.settings.sources.values()), *stated.files],
            stamp.library_folders(Path(self._python() or sys.executable)),
            now_us=self._context.clock.now_us(),
            variables=stated.variables,
            environ=self._context.environ,
        )

    def _idle(self, definitions: Definitions, facts: LedgerFacts, plan: Plan) -> ApplyReport | None:
        """What an apply would answer that finds nothing to do; None when it would do something."""
        reused = all(step.action is Action.REUSE and not step.detail for step in plan.steps)
        if plan.environment == PROD or not reused or self._proposal() != self._accepted():
            return None
        return idle_report(self._context, definitions, facts, plan.environment)

    def apply(
        self,
        environment: str = DEV,
        *,
        progress: Progress | None = None,
        trials: int | None = None,
        overrides: Overrides | None = None,
        plan: str | None = None,
    ) -> ApplyReport:
        """Do what the plan says; killed at any moment, the next apply continues.

        Args:
            environment: that moves.
            progress: is told how far it is.
            trials: upper limit of trials for this run.
            overrides: settings of this run only, such as `{"power.max_leaf_nodes": 64}`; they are recorded.
            plan: key of a plan that was shown; nothing runs unless it still holds.

        Raises:
            ConflictError: another apply is running, or the plan is stale.
            GateError: the environment has a gate; it moves by releases only.
            NotFoundError: there is no such environment.
        """
        self._refuse_unknown(environment)
        if environment == PROD:
            raise GateError(
                "environment.gated",
                f"{PROD} moves by releases and by new rows only",
                next="`filiera apply`, then `filiera release MODEL`",
            )
        self._context.progress = progress or Silent()
        with self._lock(), self.lake.objects.keeping():
            definitions = self._overridden(overrides)
            if plan is not None:
                refuse_stale(self._plans, plan, self._plan(definitions, environment).to_json())
            self._accept_rules()
            cause = {"set": dict(overrides)} if overrides else None
            report = apply(self._context, definitions, environment, trials=trials, cause=cause)
            if report.steps:
                self.lake.sweep()  # what a killed process left behind, a day after
            return report

    def follow(self) -> ApplyReport | None:
        """Take in new rows and bring the tables of prod up to date with the released code; never trains."""
        from filiera.dimensions.follow import follow

        try:
            with self._lock():
                return follow(self._context)
        except ConflictError:  # an apply, a release or a rollback is at it; the next follow starts from what it left
            return None

    def _proposal(self) -> dict[str, Any]:
        """The rules as they stand in `filiera.toml`."""
        return {
            "owner": self.settings.project.owner,
            "purposes": list(self.settings.project.purposes),
            "environments": {name: rules.approvals for name, rules in self.settings.environments.items()},
            "contracts": {name: source.contract.digest for name, source in self.settings.sources.items()},
        }

    def _accepted(self) -> Any:
        with self.ledger.reading() as connection:
            return environments.accepted_rules(connection)

    def _accept_rules(self) -> None:
        """Alone on a machine, the proposals of `filiera.toml` become rules by an apply, with an audit entry."""
        proposal = self._proposal()
        if self._accepted() != proposal:
            with self.ledger.commit(
                actor=self.principal, action="rules.accept", object="project", details=proposal
            ) as tx:
                environments.accept_rules(tx, proposal, self.principal)
