from __future__ import annotations

import bz2
import gzip
import lzma
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest

from filiera.collect.file import (
    Standing,
    compression,
    consumed,
    grown_from,
    list_candidates,
    open_file,
    scan,
)
from filiera.core.batch import SourceFile
from filiera.errors import ContractError

TEXT = b"device,at,x\n" + b"a,2024-01-01T00:00:00Z,1\n" * 5000
COMPRESSED = {
    "gzip": gzip.compress(TEXT),
    "bzip2": bz2.compress(TEXT),
    "xz": lzma.compress(TEXT),
    "zstd": pa.compress(TEXT, codec="zstd", asbytes=True),
}


def candidates(root: Path, pattern: str = "*.csv", known: tuple[SourceFile, ...] = ()) -> dict[str, Standing]:
    return {found.name: found.standing for found in list_candidates(root, pattern, known, time.time_ns())}


def scanned(root: Path, name: str) -> SourceFile:
    return scan("s", next(c for c in list_candidates(root, name, (), time.time_ns()) if c.name == name))


def test_new_known_touched_and_changed_files_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(TEXT)
    assert candidates(tmp_path) == {"a.csv": Standing.NEW}
    file = scanned(tmp_path, "a.csv")
    assert candidates(tmp_path, known=(file,)) == {"a.csv": Standing.KNOWN}
    os.utime(tmp_path / "a.csv", ns=(0, 0))
    assert candidates(tmp_path, known=(file,)) == {"a.csv": Standing.TOUCHED}
    (tmp_path / "a.csv").write_bytes(TEXT[::-1])
    assert candidates(tmp_path, known=(file,)) == {"a.csv": Standing.CHANGED}
    (tmp_path / "a.csv").write_bytes(TEXT * 2)
    assert candidates(tmp_path, known=(file,)) == {"a.csv": Standing.CHANGED}


def test_hidden_and_unfinished_files_are_left_out(tmp_path: Path) -> None:
    for name in (".a.csv", "a.csv~", "a.tmp", "a.part", "~a.csv", "good.csv"):
        (tmp_path / name).write_bytes(TEXT)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "b.csv").write_bytes(TEXT)
    assert list(candidates(tmp_path, "**/*")) == ["good.csv"]


def test_a_file_being_written_is_left_for_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(TEXT)
    program = "import sys; f = open(sys.argv[1], 'ab'); print('open', flush=True); sys.stdin.read()"
    writer = subprocess.Popen([sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.readline()
    try:
        assert candidates(tmp_path) == {"a.csv": Standing.BUSY}
    finally:
        writer.communicate(b"")
    os.utime(path, ns=(0, 0))
    assert candidates(tmp_path) == {"a.csv": Standing.NEW}


@pytest.mark.parametrize("kind", COMPRESSED)
def test_compression_is_told_by_the_first_bytes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(COMPRESSED[kind])
    assert compression(path) == kind
    with open_file(path) as stream:
        assert stream.readline() == b"device,at,x\n"
        assert stream.read() == TEXT[12:]


@pytest.mark.parametrize("kind", COMPRESSED)
def test_a_truncated_compressed_file_is_refused_whole(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.csv").write_bytes(COMPRESSED[kind][:-12])
    with pytest.raises(ContractError) as caught:
        scanned(tmp_path, "a.csv")
    assert caught.value.code == "collect.file_truncated"
    assert caught.value.where == "a.csv"


def test_damaged_gzip_content_is_refused_whole(tmp_path: Path) -> None:
    damaged = bytearray(gzip.compress(os.urandom(50_000)))
    damaged[10_000:10_100] = b"\xff" * 100
    (tmp_path / "a.csv").write_bytes(damaged)
    with pytest.raises(ContractError, match="cannot be read to its end"):
        scanned(tmp_path, "a.csv")


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    with pytest.raises(ContractError) as caught:
        scanned(tmp_path, "a.csv")
    assert caught.value.code == "collect.file_empty"


def test_the_same_bytes_under_another_name_have_the_same_digest(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(TEXT)
    (tmp_path / "b.csv").write_bytes(TEXT)
    assert scanned(tmp_path, "a.csv").digest == scanned(tmp_path, "b.csv").digest


def test_a_grown_file_goes_on_and_a_rewritten_one_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(TEXT)
    earlier = consumed(scanned(tmp_path, "a.csv"), path, len(TEXT))
    path.write_bytes(TEXT + b"b,2024-01-01T00:00:00Z,2\n")
    assert grown_from(path, earlier) == len(TEXT)
    path.write_bytes(b"x" + TEXT[1:] + b"more\n")
    assert grown_from(path, earlier) == 0
    path.write_bytes(TEXT[:100])
    assert grown_from(path, earlier) == 0
    assert grown_from(path, None) == 0


def test_a_pattern_never_yields_folders_or_pipes(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    assert candidates(tmp_path) == {}
