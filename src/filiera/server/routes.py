"""The routes. Each has a permission; a route without one cannot be made."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from filiera.core.model import ModelVersion
from filiera.errors import ContractError, FilieraError, UsageError
from filiera.server.live import Live
from filiera.server.metrics import Metrics

if TYPE_CHECKING:
    from filiera.workspace import Workspace

MOST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class State:
    """What the routes work with."""

    workspace: Workspace
    live: Live
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Api:
    """One route and who may use it."""

    path: str
    method: str
    permission: str  #: "public" or a word that a role grants
    handler: Callable[[State, Request], Any]


class TooLargeError(FilieraError):
    """A request body is over the limit."""

    exit_status = 2
    http_status = 413


def health(state: State, _request: Request) -> Response:
    """GET /health: the server is up, and what it serves."""
    models = {name: item.version.label for name, item in state.live.endpoints.items()}
    return JSONResponse({"schema": "filiera.health/1", "status": "ok", "models": models})


def list_models(state: State, _request: Request) -> Response:
    """GET /v1/models: what is served."""
    return JSONResponse(
        {"schema": "filiera.models/1", "models": [_facts(e.version) for e in state.live.endpoints.values()]}
    )


def show_model(state: State, request: Request) -> Response:
    """GET /v1/models/{name}: version, inputs, metrics and card."""
    version = state.live.endpoint(request.path_params["name"]).version
    return JSONResponse({"schema": "filiera.model/1", **_facts(version), "card": dict(version.card)})


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
    body = _parse(await _read(request))
    answer = await run_in_threadpool(_predict, state, name, body)
    state.metrics.predictions.labels(answer["model"]).inc(len(answer["predictions"]))
    return JSONResponse(answer)


def _predict(state: State, name: str, body: dict[str, Any]) -> dict[str, Any]:
    units = body.get("units")
    if units is not None and not isinstance(units, dict):
        raise UsageError("predict.units", "`units` is no object", expected='{"wind_ms": "m/s"}')
    if "devices" in body:
        devices = body["devices"]
        if not isinstance(devices, list) or not all(isinstance(item, str) for item in devices):
            raise UsageError("predict.devices", "`devices` is no list of names", expected='["R80711"]')
        records = state.workspace.newest_rows(state.live.endpoint(name).version, devices)
    else:
        records = body["records"]
        if not isinstance(records, list):
            raise UsageError("predict.records", "`records` is no list", expected='[{"wind_ms": 7.2, ...}]')
    return state.live.ask(name, records, units)


async def _read(request: Request) -> bytes:
    """The body, up to the limit and no further."""
    kind = request.headers.get("content-type", "").split(";")[0].strip()
    if kind != "application/json":
        raise UsageError(
            "http.content_type", "the body is not declared as JSON", expected="application/json", found=kind[:60]
        )
    parts, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MOST_BYTES:
            raise TooLargeError(
                "http.too_large", "the request is too large", expected=f"at most {MOST_BYTES >> 20} MiB"
            )
        parts.append(chunk)
    return b"".join(parts)


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise UsageError("http.json", "the body is no JSON", found=str(error)[:120]) from error
    if not isinstance(body, dict) or len({"records", "devices"} & body.keys()) != 1:
        raise ContractError(
            "predict.form",
            "a request asks by records or by devices",
            expected='{"records": [...]} or {"devices": [...]}',
        )
    unknown = sorted(body.keys() - {"records", "devices", "units"})
    if unknown:
        raise ContractError(
            "predict.form", f"`{unknown[0][:60]}` is no part of a request", expected="records or devices, units"
        )
    return body


def show_status(state: State, _request: Request) -> Response:
    """GET /v1/status: what `filiera status --json` prints."""
    return JSONResponse(state.workspace.status())


def show_study(state: State, request: Request) -> Response:
    """GET /v1/studies/{model}: what `filiera study --json` prints."""
    return JSONResponse(state.workspace.study(request.path_params["model"]))


def show_metrics(state: State, _request: Request) -> Response:
    """GET /metrics: for Prometheus."""
    return Response(state.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


ROUTES = (
    Api("/health", "GET", "public", health),
    Api("/metrics", "GET", "metrics.read", show_metrics),
    Api("/v1/models", "GET", "model.read", list_models),
    Api("/v1/models/{name}", "GET", "model.read", show_model),
    Api("/v1/models/{name}/predict", "POST", "model.predict", predict),
    Api("/v1/status", "GET", "project.read", show_status),
    Api("/v1/studies/{model}", "GET", "project.read", show_study),
)
