"""Studies, releases, and asking released models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from filiera.core.generation import DEV, PROD
from filiera.core.model import ModelVersion
from filiera.errors import NotFoundError, UsageError, nearest
from filiera.ledger import studies, traces
from filiera.workspace.plans import Plans
from filiera.workspace.rows import Rows

if TYPE_CHECKING:
    from filiera.study_text import StudyReport

#: A release waits so long for an apply or a follow that is at work.
RELEASE_WAIT_S = 120.0


class Models(Plans, Rows):
    """Studies, releases, and asking released models."""

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
