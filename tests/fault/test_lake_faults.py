"""F02, F10, F17, F26: kills, full disks and other writers lose nothing and show no half state."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from filiera.errors import NoSpaceError
from filiera.lake.table import Lake
from filiera.ledger import sources
from lakes import batch, contract, open_lake, values

WRITER = Path(__file__).with_name("lake_writer.py")


def _files(folder: Path) -> set[str]:
    return {path.name for path in (folder / ".filiera/lake").glob("*/*")}


def test_F02_a_kill_at_any_step_leaves_the_old_or_the_new_version(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, WRITER, "--kill", tmp_path], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    old = [[["a", 1], 1.0], [["b", 2], 2.0]]
    new = [[["a", 1], 1.0], [["a", 3], 3.0], [["b", 2], 5.0]]
    assert len(lines) > 30
    assert [line["status"] for line in lines] == [9] * (len(lines) - 1) + [0]
    numbers = [line["number"] for line in lines]
    assert numbers == sorted(numbers)
    assert set(numbers) == {1, 2}
    for line in lines:
        assert line["values"] == (old if line["number"] == 1 else new), line
        assert line["chain"] == line["number"] + 1
        assert line["sums"]
        assert line["readable"]
        assert line["final"] == new
        assert line["again"] == (1 if line["number"] == 1 else 3)
    assert any(line["swept"] for line in lines)
    assert lines[-1]["swept"] == 0


def test_F26_two_processes_write_one_source_and_no_row_is_lost_or_doubled(tmp_path: Path) -> None:
    open_lake(tmp_path).ledger.close()
    writers = [subprocess.Popen([sys.executable, WRITER, tmp_path, name, "12"]) for name in ("one", "two")]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    lake = open_lake(tmp_path)
    found = values(lake)
    days = [number * 10 + i for number in range(12) for i in range(5)]
    assert set(found) == {(name, day) for name in ("shared", "one", "two") for day in days}
    with lake.ledger.reading() as connection:
        counts = sources.count_rows(connection, "scada")
    assert (counts.rows_read, counts.accepted, counts.quarantined, counts.duplicates) == (240, 180, 0, 60)
    head = lake.snapshot("scada")
    assert lake.leaves(head).total().digest(head.schema) == head.semantic
    assert [lake.snapshot("scada", number=n).number for n in range(1, head.number + 1)] == list(
        range(1, head.number + 1)
    )
    assert lake.ledger.verify().ok


def _refuses_and_goes_on(lake: Lake, folder: Path, relief: object) -> None:
    rows = [(f"device{i}", day, float(i * day) / 7) for i in range(200) for day in range(500)]
    before = values(lake), _files(folder)
    with pytest.raises(NoSpaceError) as caught:
        lake.ingest(batch(rows, "big.csv"), contract(), actor="me")
    assert "nothing was lost" in caught.value.next
    assert (values(lake), _files(folder)) == before
    assert callable(relief)
    relief()
    assert lake.ingest(batch(rows, "big.csv"), contract(), actor="me").counts.accepted == len(rows)
    assert lake.ledger.verify().ok


def test_F17_a_file_size_limit_commits_nothing_and_a_later_run_continues(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    lake.ingest(batch([("a", 1, 1.0)]), contract(), actor="me")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        _refuses_and_goes_on(lake, tmp_path, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_F10_a_full_disk_commits_nothing_and_a_later_run_continues(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], capture_output=True, check=False)
    if mount.returncode != 0:
        pytest.skip(f"cannot mount here: {mount.stderr.decode().strip()}")
    try:
        lake = open_lake(folder)
        lake.ingest(batch([("a", 1, 1.0)]), contract(), actor="me")
        relief = ["mount", "-o", "remount,size=64m", folder]
        _refuses_and_goes_on(lake, folder, lambda: subprocess.run(relief, check=True))
        lake.ledger.close()
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
