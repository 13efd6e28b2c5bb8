"""Bodies of requests: what is no JSON, too deep, said twice, or half a character."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.errors import FilieraError
from filiera.server.body import MOST_DEPTH, parse_body, parse_request


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "is no JSON"),
        (b"{", "is no JSON"),
        (b"\xff", "is no JSON"),
        (b"\xef\xbb\xbf{}", "is no JSON"),
        ('{"devices": ["a"]}'.encode("utf-16"), "is no JSON"),
        (b'{"devices": ["\\ud800"]}', "is no JSON"),
        (b'{"devices": ["\xed\xa0\x80"]}', "is no JSON"),
        (b'{"devices": [' + b"1" * 5000 + b"]}", "is no JSON"),
        (b'{"records": [], "records": []}', "'records' comes twice"),
        (b'{"records": [{"a": 1, "b": 2, "a": 1}]}', "'a' comes twice"),
        (nested(MOST_DEPTH + 1), "nested too deeply"),
        (nested(100_000), "nested too deeply"),
        (b'{"records": ' + b'{"a":' * 500 + b"1" + b"}" * 501, "nested too deeply"),
    ],
)
def test_a_body_that_is_not_taken_gets_a_reason(raw: bytes, says: str) -> None:
    with pytest.raises(FilieraError) as caught:
        parse_body(raw)
    assert caught.value.http_status == 400
    assert says in caught.value.message


def test_a_body_may_be_as_deep_as_the_limit() -> None:
    assert parse_body(nested(MOST_DEPTH)) is not None
    assert parse_body(b"3") == 3


def test_escaped_characters_are_characters() -> None:
    assert parse_body(b'["\\ud83d\\ude00"]') == ["\U0001f600"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([], 422),
        ({}, 422),
        ({"records": [], "devices": []}, 422),
        ({"records": [], "at": 1}, 422),
        ({"records": {}}, 400),
        ({"records": None}, 400),
        ({"devices": "a"}, 400),
        ({"devices": [1]}, 400),
        ({"records": [], "units": []}, 400),
    ],
)
def test_a_request_of_another_form_is_refused(body: object, status: int) -> None:
    with pytest.raises(FilieraError) as caught:
        parse_request(json.dumps(body).encode())
    assert caught.value.http_status == status


@given(st.binary())
def test_any_bytes_are_parsed_or_refused(raw: bytes) -> None:
    try:
        parse_request(raw)
    except FilieraError as error:
        assert error.http_status in (400, 422)  # noqa: PT017
        json.dumps(error.to_json(), ensure_ascii=False).encode()
