"""What every request passes first and last: host, origin, security headers, counts, and no error that gets out."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from filiera.server.problem import HEADERS, on_unexpected, refusal

if TYPE_CHECKING:
    from filiera.server.metrics import Metrics

HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

_log = logging.getLogger(__name__)


class Guard:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; anything but HTTP is not taken."""
        if scope["type"] != "http":
            raise RuntimeError(f"not served: {scope['type']}")
        answer = _Answer(send)
        began = time.perf_counter()
        refused = _refusal(scope["method"], Headers(scope=scope))
        try:
            await (refused or self._app)(scope, receive, answer.send)
        except ClientDisconnect:
            return
        except Exception:
            _log.exception("%s %s", scope["method"], _route(scope))
            if answer.status:
                raise
            await on_unexpected()(scope, receive, answer.send)
        self._count(_route(scope), answer.status, time.perf_counter() - began)

    def _count(self, route: str, status: int, seconds: float) -> None:
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)


class _Answer:
    """Puts the headers of every answer on, and remembers its status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await self._send(message)


def _route(scope: Scope) -> str:
    """The pattern that the address met, never the address itself: labels stay few."""
    return getattr(scope.get("route"), "path", "other")


def _refusal(method: str, headers: Mapping[str, str]) -> ASGIApp | None:
    """Why a request is not looked at.

    1. A name that is not loopback is a page elsewhere that had its name point here (rebinding).
    2. A page elsewhere may link here; it may not fetch, embed or send.
    """
    host = headers.get("host", "").lower()
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    if name not in HOSTS:
        return refusal(421, "http.host", "this server answers to loopback names only")
    origin = headers.get("origin")
    if method not in SAFE and origin is not None and origin.lower() != f"http://{host}":
        return refusal(403, "http.origin", "this server takes requests of its own pages only")
    site, linked = headers.get("sec-fetch-site", "none"), headers.get("sec-fetch-mode") == "navigate"
    if site not in ("none", "same-origin") and not (linked and method in SAFE):
        return refusal(403, "http.origin", "this server takes requests of its own pages only")
    return None
