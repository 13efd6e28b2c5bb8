"""What the server serves now: it follows the head of its environment without dropping a request.

A new version is loaded first, then takes over, then the old one ends after the request in progress.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from filiera.core.generation import PROD
from filiera.errors import FilieraError, NotFoundError, nearest
from filiera.ledger.stamp import head_stamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from filiera.serve.endpoint import Endpoint
    from filiera.workspace import Workspace

POLL_S = 0.3


class Live:
    """The endpoints of an environment, kept equal to its head by a thread."""

    def __init__(self, workspace: Workspace, log: Callable[[str], None], environment: str = PROD) -> None:
        self._workspace = workspace
        self._environment = environment
        self._log = log
        self._endpoints: dict[str, Endpoint] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follow-head", daemon=True)
        self._seen = -1
        self._spare: Any = None  # an engine that is started ahead

    def start(self) -> None:
        """Load what is released now, then follow."""
        self._look()
        self._prepare()
        self._thread.start()

    def stop(self) -> None:
        """Follow no more."""
        self._stop.set()
        self._thread.join(timeout=5)
        if self._spare is not None:
            self._spare.close()

    @property
    def endpoints(self) -> Mapping[str, Endpoint]:
        """The endpoints by model name."""
        return self._endpoints

    def endpoint(self, name: str) -> Endpoint:
        """The endpoint of a model.

        Raises:
            NotFoundError: no such model is released.
        """
        found = self._endpoints.get(name)
        if found is None:
            raise NotFoundError(
                "model.not_released", f"no model {name[:60]} is released", next=nearest(name[:60], self._endpoints)
            )
        return found

    def ask(self, name: str, records: Any, units: Mapping[str, str] | None) -> dict[str, Any]:
        """Ask the version that is served; one that ends meanwhile is asked again as its successor."""
        endpoint = self.endpoint(name)
        try:
            return endpoint.predict(records, units)
        except (ValueError, OSError):
            # the endpoint was closed between look-up and request: its successor is in place
            if self.endpoint(name) is endpoint:
                raise
            return self.endpoint(name).predict(records, units)

    def _follow(self) -> None:
        while not self._stop.wait(POLL_S):
            try:
                self._look()
            except FilieraError as error:
                self._log(f"head of {self._environment} not followed: {error.code} {error.message}")
            if self._spare is None and not self._stop.is_set():
                self._prepare()

    def _prepare(self) -> None:
        self._spare = self._workspace.endpoint_engine()
        self._spare.start()

    def _look(self) -> None:
        stamp = head_stamp(self._workspace.ledger.path)
        if stamp == self._seen:
            return
        released = {version.name: version for version in self._workspace.served(self._environment)}
        old = dict(self._endpoints)
        for name, version in released.items():
            if name not in old or old[name].version.id != version.id:
                engine, self._spare = self._spare, None
                fresh = self._workspace.endpoint(name, self._environment, engine=engine)
                fresh.warm()
                self._endpoints = {**self._endpoints, name: fresh}
                self._log(f"serving {version.label}")
        self._endpoints = {name: item for name, item in self._endpoints.items() if name in released}
        serving = {item.version.id for item in self._endpoints.values()}
        for item in old.values():
            if item.version.id not in serving:
                self._workspace.retire(item.version.id)
        self._seen = stamp
