"""Every error as a problem document, and the headers of every answer. Source: RFC 9457."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from filiera.errors import FilieraError

#: Pages load nothing but themselves. Source: OWASP Secure Headers Project.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
RETRY_LATER = frozenset({429, 503})


def problem(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """A problem document."""
    found = dict(headers or {}) | ({"Retry-After": "1"} if status in RETRY_LATER else {})
    return Response(json.dumps(body), status, headers=found, media_type="application/problem+json")


def refusal(status: int, code: str, detail: str, where: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """A problem that has no error of its own."""
    body = {"type": f"urn:filiera:{code}", "title": code.replace(".", " "), "status": status, "detail": detail}
    return problem(status, body | ({"where": where} if where else {}), headers)


async def on_filiera_error(_request: Request, error: Exception) -> Response:
    """An error that a person can act on."""
    assert isinstance(error, FilieraError)
    return problem(error.http_status, error.to_json())


async def on_http_error(request: Request, error: Exception) -> Response:
    """An unknown address or a verb that it does not take."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if "Allow" in headers:
        headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))
    return refusal(error.status_code, "http.refused", str(error.detail), request.url.path[:200], headers)


def on_unexpected() -> Response:
    """A mistake of ours: told without any detail; the log has it."""
    return refusal(503, "server.unexpected", "the server met an error of its own; it is in the server's log")
