"""The workspace: every operation of a project, in one place; the CLI, the server and notebooks call these methods.

with Workspace.open(root) as wind:
    print(wind.plan().to_json())
    wind.apply()
"""

from __future__ import annotations

import os
import pwd
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.clock import Clock, SystemClock, rfc3339
from filiera.code.bundle import code_files
from filiera.core.contract import OPEN
from filiera.core.generation import DEV, PROD, Generation
from filiera.core.model import ModelVersion
from filiera.core.money import Money
from filiera.core.plan import Action, Plan
from filiera.core.progress import Progress, Silent
from filiera.core.snapshot import Snapshot
from filiera.core.trace import Trace
from filiera.cost.calibration import Forecasted, calibration
from filiera.cost.prices import load_prices
from filiera.dimensions import stamp, waiting
from filiera.dimensions.apply import ApplyReport, apply, apply_lock, idle_report
from filiera.dimensions.context import Context, Definitions, working_bundle
from filiera.dimensions.declared import declarations
from filiera.dimensions.describe import describe, installation
from filiera.dimensions.facts import LedgerFacts
from filiera.dimensions.overrides import Overrides, override
from filiera.dimensions.plan import make_plan
from filiera.dimensions.shown import refuse_stale, remember_plan
from filiera.dimensions.study_limits import check_worth
from filiera.errors import ConflictError, FilieraError, GateError, NotFoundError, SettingsError, UsageError, nearest
from filiera.govern import keys
from filiera.govern.policy import Policy
from filiera.lake.access import LakeReader
from filiera.lake.objects import LocalObjects
from filiera.lake.table import Lake
from filiera.ledger import environments, forecasts, snapshots, sources, studies, traces
from filiera.ledger.chain import ChainReport
from filiera.ledger.journal import Ledger
from filiera.ledger.named import any_object
from filiera.settings import Settings, load

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from filiera.automation.turn import Turn
    from filiera.automation.watch import Memory
    from filiera.clean import Cleaner
    from filiera.dimensions.quarantine import Released
    from filiera.engine.process import ProcessEngine
    from filiera.ledger.holds import Hold
    from filiera.study_text import StudyReport

#: A remembered plan is looked at again after a day: freshness rules may have come due.
PLAN_VALID_US = 86_400_000_000
#: A release waits so long for an apply or a follow that is at work.
RELEASE_WAIT_S = 120.0


