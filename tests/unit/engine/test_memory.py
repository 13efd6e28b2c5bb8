"""Memory that is written once and sealed."""

from __future__ import annotations

import os
from typing import BinaryIO

import pytest

from filiera.engine.memory import SharedBuffer


def test_what_a_function_writes_is_sealed_with_its_size() -> None:
    def write(file: BinaryIO) -> None:
        file.write(b"ab")
        file.write(b"c" * 100_000)

    buffer = SharedBuffer.written(write)
    assert buffer.size_bytes == 100_002
    assert bytes(buffer.view()) == b"ab" + b"c" * 100_000
    with pytest.raises(OSError, match="not permitted"):
        os.write(buffer.fd, b"d")
    assert SharedBuffer.received(os.dup(buffer.fd), 100_002).size_bytes == 100_002
    buffer.close()


def test_a_function_that_fails_leaves_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))

    def fail(_: object) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        SharedBuffer.written(fail)
    assert len(os.listdir("/proc/self/fd")) == before
