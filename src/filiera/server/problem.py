"""Every error as a problem document, and the headers of every answer. Source: RFC 9457."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from filiera.errors import FilieraError

#: Pages load nothing but themselves. Source: OWASP Secure Headers Project.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


def problem(status: int, body: dict[str, Any]) -> JSONResponse:
    """A problem document."""
    headers = {"Retry-After": "1"} if status == 503 else None
    return JSONResponse(body, status, headers=headers, media_type="application/problem+json")


def on_filiera_error(_request: Request, error: Exception) -> Response:
    """An error that a person can act on."""
    assert isinstance(error, FilieraError)
    return problem(error.http_status, error.to_json())


def on_http_error(request: Request, error: Exception) -> Response:
    """An unknown address or a verb that it does not take."""
    assert isinstance(error, HTTPException)
    body = {
        "type": "urn:filiera:http.refused",
        "title": "http refused",
        "status": error.status_code,
        "detail": str(error.detail),
        "where": request.url.path[:200],
    }
    return problem(error.status_code, body)


def on_unexpected(_request: Request, _error: Exception) -> Response:
    """A mistake of ours: told without any detail; the log has it."""
    body = {
        "type": "urn:filiera:server.unexpected",
        "title": "server unexpected",
        "status": 503,
        "detail": "the server met an error of its own; it is in the server's log",
    }
    return problem(503, body)
