"""A97, A95: what lies on the disk is sealed, and any change to it is found."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.snapshot import ObjectRecord
from filiera.errors import IntegrityError
from filiera.govern import keys
from filiera.lake import seal
from filiera.lake.objects import LocalObjects
from lakes import batch, contract, open_lake, table

KEY = bytes(range(32))


@pytest.fixture
def objects(tmp_path: Path) -> LocalObjects:
    return LocalObjects(tmp_path / "lake", keys.create(tmp_path / "key"))


def _file(tmp_path: Path, record: ObjectRecord) -> Path:
    return tmp_path / "lake" / record.object_id[:2] / record.object_id


def _forged(record: ObjectRecord, path: Path) -> ObjectRecord:
    """As if the checksum in the ledger had been made to fit."""
    return replace(record, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@given(st.binary(max_size=300))
def test_sealed_bytes_open_again(payload: bytes) -> None:
    assert seal.open_bytes(seal.seal_bytes(payload, KEY, "x"), KEY, "x") == payload


@pytest.mark.parametrize("size", [0, 1, seal.SEGMENT_BYTES, seal.SEGMENT_BYTES + 1, 3 * seal.SEGMENT_BYTES])
def test_A97_segments_flipped_cut_or_reordered_do_not_open(size: int) -> None:
    payload = os.urandom(size)
    sealed = seal.seal_bytes(payload, KEY, "x")
    step = seal.SEGMENT_BYTES + seal.TAG_BYTES
    bad = [bytes([sealed[0] ^ 1]) + sealed[1:], sealed[:-1], sealed + b"\0", sealed[:-step], sealed + sealed[-step:]]
    if size > 2 * seal.SEGMENT_BYTES:
        bad.append(sealed[step : 2 * step] + sealed[:step] + sealed[2 * step :])
    assert seal.open_bytes(sealed, KEY, "x") == payload
    for changed in bad:
        with pytest.raises(IntegrityError):
            seal.open_bytes(changed, KEY, "x")
    for key, name in ((bytes(32), "x"), (KEY, "y")):
        with pytest.raises(IntegrityError):
            seal.open_bytes(sealed, key, name)


@pytest.mark.parametrize("kind", ["bytes", "parquet"])
def test_A97_damaged_objects_raise_an_integrity_error(objects: LocalObjects, tmp_path: Path, kind: str) -> None:
    rows = table([("a", day, 1.0) for day in range(50)])
    record = objects.put(b"z" * 5_000) if kind == "bytes" else objects.put_table(rows)
    read = objects.get if kind == "bytes" else objects.get_table
    path = _file(tmp_path, record)
    good = path.read_bytes()
    for place in range(0, len(good), max(1, len(good) // 40)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
        with pytest.raises(IntegrityError):
            read(record)
        if kind == "parquet" and place < 4:  # the leading mark of the format carries nothing and is not sealed
            assert objects.get_table(_forged(record, path)).equals(rows)
            continue
        with pytest.raises(IntegrityError):
            read(_forged(record, path))
    for size in (0, 1, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:size])
        with pytest.raises(IntegrityError):
            read(_forged(record, path))
    path.unlink()
    with pytest.raises(IntegrityError, match="missing"):
        read(record)


def test_A97_objects_swapped_with_each_other_do_not_open(objects: LocalObjects, tmp_path: Path) -> None:
    pairs = [
        (objects.put_table(table([("a", 1, 1.0)])), objects.put_table(table([("a", 1, 2.0)])), objects.get_table),
        (objects.put(b"one"), objects.put(b"two"), objects.get),
    ]
    for one, two, read in pairs:
        _file(tmp_path, one).write_bytes(_file(tmp_path, two).read_bytes())
        with pytest.raises(IntegrityError):
            read(one)
        forged = _forged(one, _file(tmp_path, one))
        with pytest.raises(IntegrityError):
            read(forged)
        with pytest.raises(IntegrityError):
            read(replace(forged, key=two.key))  # a wrapped key belongs to its object only


def test_A97_another_root_key_opens_nothing(objects: LocalObjects, tmp_path: Path) -> None:
    record = objects.put(b"secret")
    other = LocalObjects(tmp_path / "lake", keys.create(tmp_path / "other"))
    with pytest.raises(IntegrityError, match="key file"):
        other.get(record)


def test_A95_no_value_is_found_in_the_bytes_on_disk(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    rows = [("NEEDLEDEVICE", day, 123456.789) for day in range(3)]
    lake.ingest(batch(rows), contract(), actor="me")
    lake.ingest(batch([("NEEDLEDEVICE", 1, 1.0)], "b.csv"), contract(), actor="me")  # its text goes to quarantine
    lake.ledger.close()
    needles = [b"NEEDLE", pa.array([123456.789]).buffers()[1].to_pybytes(), b"123456.789"]
    files = [path for path in (tmp_path / ".filiera").rglob("*") if path.is_file()]
    assert len(files) >= 6
    for path in files:
        content = path.read_bytes()
        assert not [needle for needle in needles if needle in content], path
        assert path.stat().st_mode & 0o077 == 0, path
