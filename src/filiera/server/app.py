"""The application: routes with their permissions, problem documents, security headers, host allow-list.

On loopback the person at the keyboard is the only principal and holds every permission; any other address is refused
until users and TLS exist.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from filiera.errors import FilieraError, UsageError
from filiera.server.pages import PAGES, static_folder
from filiera.server.problem import HEADERS, on_filiera_error, on_http_error, on_unexpected, problem
from filiera.server.routes import ROUTES, Api, State

HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
PERMISSIONS = frozenset({"public", "metrics.read", "model.read", "model.predict", "project.read"})


def build_app(state: State, routes: Sequence[Api] = (*ROUTES, *PAGES)) -> Starlette:
    """The application over a workspace.

    Raises:
        UsageError: a route without a known permission; nothing is served then.
    """
    for route in routes:
        if route.permission not in PERMISSIONS:
            raise UsageError(
                "server.no_permission",
                f"route {route.method} {route.path} has no permission",
                found=repr(route.permission),
            )
    handlers: dict[Any, Any] = {
        FilieraError: on_filiera_error,
        HTTPException: on_http_error,
        Exception: on_unexpected,
    }
    guarded = Middleware(BaseHTTPMiddleware, dispatch=_guard(state))
    static = Mount("/static", StaticFiles(directory=static_folder()))
    app = Starlette(
        routes=[*(Route(r.path, _handler(state, r), methods=[r.method]) for r in routes), static],
        middleware=[guarded],
        exception_handlers=handlers,
    )
    app.state.filiera = state
    return app


def _handler(state: State, route: Api) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        if inspect.iscoroutinefunction(route.handler):
            answer: Response = await route.handler(state, request)
        else:
            answer = await run_in_threadpool(route.handler, state, request)
        return answer

    return handle


def _guard(state: State) -> Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]:
    async def guard(request: Request, following: Callable[[Request], Awaitable[Response]]) -> Response:
        began = time.perf_counter()
        host = request.headers.get("host", "")
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        if name not in HOSTS:
            answer: Response = problem(421, {
                "type": "urn:filiera:http.host", "title": "http host", "status": 421,
                "detail": "this server answers to loopback names only",
            })  # fmt: skip
        else:
            answer = await following(request)
        for header, value in HEADERS.items():
            answer.headers[header] = value
        route = getattr(request.scope.get("route"), "path", "other")
        state.metrics.requests.labels(route, str(answer.status_code)).inc()
        state.metrics.seconds.labels(route).observe(time.perf_counter() - began)
        return answer

    return guard
