"""What the server serves now: it follows the head of its environment without dropping a request.

A new version is loaded first, then takes over, then the old one ends after the request in progress. A version that does
not load is tried again later and later; the others are served, and its predecessor goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from filiera.core.generation import PROD
from filiera.core.model import ModelVersion
from filiera.errors import NotFoundError, UnavailableError, nearest
from filiera.ledger.stamp import head_stamp
from filiera.serve.endpoint import RetiredError
from filiera.server.trouble import Backoff, Troubles

if TYPE_CHECKING:
    from filiera.serve.endpoint import Endpoint
    from filiera.workspace import Workspace

POLL_S = 0.3
#: A request is handed from a version to its successor at most so often.
MOST_TURNS = 5


class Live:
    """The endpoints of an environment, kept equal to its head by a thread.

    Args:
        workspace: whose models are served.
        troubles: takes what does not work: "head", "spare", and "model NAME".
        tell: takes a line for the person at the terminal.
        environment: whose head is followed.
    """

    def __init__(
        self, workspace: Workspace, troubles: Troubles, tell: Callable[[str], None], environment: str = PROD
    ) -> None:
        self._workspace = workspace
        self._environment = environment
        self._troubles = troubles
        self._tell = tell
        self._endpoints: dict[str, Endpoint] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follow-head", daemon=True)
        self._seen = "nothing yet"
        self._waiting: dict[str, ModelVersion] = {}  # released, but not loaded, by name
        self._retries: dict[str, Backoff] = {}  # by id of the version
        self._spare: Any = None  # an engine that is started ahead
        self._spare_retry = Backoff()

    def start(self) -> None:
        """Load what is released now, as far as it loads, then follow."""
        with self._troubles.watching("head"):
            self._look()
        self._thread.start()

    def stop(self) -> None:
        """Follow no more."""
        self._stop.set()
        self._thread.join(timeout=5)
        if self._spare is not None and not self._thread.is_alive():
            self._spare.close()

    @property
    def endpoints(self) -> Mapping[str, Endpoint]:
        """The endpoints by model name."""
        return self._endpoints

    def endpoint(self, name: str) -> Endpoint:
        """The endpoint of a model.

        Raises:
            NotFoundError: no such model is released.
            UnavailableError: it is released, but does not load.
        """
        found = self._endpoints.get(name)
        if found is not None:
            return found
        waiting = self._waiting.get(name)
        if waiting is not None:
            raise UnavailableError(
                "model.not_loaded", f"{waiting.label} is released, but could not be loaded", next="look at GET /health"
            )
        raise NotFoundError(
            "model.not_released", f"no model {name[:60]} is released", next=nearest(name[:60], self._endpoints)
        )

    def ask(
        self, name: str, rows: Callable[[ModelVersion], Sequence[Any]], units: Mapping[str, str] | None
    ) -> dict[str, Any]:
        """Ask the version that is served; when it ends meanwhile, its successor is asked.

        Args:
            name: of the model.
            rows: gives the records for a version.
            units: of the records.
        """
        for _ in range(MOST_TURNS - 1):
            endpoint = self.endpoint(name)
            try:
                return endpoint.predict(rows(endpoint.version), units)
            except RetiredError:  # closed between look-up and request: its successor is in place
                continue
        endpoint = self.endpoint(name)
        return endpoint.predict(rows(endpoint.version), units)

    def _follow(self) -> None:
        self._prepare()
        while not self._stop.wait(POLL_S):
            with self._troubles.watching("head"):
                self._look()
            self._prepare()

    def _prepare(self) -> None:
        """Keep an engine ready for the next version."""
        if self._spare is not None or not self._spare_retry.due or self._stop.is_set():
            return
        self._spare_retry.failed()
        with self._troubles.watching("spare"):
            engine = self._workspace.endpoint_engine()
            try:
                engine.start()
            except BaseException:
                engine.close()
                raise
            self._spare = engine
            self._spare_retry.worked()

    def _look(self) -> None:
        """Compare with the head: let go what is not released any more, then load what is new."""
        stamp = head_stamp(self._workspace.ledger.path)
        if stamp != self._seen:
            released = {version.name: version for version in self._workspace.served(self._environment)}
            self._let_go(released)
            self._waiting = {name: version for name, version in released.items() if not self._serves(version)}
            self._seen = stamp
        for version in list(self._waiting.values()):
            if self._stop.is_set():
                return
            self._try(version)

    def _serves(self, version: ModelVersion) -> bool:
        endpoint = self._endpoints.get(version.name)
        return endpoint is not None and endpoint.version.id == version.id

    def _let_go(self, released: Mapping[str, ModelVersion]) -> None:
        """End the models that are not released any more, and forget their troubles."""
        gone = [item for name, item in self._endpoints.items() if name not in released]
        self._endpoints = {name: item for name, item in self._endpoints.items() if name in released}
        for item in gone:
            self._tell(f"no longer serving {item.version.label}")
            self._troubles.forget(f"model {item.version.name}")
            self._workspace.retire(item.version.id)
        current = {version.id for version in released.values()}
        for name, version in self._waiting.items():
            if name not in released or self._serves(released[name]):
                self._troubles.forget(f"model {name}")
            if version.id not in current:
                self._retries.pop(version.id, None)

    def _try(self, version: ModelVersion) -> None:
        """Put a version into service, unless it failed a moment ago."""
        retry = self._retries.setdefault(version.id, Backoff())
        if not retry.due:
            return
        part = f"model {version.name}"
        try:
            fresh = self._load(version)
        except Exception as error:
            retry.failed()
            before = self._endpoints.get(version.name)
            goes_on = f"; {before.version.label} goes on" if before else ""
            self._troubles.report(part, error, f"{version.label} does not load{goes_on}: ")
            return
        del self._retries[version.id]
        self._take_over(fresh)
        self._troubles.clear(part)

    def _load(self, version: ModelVersion) -> Endpoint:
        """An endpoint that has answered; the spare engine is used up only when an endpoint owns it."""
        fresh: Endpoint = self._workspace.endpoint(version.name, self._environment, engine=self._spare)
        if fresh.owns(self._spare):
            self._spare = None
        try:
            fresh.warm()
        except BaseException:
            if not self._serves(fresh.version):
                self._workspace.retire(fresh.version.id)
            raise
        return fresh

    def _take_over(self, fresh: Endpoint) -> None:
        name = fresh.version.name
        old = self._endpoints.get(name)
        self._endpoints = {**self._endpoints, name: fresh}
        self._waiting = {other: version for other, version in self._waiting.items() if other != name}
        self._tell(f"serving {fresh.version.label}")
        if old is not None and old is not fresh:
            self._workspace.retire(old.version.id)