class Workspace:
    """An open project. `open` and `create` make one; `close` gives everything back."""

    def __init__(self, context: Context, policy: Policy, key_path: Path) -> None:
        self._context = context
        self._policy = policy
        self._key_path = key_path
        self._endpoints: dict[str, Any] = {}
        self._memory: Memory | None = None  #: of what was looked at for events
        self._installed: list[str] | None = None  #: libraries that the engine's processes may have loaded

    # ---- open and close

    @classmethod
    def open(
        cls,
        root: Path,
        *,
        clock: Clock | None = None,
        environ: Mapping[str, str] | None = None,
        principal: str | None = None,
        engine: ProcessEngine | None = None,
    ) -> Workspace:
        """Open the project in `root`; an engine that was launched before is taken over.

        Raises:
            SettingsError: `filiera.toml` has a mistake; with file and line.
            NotFoundError: no settings, no ledger, or no key file.
        """
        environ = os.environ if environ is None else environ
        clock = clock or SystemClock()
        settings = load(root.resolve())
        ledger = Ledger.open(settings.state / "ledger.db", clock=clock)
        _refuse_other_currency(settings, ledger)
        key_path = key_file(environ, ledger.project)
        key = keys.load(key_path)
        lake = Lake(ledger, LocalObjects(settings.state / "lake", key))
        policy = Policy(settings.project.purposes)
        context = Context(
            settings=settings,
            ledger=ledger,
            lake=lake,
            reader=LakeReader(lake, masked=policy.masked, declared=_declared(settings)),
            prices=load_prices(settings.project.currency, settings.prices),
            clock=clock,
            principal=principal or local_principal(),
            purpose=settings.project.purposes[0],
            _engine=engine,
            fingerprint=key.fingerprint,
            environ=environ,
        )
        return cls(context, policy, key_path)

    @classmethod
    def create(
        cls,
        root: Path,
        *,
        clock: Clock | None = None,
        environ: Mapping[str, str] | None = None,
        principal: str | None = None,
    ) -> tuple[Workspace, list[str]]:
        """Make ledger, lake and key file for the settings in `root`; gives the recovery shares of the key.

        Raises:
            ConflictError: there is a ledger already.
        """
        environ = os.environ if environ is None else environ
        clock = clock or SystemClock()
        settings = load(root.resolve())
        settings.state.mkdir(mode=0o700, exist_ok=True)
        settings.state.chmod(0o700)
        principal = principal or local_principal()
        project = settings.project
        ledger = Ledger.create(
            settings.state / "ledger.db", name=project.name, currency=project.currency, clock=clock, actor=principal
        )
        key = keys.create(key_file(environ, ledger.project))
        ledger.close()
        return cls.open(root, clock=clock, environ=environ, principal=principal), key.shares()

    @staticmethod
    def restore_key(root: Path, first: str, second: str, *, environ: Mapping[str, str] | None = None) -> Path:
        """Write the key file again from two recovery shares; gives its place.

        Raises:
            IntegrityError: a share was mistyped, or the key opens nothing of this project.
            ConflictError: there is a key file; it is never overwritten.
        """
        key = keys.restore(first, second)
        state = load(root).state
        ledger = Ledger.open(state / "ledger.db", clock=SystemClock())
        try:
            with ledger.reading() as connection:
                record = any_object(connection)
            if record is not None:
                LocalObjects(state / "lake", key).get(record)
            path = key_file(os.environ if environ is None else environ, ledger.project)
            key.save(path)
            with ledger.commit(actor=local_principal(), action="key.restore", object=str(path)):
                pass
        finally:
            ledger.close()
        return path

    def close(self) -> None:
        """End child processes and close the ledger."""
        for endpoint in self._endpoints.values():
            endpoint.close()
        self._endpoints.clear()
        self._context.close()
        self._context.ledger.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def settings(self) -> Settings:
        """The settings as they were read."""
        return self._context.settings

    @property
    def ledger(self) -> Ledger:
        """The ledger."""
        return self._context.ledger

    @property
    def lake(self) -> Lake:
        """The lake."""
        return self._context.lake

    @property
    def principal(self) -> str:
        """Whose work this is."""
        return self._context.principal

    @property
    def key_path(self) -> Path:
        """Where the root key lies."""
        return self._key_path

    # ---- plan and apply

    def definitions(self) -> Definitions:
        """The graph of the code in the folder."""
        return describe(self._context, working_bundle(self.settings))

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

    def _lock(self, *, wait_s: float = 0.0) -> AbstractContextManager[None]:
        return apply_lock(self.settings.state / "apply.lock", wait_s=wait_s)

    def _refuse_unknown(self, environment: str) -> None:
        with self.ledger.reading() as connection:
            names = {DEV, PROD, *self.settings.environments, *environments.names(connection)}
        if environment not in names:
            raise NotFoundError(
                "environment.unknown",
                f"no environment {environment}",
                expected=", ".join(sorted(names)),
                next=f"`filiera env new {environment} --from dev` makes it",
            )

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

    # ---- what runs by itself

    def automate(self, *, up_since_us: int | None = None) -> Turn:
        """One turn of `filiera up`: look for events, decide about them, do what may be done by itself.

        Settings that were changed and have a mistake are told; what was read before holds until they are mended.

        Args:
            up_since_us: when `up` began; None = it did not.
        """
        from filiera.automation.turn import turn
        from filiera.automation.watch import Memory

        self._memory = self._memory or Memory()
        mistake: FilieraError | None = None
        try:
            self._reload()
        except FilieraError as error:
            mistake = error
        self._renew_engine()
        self._context.waited_for = False
        worker = f"{socket.gethostname()}:{os.getpid()}"
        found = turn(self._context, worker, self._lock(), up_since_us=up_since_us, memory=self._memory)
        found.failure = mistake or found.failure
        return found

    def _renew_engine(self) -> None:
        """End an engine whose interpreter or libraries are others by now: it would go on with what it has loaded."""
        installed = installation(Path(self._python() or sys.executable))
        if self._installed not in (None, installed):
            self._context.close()
        self._installed = installed

    def _reload(self) -> None:
        """Take over what was changed in `filiera.toml`."""
        fresh = load(self.settings.root)
        if fresh.digest == self.settings.digest:
            return
        _refuse_other_currency(fresh, self.ledger)
        self._policy = Policy(fresh.project.purposes)
        context = self._context
        context.reader = LakeReader(self.lake, masked=self._policy.masked, declared=_declared(fresh))
        context.prices = load_prices(fresh.project.currency, fresh.prices)
        context.purpose = fresh.project.purposes[0]
        context.settings = fresh

    def events(self, limit: int = 50) -> dict[str, Any]:
        """The newest events, what came of each, and what waits for a person: `filiera.events/1`."""
        from filiera.automation.report import events_report

        return events_report(self._context, limit)

    def add_event(self, reason: str, *, cause: int | None = None) -> int:
        """Mark the project as due by hand; gives the number of the event.

        Args:
            reason: for the log.
            cause: number of the intent whose run brought it about; its environment does not act on it.

        Raises:
            NotFoundError: no such intent.
        """
        from filiera.automation.by_hand import add_event

        return add_event(self._context, reason, cause)

    def approve(self, number: int) -> None:
        """Let an intent run that waits for a person.

        Raises:
            NotFoundError: there is no such intent.
            ConflictError: it does not wait.
        """
        from filiera.automation.by_hand import approve

        approve(self._context, number)

    # ---- rows

    def query(
        self,
        table: str,
        *,
        purpose: str | None = None,
        columns: Sequence[str] | None = None,
        where: Sequence[str] = (),
        at: int | str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int | None = None,
        environment: str = DEV,
    ) -> pa.Table:
        """Rows of a source or table, sorted by (time, key); leaves an exposure record.

        Args:
            table: name of a source or derived table.
            purpose: one of the declared; needed when there are several.
            columns: names, or None for all.
            where: conditions such as `power_kw > 100`.
            at: number of a snapshot, or a time; default what stands in the environment.
            since: first time, included.
            until: last time, excluded.
            limit: at most so many rows.
            environment: whose version of a derived table.
        """
        from filiera.query import Question, query

        stated = self._policy.purpose(purpose)
        snapshot = self.snapshot(table, at=at, environment=environment)
        question = Question(columns=columns, where=where, since=since, until=until, limit=limit)
        return query(self._context, snapshot, question, stated)

    def read(self, table: str, **options: Any) -> pd.DataFrame:
        """`query` as a pandas frame."""
        frame: pd.DataFrame = self.query(table, **options).to_pandas()
        return frame

    def masked(
        self, table: str, columns: Sequence[str], *, at: int | str | None = None, environment: str = DEV
    ) -> list[str]:
        """Those of the columns that a reader of the table gets as nulls."""
        return self._context.reader.hidden(self.snapshot(table, at=at, environment=environment), columns)

    def snapshot(self, table: str, *, at: int | str | None = None, environment: str = DEV) -> Snapshot:
        """A snapshot by number or time, or what stands in the environment.

        Raises:
            NotFoundError: no such table, or no such snapshot.
        """
        if isinstance(at, str) and at.isascii() and at.isdecimal():
            at = int(at)
        if isinstance(at, int):
            return self.lake.snapshot(table, number=at)
        if at is not None:
            from filiera.query import instant

            return self.lake.snapshot(table, at_us=instant(at))
        if table in self.settings.sources:
            return self.lake.snapshot(table)
        with self.ledger.reading() as connection:
            head = environments.head(connection, environment)
            trace = traces.get(connection, head.assets[table]) if head and table in head.assets else None
            found = snapshots.get(connection, trace.output) if trace and trace.kind == "table" else None
        if found is None:
            names = {*self.settings.sources, *(head.assets if head else ())}
            raise NotFoundError("table.unknown", f"no table {table} in {environment}", next=nearest(table, names))
        return found

    def export(self, table: str, path: Path, *, format: str | None = None, **options: Any) -> int:
        """Write rows to a file as CSV, Parquet or Arrow; gives their number. Governed and logged like any read."""
        from filiera.lake.export import export

        kind = format or {".csv": "csv", ".parquet": "parquet", ".arrow": "arrow"}.get(path.suffix, "")
        if kind not in ("csv", "parquet", "arrow"):
            raise UsageError(
                "export.format",
                "the format of the export is not known",
                expected="csv, parquet or arrow",
                found=repr(format or path.suffix),
                next="name one with --format",
            )
        rows = self.query(table, **options)
        export(rows, path, kind)
        count: int = rows.num_rows
        return count

    # ---- quarantine

    def quarantine(
        self, source: str | None = None, *, purpose: str | None = None, examples: int = 3
    ) -> list[dict[str, Any]]:
        """Quarantined records by file: reasons with counts, and some examples with their original text."""
        stated = self._policy.purpose(purpose)
        if source is not None and source not in self.settings.sources:
            raise NotFoundError("source.unknown", f"no source {source}", next=nearest(source, self.settings.sources))
        with self.ledger.reading() as connection:
            records = sources.list_quarantine(connection, source)
        found = []
        for record in records:
            rows = self._context.reader.show_quarantine(record, principal=self.principal, purpose=stated)
            found.append(
                {
                    "source": record.source,
                    "path": record.path,
                    "rows": record.rows,
                    "reasons": dict(record.reasons),
                    "examples": _examples(rows, examples),
                }
            )
        return found

    def quarantine_release(self, source: str) -> Released:
        """Check the quarantined records of a source again, after its contract was mended."""
        from filiera.dimensions.quarantine import release_quarantine

        if source not in self.settings.sources:
            raise NotFoundError("source.unknown", f"no source {source}", next=nearest(source, self.settings.sources))
        with self._lock():
            return release_quarantine(self._context, self.settings.sources[source])

    # ---- models and environments

    def models(self, name: str | None = None) -> list[ModelVersion]:
        """Model versions, newest first."""
        with self.ledger.reading() as connection:
            return studies.list_versions(connection, name)

    def version(self, label: str) -> ModelVersion:
        """`power` = the newest, `power@2` = that one.

        Raises:
            NotFoundError: no such model or version.
        """
        name, _, number = label.partition("@")
        versions = self.models(name)
        found = [version for version in versions if not number or str(version.number) == number]
        if not found:
            known = [version.label for version in versions] or sorted({v.name for v in self.models()})
            raise NotFoundError("model.unknown", f"no model version {label}", next=nearest(label, known))
        return found[0]

    def study(self, model: str) -> StudyReport:
        """The newest study of a model: trials, baselines, stop reason, and what the last bit of accuracy cost."""
        from filiera.overview import study_report
        from filiera.study_text import StudyReport

        return StudyReport(study_report(self.ledger, model, [version.name for version in self.models()]))

    def release(self, label: str, *, environment: str = PROD, origin: str = DEV) -> dict[str, Any]:
        """Move an environment to a model version, if every check of its gate passes.

        Args:
            label: `power` = the version that stands in `origin`, else the newest; `power@2` = that one.
            environment: that moves.
            origin: the environment whose tables stand behind the version, such as a branch.

        Raises:
            GateError: with every failing check and its evidence; nothing changed.
        """
        from filiera import release as releasing

        self._refuse_unknown(environment)
        self._refuse_unknown(origin)
        context, definitions = self._context, self.definitions()
        standing = None if "@" in label else releasing.champion_of(context, origin, label)
        candidate = releasing.find_candidate(context, definitions, standing or self.version(label))
        with self._lock(wait_s=RELEASE_WAIT_S):
            champion = releasing.champion_of(context, environment, candidate.version.name)
            if champion is not None:
                releasing.catch_up(context, environment)
            plan = self._plan(definitions, origin)
            checks = releasing.gate_checks(context, definitions, candidate, champion, environment, plan)
            generation = releasing.release(context, definitions, candidate, environment, origin, checks)
        return {
            "schema": "filiera.release/1",
            "environment": environment,
            "generation": generation.number,
            "version": candidate.version.label,
            "checks": [check.to_json() for check in checks],
            "self_released": True,
        }

    def rollback(self, environment: str = PROD) -> dict[str, Any]:
        """Move an environment back to before its last release."""
        from filiera.release import rollback

        self._refuse_unknown(environment)
        with self._lock(wait_s=RELEASE_WAIT_S):
            generation = rollback(self._context, environment)
        return {
            "schema": "filiera.rollback/1",
            "environment": environment,
            "generation": generation.number,
            "to": generation.cause["to"],
            "models": [version.label for version in self.served(environment)],
        }

    def head(self, environment: str = PROD) -> Generation | None:
        """The newest generation of an environment."""
        with self.ledger.reading() as connection:
            return environments.head(connection, environment)

    def served(self, environment: str = PROD) -> list[ModelVersion]:
        """The model versions that an environment runs."""
        head = self.head(environment)
        found = []
        with self.ledger.reading() as connection:
            for trace_id in head.assets.values() if head else ():
                trace = traces.get(connection, trace_id)
                version = studies.get_version(connection, trace.output) if trace and trace.kind == "model" else None
                if version is not None:
                    found.append(version)
        return found

    def predict(
        self,
        name: str,
        *,
        records: Sequence[Mapping[str, Any]] | None = None,
        devices: Sequence[str] | None = None,
        units: Mapping[str, str] | None = None,
        environment: str = PROD,
    ) -> dict[str, Any]:
        """Ask the released model, by inputs or by device (its newest row of the features table)."""
        endpoint = self.endpoint(name, environment)
        if (records is None) == (devices is None):
            raise UsageError("predict.form", "ask either by records or by devices", expected="one of the two")
        asked = list(records) if records is not None else self.newest_rows(endpoint.version, devices or (), environment)
        answer: dict[str, Any] = endpoint.predict(asked, units)
        return answer

    def newest_rows(
        self, version: ModelVersion, devices: Sequence[str], environment: str = PROD
    ) -> list[dict[str, Any]]:
        """The newest row of each device in the table that a model reads.

        Raises:
            NotFoundError: a device has no row; names the nearest.
        """
        from filiera.overview import newest_rows

        snapshot = self.snapshot(version.card["table"], environment=environment)
        return newest_rows(self._context, snapshot, version, devices)

    def endpoint_engine(self) -> Any:
        """An engine for `endpoint`, not started yet."""
        from filiera.serve.endpoint import endpoint_engine

        return endpoint_engine(self._python())

    def endpoint(self, name: str, environment: str = PROD, *, engine: Any = None) -> Any:
        """The endpoint of a released model, kept open; takes over `engine` where it makes a new one.

        Raises:
            NotFoundError: no such model is released.
        """
        from filiera.dimensions.versions import facts_of, package_of
        from filiera.serve.endpoint import Endpoint

        released = {version.name: version for version in self.served(environment)}
        if name not in released:
            raise NotFoundError(
                "model.not_released", f"{environment} runs no model {name}", next=nearest(name, released)
            )
        version = released[name]
        if version.id not in self._endpoints:
            package = package_of(self.lake.objects, version)
            self._endpoints[version.id] = Endpoint(
                version, facts_of(version), package, engine or self.endpoint_engine()
            )
        return self._endpoints[version.id]

    def retire(self, version_id: str) -> None:
        """Close the endpoint of a version that is not served any more."""
        endpoint = self._endpoints.pop(version_id, None)
        if endpoint is not None:
            endpoint.close()

    def _python(self) -> str | None:
        python = self.settings.project.python
        return str(self.settings.root / python) if python else None

    # ---- environments as branches, and why things are as they are

    def new_environment(self, name: str, *, origin: str = DEV) -> Generation:
        """A branch: a new environment where another stands; nothing is copied, and work done in one is found in all.

        Raises:
            UsageError: the name cannot be one.
            ConflictError: it is there already.
            NotFoundError: nothing stands in `origin`.
        """
        from filiera.branch import branch

        return branch(self._context, name, origin)

    def delete_environment(self, name: str) -> Generation:
        """Close an environment; what only it could reach may be cleaned up later.

        Raises:
            GateError: dev and prod stay.
            NotFoundError: there is no such environment.
        """
        from filiera.branch import close

        self._refuse_unknown(name)
        return close(self._context, name)

    def why(self, asset: str, environment: str = DEV) -> dict[str, Any]:
        """What the plan does with an asset and why, and what stands for it: `filiera.why/1`."""
        from filiera.explain import why

        return why(self._context, self.plan(environment), asset)

    def graph(self, environment: str = DEV) -> dict[str, Any]:
        """Every asset, what it reads, and what the plan would do to it: `filiera.graph_view/1`."""
        from filiera.core.graph_view import graph_view

        self._refuse_unknown(environment)
        definitions = self.definitions()
        return graph_view(definitions.graph, self._plan(definitions, environment))

    def log(self, environment: str = DEV, limit: int = 20) -> dict[str, Any]:
        """The generations of an environment, newest first: `filiera.log/1`."""
        from filiera.explain import log

        if self.head(environment) is None:  # a closed one has its history
            self._refuse_unknown(environment)
        return log(self._context, environment, limit)

    def diff(self, one: str, other: str = DEV) -> dict[str, Any]:
        """Two environments side by side: `filiera.diff/1`."""
        from filiera.explain import diff

        self._refuse_unknown(one)
        self._refuse_unknown(other)
        return diff(self._context, one, other)

    # ---- what is

    def reproduce(
        self, label: str, *, environment: str = DEV, fresh: bool = False, anyway: bool = False
    ) -> dict[str, Any]:
        """Make a model or table again from the ledger alone and compare digests: `filiera.reproduce/1`.

        Args:
            label: `power`, `power@2`, `features` (what stands in the environment) or `features@3`.
            environment: whose version of a table.
            fresh: in an environment of exactly the recorded libraries, made where there is none yet.
            anyway: here, although the interpreter or a library is another than recorded.

        Raises:
            NotFoundError: no such thing, or its code or an input was freed.
            ConflictError: another runtime than recorded, or rows that would be read otherwise now.
            UnavailableError: the recorded libraries could not be installed.
        """
        from filiera.dimensions.recheck import reproduce_in

        return reproduce_in(self._context, self._trace_of(label, environment), fresh=fresh, anyway=anyway).to_json()

    def _trace_of(self, label: str, environment: str) -> Trace:
        """The trace that made a model version or a snapshot."""
        name, _, number = label.partition("@")
        is_model = any(version.name == name for version in self.models(name))
        made = self.version(label) if is_model else self.snapshot(name, at=number or None, environment=environment)
        with self.ledger.reading() as connection:
            trace = traces.of_output(connection, made.id)
        if trace is None:
            raise NotFoundError("reproduce.no_trace", f"no trace made {label}", next="name a table or a model")
        return trace

    def recheck(self, *, share: float = 0.01, seed: int | None = None, fresh: bool = False) -> dict[str, Any]:
        """Make a random share of all standing results again and report every difference: `filiera.recheck/1`."""
        from filiera.dimensions.recheck import recheck

        chosen = int.from_bytes(os.urandom(4), "big") if seed is None else seed
        return recheck(self._context, share=share, seed=chosen, fresh=fresh).to_json()

    def clean(self, *, dry_run: bool = False) -> dict[str, Any]:
        """Free what nothing reaches, and delete what lay in the trash for long enough: `filiera.gc/1`.

        Raises:
            ConflictError: an apply, a release or another clean is running.
        """
        if dry_run:
            return self._cleaner().look().to_json(dry_run=True)
        with self._lock():
            return self._cleaner().clean().to_json(dry_run=False)

    def restore_freed(self) -> dict[str, Any]:
        """Put back everything that was freed and not deleted yet: `filiera.gc/1`."""
        with self._lock():
            return self._cleaner().restore().to_json(dry_run=False)

    def _cleaner(self) -> Cleaner:
        from filiera.clean import Cleaner

        return Cleaner(self.lake, self.settings.keep, self.principal)

    def hold(self, label: str, reason: str) -> Hold:
        """Keep a snapshot (`features@3`) or a model version (`power@2`) whatever environments do.

        Raises:
            NotFoundError: there is none, or it was freed.
            UsageError: no number, or no reason.
        """
        from filiera.holding import hold

        return hold(self._context, label, reason)

    def release_hold(self, label: str) -> int:
        """End the holds of a snapshot or model version; gives their number."""
        from filiera.holding import release_hold

        return release_hold(self._context, label)

    def holds(self) -> list[Hold]:
        """What is held, oldest first."""
        from filiera.ledger import holds

        with self.ledger.reading() as connection:
            return holds.standing(connection)

    def status(self) -> dict[str, Any]:
        """Sources, tables, models and environments as they are: `filiera.status/1`."""
        from filiera.overview import status

        return status(self._context)

    def spend(self) -> Money:
        """Money spent since the project began."""
        with self.ledger.reading() as connection:
            return Money(environments.total_spend(connection), self._context.prices.currency)

    def doctor(self) -> list[Any]:
        """Findings about this machine and project, and what to do about each."""
        from filiera.doctor import examine

        return list(examine(self.settings, self.ledger, self._key_path))

    def verify_audit(self, checkpoint: tuple[int, str] | None = None) -> ChainReport:
        """Check the audit chain."""
        return self.ledger.verify(checkpoint)

    def audit_entries(self, limit: int = 50) -> list[dict[str, Any]]:
        """The newest audit entries, newest first."""
        from filiera.ledger.chain import list_entries

        with self.ledger.reading() as connection:
            return [row | {"created": rfc3339(row.pop("created_us"))} for row in list_entries(connection, limit)]


