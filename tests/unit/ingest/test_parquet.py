from __future__ import annotations

import io
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filiera.core.contract import FileFormat
from filiera.errors import ContractError
from filiera.ingest.batch import Piece, check_file
from unit.ingest.checking import AT, CONTRACT, FILE, X, assert_counts, reading, reasons, with_column

PARQUET = reading(CONTRACT, format=FileFormat.PARQUET)
T = 1_704_067_200_000_000


def table(**changes: object) -> pa.Table:
    columns = {
        "device": pa.array(["a", "b", "b"]).dictionary_encode(),
        "at": pa.array([T, T, T], pa.timestamp("us", "UTC")),
        "x": pa.array([1.0, float("nan"), 500.0]),
    }
    return pa.table({**columns, **changes})


def check_table(path: Path, rows: pa.Table, contract: object = PARQUET) -> Piece:
    pq.write_table(rows, path)
    pieces = list(check_file(path, FILE, contract, lambda _: io.BytesIO()))  # type: ignore[arg-type]
    assert_counts(pieces)
    (piece,) = pieces
    return piece


def test_cells_are_judged_like_those_of_any_other_file(tmp_path: Path) -> None:
    batch = check_table(tmp_path / "a.parquet", table()).batch
    assert batch.accepted["x"].to_pylist() == [1.0, None]
    assert batch.nulled == {"x": 2}
    assert batch.duplicates == 1  # the two rows of b are equal once their cells are null
    strict = with_column(X.__class__(name="x", origin=("x",), type=X.type, low=-100, high=100), PARQUET)
    batch = check_table(tmp_path / "a.parquet", table(), strict).batch
    assert reasons(batch) == [("not_finite", "x"), ("range", "x")]
    assert '"x": 500.0' in batch.quarantined["raw"].to_pylist()[1]
    assert batch.quarantined["line"].to_pylist() == [None, None]


@pytest.mark.parametrize(
    "at",
    [
        pa.array([T // 1000] * 3, pa.timestamp("ms")),
        pa.array([T * 1000] * 3, pa.timestamp("ns", "Europe/Paris")),
        pa.array([19723] * 3, pa.date32()),
        pa.array(["2024-01-01T01:00:00+01:00"] * 3),
    ],
)
def test_times_of_all_kinds_become_utc_microseconds(tmp_path: Path, at: pa.Array) -> None:
    accepted = check_table(tmp_path / "a.parquet", table(at=at)).batch.accepted
    assert accepted["at"].cast(pa.int64()).to_pylist() == [T, T]


def test_naive_times_are_read_in_their_zone(tmp_path: Path) -> None:
    contract = with_column(AT.__class__(name="at", origin=("at",), type=AT.type, zone="Europe/Paris"), PARQUET)
    at = pa.array([T, T, 1_711_852_200_000_000], pa.timestamp("us"))  # the last one: 2024-03-31T02:30, which never was
    batch = check_table(tmp_path / "a.parquet", table(at=at), contract).batch
    assert reasons(batch) == [("time", "at")]
    assert batch.accepted["at"].cast(pa.int64()).to_pylist() == [T - 3_600_000_000] * 2


def test_an_empty_table_gives_no_rows(tmp_path: Path) -> None:
    piece = check_table(tmp_path / "a.parquet", table().slice(0, 0))
    assert piece.batch.rows_read == 0
    assert piece.last


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError) as caught:
        check_table(tmp_path / "a.parquet", table().drop_columns(["device"]))
    assert caught.value.code == "contract.column_missing"


def test_nested_columns_are_refused_where_the_contract_needs_them(tmp_path: Path) -> None:
    nested = pa.array([[1.0], [2.0], None])
    assert check_table(tmp_path / "a.parquet", table(more=nested)).batch.ignored == ("more",)
    with pytest.raises(ContractError) as caught:
        check_table(tmp_path / "a.parquet", table(x=nested))
    assert caught.value.code == "contract.column_type"


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1", b"device,at,x\n", b""])
def test_A83_what_is_no_parquet_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(ContractError) as caught:
        list(check_file(path, FILE, PARQUET, lambda _: io.BytesIO()))
    assert caught.value.code == "contract.not_parquet"


def test_A83_a_table_of_too_many_columns_is_refused(tmp_path: Path) -> None:
    wide = pa.table({"device": ["a"], **{f"c{i}": [1] for i in range(10_001)}})
    with pytest.raises(ContractError) as caught:
        check_table(tmp_path / "a.parquet", wide)
    assert caught.value.code == "contract.too_large"


_FUZZ = """
import io, sys
from pathlib import Path
from filiera.errors import ContractError
from filiera.ingest.batch import check_file
from unit.ingest.test_parquet import FILE, PARQUET, assert_counts
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        assert_counts(list(check_file(path, FILE, PARQUET, lambda _: io.BytesIO())))
    except ContractError:
        pass
print("whole")
"""


@pytest.mark.slow
def test_A83_damaged_files_are_refused_or_read_and_never_crash(tmp_path: Path) -> None:
    rng, folder = random.Random(83), tmp_path / "files"
    folder.mkdir()
    sink = io.BytesIO()
    pq.write_table(pa.concat_tables([table()] * 50), sink)
    whole = sink.getvalue()
    for number in range(int(os.environ.get("FILIERA_FUZZ_FILES", "300"))):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 8)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        (folder / f"{number}.parquet").write_bytes(damaged[: rng.choice([len(damaged), rng.randrange(len(damaged))])])
    tests = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _FUZZ, str(folder)], env={"PYTHONPATH": str(tests)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr[-2000:]
