"""The root key and its recovery shares."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.errors import ConflictError, IntegrityError, NotFoundError
from filiera.govern import keys


@given(secret=st.binary(min_size=32, max_size=32), slope=st.binary(min_size=32, max_size=32))
def test_any_two_shares_in_any_order_open_what_the_key_sealed(secret: bytes, slope: bytes) -> None:
    key = keys.RootKey(secret)
    sealed = key.wrap(b"data key", "object 1")
    for one, other in permutations(key.shares(lambda _: slope), 2):
        assert keys.restore(one, other).unwrap(sealed, "object 1") == b"data key"


def test_one_share_twice_or_a_mistyped_one_is_refused() -> None:
    one, other, _ = keys.RootKey(bytes(32)).shares()
    with pytest.raises(IntegrityError, match="both shares are the same"):
        keys.restore(one, one)
    wrong = other.replace(other[9], "7" if other[9] != "7" else "6", 1)
    with pytest.raises(IntegrityError, match="mistyped"):
        keys.restore(one, wrong)


def test_F50_another_key_or_another_context_opens_nothing() -> None:
    sealed = keys.RootKey(bytes(32)).wrap(b"data key", "object 1")
    for key, context in ((keys.RootKey(b"1" * 32), "object 1"), (keys.RootKey(bytes(32)), "object 2")):
        with pytest.raises(IntegrityError) as caught:
            key.unwrap(sealed, context)
        assert caught.value.exit_status == 5


def test_a_key_file_is_made_once_and_read_only_when_nobody_else_can(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "prj_1"
    with pytest.raises(NotFoundError, match="missing"):
        keys.load(path)
    made = keys.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert keys.load(path).unwrap(made.wrap(b"x", "c"), "c") == b"x"
    with pytest.raises(ConflictError):
        keys.create(path)
    path.chmod(0o640)
    with pytest.raises(IntegrityError, match="others than you") as caught:
        keys.load(path)
    assert "chmod 600" in caught.value.next


def test_a_key_does_not_show_itself() -> None:
    assert repr(keys.RootKey(b"secret" * 5 + b"xx")) == "RootKey(...)"
