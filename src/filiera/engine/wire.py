"""Messages between filiera and its children: a length, JSON, and descriptors beside it. Never pickle."""

from __future__ import annotations

import array
import json
import socket
import struct
from typing import Any

_LENGTH = struct.Struct("<I")
MAX_MESSAGE_BYTES = 64 << 20
MAX_FDS = 200


class ClosedError(Exception):
    """The other side is gone."""


def send(sock: socket.socket, message: Any, fds: list[int] | None = None) -> None:
    """Send one message with its descriptors; ClosedError when the other side is gone."""
    payload = json.dumps(message).encode()
    if len(payload) > MAX_MESSAGE_BYTES or len(fds or []) > MAX_FDS:
        raise ValueError("message too large: hand large values over as shared memory")
    data = _LENGTH.pack(len(payload)) + payload
    try:
        sent = socket.send_fds(sock, [data], fds) if fds else sock.send(data)
        if sent < len(data):
            sock.sendall(data[sent:])
    except (BrokenPipeError, ConnectionResetError) as error:
        raise ClosedError from error


def receive(sock: socket.socket) -> tuple[Any, list[int]]:
    """Receive one message and its descriptors; ClosedError when the other side is gone."""
    fds: list[int] = []
    head = _exactly(sock, _LENGTH.size, fds)
    size = _LENGTH.unpack(head)[0]
    if size > MAX_MESSAGE_BYTES:
        raise ClosedError
    return json.loads(_exactly(sock, size, fds)), fds


def _exactly(sock: socket.socket, size: int, fds: list[int]) -> bytes:
    out = bytearray()
    while len(out) < size:
        try:
            data, ancillary, _, _ = sock.recvmsg(size - len(out), socket.CMSG_SPACE(MAX_FDS * 4))
        except ConnectionResetError as error:
            raise ClosedError from error
        for level, kind, raw in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                found = array.array("i")
                found.frombytes(raw[: len(raw) - len(raw) % found.itemsize])
                fds += found.tolist()
        if not data:
            raise ClosedError
        out += data
    return bytes(out)