def _refuse_other_currency(settings: Settings, ledger: Ledger) -> None:
    if settings.project.currency != ledger.currency:
        raise SettingsError(
            "settings.currency_changed",
            "the currency of a ledger is fixed when it is made",
            expected=ledger.currency,
            found=settings.project.currency,
            where="filiera.toml [project] currency",
            next=f'write currency = "{ledger.currency}"',
        )


def _declared(settings: Settings) -> Callable[[str], Mapping[str, str]]:
    """Column classes as they are declared now: of a source its own, of a derived table those of every source.

    A column of a derived table that has the name of a personal column is taken for it.
    """
    own = {
        name: {column.name: column.column_class for column in source.contract.columns}
        for name, source in settings.sources.items()
    }
    merged = {column: name for classes in own.values() for column, name in sorted(classes.items()) if name != OPEN}
    return lambda table: own.get(table, merged)


def key_file(environ: Mapping[str, str], ledger_id: str) -> Path:
    """Where the root key of a ledger lies: outside the data directory."""
    base = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".config")
    return Path(base) / "filiera" / "keys" / ledger_id


def local_principal() -> str:
    """The person at the keyboard, by the operating system's account."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return f"local:{name}"


def _examples(rows: Any, count: int) -> list[dict[str, Any]]:
    """Some records of every reason."""
    found: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for row in rows.to_pylist():
        reason = str(row["reason"])
        if seen.get(reason, 0) < count:
            seen[reason] = seen.get(reason, 0) + 1
            found.append(row)
    return found
