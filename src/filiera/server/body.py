"""The body of a prediction request: how much of it, of which kind, how deep."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

from starlette.requests import Request

from filiera.errors import ContractError, FilieraError, UsageError

MOST_BYTES = 16 << 20
#: A body a little over the limit is read and dropped: a client that is still sending would not see the answer.
MOST_DROPPED_BYTES = 4 * MOST_BYTES
MOST_DEPTH = 32
READ_TIMEOUT_S = 30.0


class TooLargeError(FilieraError):
    """A request body is over the limit."""

    exit_status = 2
    http_status = 413


class TooSlowError(FilieraError):
    """A request body does not come."""

    exit_status = 6
    http_status = 408


class MediaTypeError(UsageError):
    """A request body is of another kind."""

    http_status = 415


async def read_body(request: Request) -> bytes:
    """The body, up to the limit and no further.

    Raises:
        MediaTypeError: it is not declared as plain JSON.
        TooLargeError: it is too large.
        TooSlowError: it did not come in time.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise MediaTypeError(
            "http.content_type", "the body is not declared as JSON", expected="application/json", found=kind[:60]
        )
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise MediaTypeError("http.content_encoding", "a compressed body is not taken", found=coding[:60])
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > MOST_DROPPED_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            return await _read(request)
    except TimeoutError as error:
        raise TooSlowError(
            "http.too_slow", "the body did not come in time", expected=f"within {READ_TIMEOUT_S:g} s"
        ) from error


async def _read(request: Request) -> bytes:
    parts, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MOST_BYTES:
            parts.append(chunk)
        elif size > MOST_DROPPED_BYTES:
            break
    if size > MOST_BYTES:
        raise _too_large()
    return b"".join(parts)


def _too_large() -> TooLargeError:
    return TooLargeError("http.too_large", "the request is too large", expected=f"at most {MOST_BYTES >> 20} MiB")


def parse_body(raw: bytes) -> Any:
    """The JSON value of a body.

    Raises:
        UsageError: no JSON, a name that comes twice in an object, nested too deeply, or half a character in a text.
    """
    try:
        text = raw.decode("utf-8")
        body = json.loads(text, object_pairs_hook=_unique)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(body, ensure_ascii=False).encode()  # a surrogate without its other half is no text
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        raise UsageError("http.json", "the body is no JSON", found=str(error)[:120]) from error
    if _deeper_than(body, MOST_DEPTH):
        raise _too_deep()
    return body


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise UsageError("http.json", f"name {twice[:60]!a} comes twice in an object", next="send it once")
    return found


def _deeper_than(value: Any, limit: int) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        level = [
            inner
            for item in level
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return bool(level)


def _too_deep() -> UsageError:
    return UsageError("http.json", "the body is nested too deeply", expected=f"at most {MOST_DEPTH} levels")


def parse_request(raw: bytes) -> dict[str, Any]:
    """A request for predictions: `records` or `devices`, and perhaps `units`.

    Raises:
        UsageError: no JSON, or a part of another type.
        ContractError: a part is missing or unknown.
    """
    body = parse_body(raw)
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
    _check_types(body)
    return body


def _check_types(body: dict[str, Any]) -> None:
    units = body.get("units")
    if units is not None and not isinstance(units, dict):
        raise UsageError("predict.units", "`units` is no object", expected='{"wind_ms": "m/s"}')
    if not isinstance(body.get("records", []), list):
        raise UsageError("predict.records", "`records` is no list", expected='[{"wind_ms": 7.2, ...}]')
    devices = body.get("devices", [])
    if not isinstance(devices, list) or not all(isinstance(item, str) for item in devices):
        raise UsageError("predict.devices", "`devices` is no list of names", expected='["R80711"]')
