"""The routes. Each has a permission; a route without one cannot be made."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from filiera.core.model import ModelVersion
from filiera.errors import NotFoundError
from filiera.server.body import parse_request, read_body
from filiera.server.lanes import Lanes
from filiera.server.live import Live
from filiera.server.metrics import Metrics
from filiera.server.trouble import Troubles

if TYPE_CHECKING:
    from filiera.workspace import Workspace


@dataclass(frozen=True, slots=True)
class State:
    """What the routes work with."""

    workspace: Workspace
    live: Live
    metrics: Metrics
    troubles: Troubles
    lanes: Lanes


@dataclass(frozen=True, slots=True)
class Api:
    """One route and who may use it."""

    path: str
    method: str
    permission: str  #: "public" or a word that a role grants
    handler: Callable[[State, Request], Any]


def health(state: State, _request: Request) -> Response:
    """GET /health: the server is up, what it serves, and what does not work."""
    models = {name: item.version.label for name, item in state.live.endpoints.items()}
    troubles = [trouble.to_json() for trouble in state.troubles.current()]
    status = "degraded" if troubles else "ok"
    return _json({"schema": "filiera.health/1", "status": status, "models": models, "troubles": troubles})


def _json(value: Any) -> Response:
    """A value as JSON in ASCII: names of files need not be proper texts."""
    return Response(json.dumps(value, allow_nan=False, separators=(",", ":")), media_type="application/json")


def list_models(state: State, _request: Request) -> Response:
    """GET /v1/models: what is served."""
    return _json({"schema": "filiera.models/1", "models": [_facts(e.version) for e in state.live.endpoints.values()]})


def show_model(state: State, request: Request) -> Response:
    """GET /v1/models/{name}: version, inputs, metrics and card."""
    version = state.live.endpoint(request.path_params["name"]).version
    return _json({"schema": "filiera.model/1", **_facts(version), "card": dict(version.card)})


def _facts(version: ModelVersion) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": version.label,
        "digest": version.digest,
        "format": version.format,
        "predicts": version.card["predicts"],
        "unit": version.card["unit"],
        "inputs": [dict(column) for column in version.inputs],
        "metrics": dict(version.metrics),
    }


async def predict(state: State, request: Request) -> Response:
    """POST /v1/models/{name}/predict: by records or by devices."""
    name = request.path_params["name"]
    state.live.endpoint(name)  # an unknown model is refused before the body is read
    raw = await read_body(request)
    answer = await state.lanes.run(name, lambda: _predict(state, name, raw))
    state.metrics.predictions.labels(answer["model"]).inc(len(answer["predictions"]))
    return _json(answer)


def _predict(state: State, name: str, raw: bytes) -> dict[str, Any]:
    asked = parse_request(raw)

    def rows(version: ModelVersion) -> list[Any]:
        found: list[Any] = (
            state.workspace.newest_rows(version, asked["devices"]) if "devices" in asked else asked["records"]
        )
        return found

    return state.live.ask(name, rows, asked.get("units"))


def show_status(state: State, _request: Request) -> Response:
    """GET /v1/status: what `filiera status --json` prints."""
    return _json(state.workspace.status())


def show_study(state: State, request: Request) -> Response:
    """GET /v1/studies/{model}: what `filiera study --json` prints."""
    return _json(state.workspace.study(request.path_params["model"]))


def show_events(state: State, _request: Request) -> Response:
    """GET /v1/events: what `filiera events --json` prints."""
    return _json(state.workspace.events())


def approve(state: State, request: Request) -> Response:
    """POST /v1/intents/{number}/approve: what `filiera events approve` does."""
    text = request.path_params["number"]
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise NotFoundError("intent.unknown", "no such intent", next="GET /v1/events lists them")
    state.workspace.approve(int(text))
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("/events", status_code=303)  # a button of the console
    return _json({"schema": "filiera.approve/1", "intent": int(text)})


def show_metrics(state: State, _request: Request) -> Response:
    """GET /metrics: for Prometheus."""
    return Response(state.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


ROUTES = (
    Api("/health", "GET", "public", health),
    Api("/metrics", "GET", "metrics.read", show_metrics),
    Api("/v1/models", "GET", "model.read", list_models),
    Api("/v1/models/{name}", "GET", "model.read", show_model),
    Api("/v1/models/{name}/predict", "POST", "model.predict", predict),
    Api("/v1/events", "GET", "project.read", show_events),
    Api("/v1/intents/{number}/approve", "POST", "intent.approve", approve),
    Api("/v1/status", "GET", "project.read", show_status),
    Api("/v1/studies/{model}", "GET", "project.read", show_study),
)
