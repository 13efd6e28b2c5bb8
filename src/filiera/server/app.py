"""The application: routes with their permissions, problem documents, and the guard around them.

On loopback the person at the keyboard is the only principal and holds every permission; any other address is refused
until users and TLS exist.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from filiera.errors import FilieraError, UsageError
from filiera.server.guard import Guard
from filiera.server.pages import PAGES, static_folder
from filiera.server.problem import on_filiera_error, on_http_error
from filiera.server.routes import ROUTES, Api, State

PERMISSIONS = frozenset({"intent.approve", "public", "metrics.read", "model.read", "model.predict", "project.read"})


def build_app(state: State, routes: Sequence[Api] = (*ROUTES, *PAGES)) -> ASGIApp:
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
    handlers: dict[Any, Any] = {FilieraError: on_filiera_error, HTTPException: on_http_error}
    static = Mount("/static", StaticFiles(directory=static_folder()))
    app = Starlette(
        routes=[*(Route(r.path, _handler(state, r), methods=[r.method]) for r in routes), static],
        exception_handlers=handlers,
    )
    app.router.redirect_slashes = False  # an address is right or unknown
    return Guard(app, state.metrics)


def _handler(state: State, route: Api) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        if inspect.iscoroutinefunction(route.handler):
            answer: Response = await route.handler(state, request)
        else:
            answer = await run_in_threadpool(route.handler, state, request)
        return answer

    return handle
