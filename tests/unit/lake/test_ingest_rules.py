"""The table equals a simple model of the rules, whatever comes in whichever order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.errors import NotFoundError
from filiera.lake.semantic import hash_rows
from filiera.lake.table import Lake, from_ipc, schema_of
from filiera.ledger import snapshots, sources
from lakes import DAY, Row, batch, contract, open_lake, table, values

_row = st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.sampled_from([None, 0.0, 1.5]))
_rows = st.lists(_row, max_size=6, unique_by=lambda row: row[:2])
_batches = st.lists(st.tuples(st.sampled_from(["x.csv", "y.csv", "z.csv"]), _rows), max_size=6)
_laws = settings(max_examples=20, deadline=None)


class Model:
    """The rules, row by row: each file has its rows in order of arrival; the first, or the newest, of a key is seen."""

    def __init__(self, on_conflict: str, files: str) -> None:
        self.newest, self.replace = on_conflict == "newest", files == "replace"
        self.seen: dict[tuple[str, int], tuple[float | None, str]] = {}
        self.hidden: list[tuple[str, Row]] = []

    def ingest(self, path: str, rows: list[Row]) -> tuple[int, int, int]:
        if self.replace:
            left = {key for key, (_, owner) in self.seen.items() if owner == path}
            self.seen = {key: value for key, value in self.seen.items() if key not in left}
            self.hidden = [(owner, row) for owner, row in self.hidden if owner != path]
            for owner, row in self.hidden[::-1]:
                if row[:2] in left and row[:2] not in self.seen:
                    self.seen[row[:2]] = (row[2], owner)
                    self.hidden.remove((owner, row))
        accepted = quarantined = duplicates = 0
        for row in rows:
            key, there = row[:2], self.seen.get(row[:2])
            if there is None or (self.newest and there[0] != row[2]):
                self.seen[key] = (row[2], path)
                accepted += 1
            elif there[0] == row[2]:
                self.hidden.append((path, row))
                duplicates += 1
            else:
                quarantined += 1
        return accepted, quarantined, duplicates


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """One lake for all examples; each uses a source of its own."""
    lake = open_lake(tmp_path_factory.mktemp("lake"))
    yield lake
    lake.ledger.close()


_numbers = itertools.count()


def _play(lake: Lake, batches: list[tuple[str, list[Row]]], on_conflict: str, files: str) -> None:
    of, model, source = contract(on_conflict=on_conflict, files=files), Model(on_conflict, files), f"s{next(_numbers)}"
    for path, rows in batches:
        expected = model.ingest(path, rows)
        counts = lake.ingest(batch(rows, path, of, source), of, actor="me").counts
        assert (counts.accepted, counts.quarantined, counts.duplicates) == expected
        assert counts.rows_read == counts.accepted + counts.quarantined + counts.duplicates
        assert values(lake, source) == {key: value for key, (value, _) in model.seen.items()}
        head = lake.latest(source)
        if head is not None:
            rows_now = [(*key, value) for key, (value, _) in model.seen.items()]
            fresh = hash_rows(table(rows_now), of.key, of.time).leaves.total()
            assert head.semantic == fresh.digest(schema_of(of))
            assert lake.leaves(head).total().digest(schema_of(of)) == head.semantic
    with lake.ledger.reading() as connection:
        sums = sources.count_rows(connection, source)
    assert sums.rows_read == sums.accepted + sums.quarantined + sums.duplicates == sum(len(r) for _, r in batches)


@_laws
@given(_batches)
def test_appended_files_follow_the_rules(shared: Lake, batches: list[tuple[str, list[Row]]]) -> None:
    _play(shared, batches, "quarantine", "append")


@_laws
@given(_batches)
def test_newest_rows_win_where_the_contract_says_so(shared: Lake, batches: list[tuple[str, list[Row]]]) -> None:
    _play(shared, batches, "newest", "append")


@settings(max_examples=40, deadline=None)
@given(_batches)
def test_replaced_files_take_only_their_own_rows_with_them(shared: Lake, batches: list[tuple[str, list[Row]]]) -> None:
    _play(shared, batches, "quarantine", "replace")


@_laws
@given(_rows, st.randoms(use_true_random=False), st.integers(1, 3))
def test_digest_depends_neither_on_order_of_arrival_nor_on_batch_borders(
    shared: Lake, rows: list[Row], random: Random, size: int
) -> None:
    of, seen = contract(), set()
    for pieces in ([rows], [rows[i : i + size] for i in range(0, len(rows), size)][::-1]):
        source = f"s{next(_numbers)}"
        for number, piece in enumerate(pieces):
            shuffled = random.sample(piece, len(piece))
            shared.ingest(batch(shuffled, f"{number}.csv", of, source), of, actor="me")
        head = shared.latest(source)
        seen.add((head.semantic, head.rows, head.low_us, head.high_us) if head else None)
    assert len(seen) == 1


@settings(max_examples=25, deadline=None)
@given(_batches, st.integers(0, 5))
def test_compaction_changes_no_row_no_digest_and_no_later_verdict(
    shared: Lake, batches: list[tuple[str, list[Row]]], when: int
) -> None:
    of, plain, packed = contract(files="replace"), f"s{next(_numbers)}", f"s{next(_numbers)}"
    for part, (path, rows) in enumerate(batches):
        # parts above zero do not replace, so that a file has several batches
        seen = [shared.ingest(batch(rows, path, of, s), of, actor="me", part=part % 3).counts for s in (plain, packed)]
        assert seen[0] == seen[1]
        before = shared.latest(packed)
        if part == when and before is not None:
            after = shared.compact(packed, actor="me")
            assert (after.semantic, after.rows, after.low_us, after.high_us) == (
                before.semantic, before.rows, before.low_us, before.high_us,
            )  # fmt: skip
            assert shared.rows(after).to_pylist() == shared.rows(before).to_pylist()
            assert shared.leaves(after).by_day() == shared.leaves(before).by_day()
        assert values(shared, plain) == values(shared, packed)


def test_compaction_merges_the_batches_of_a_file(tmp_path: Path) -> None:
    of, lake = contract(), open_lake(tmp_path)
    for day in range(4):
        lake.ingest(batch([("a", day, 1.0)], "x.csv"), of, actor="me")
    before = lake.snapshot("scada")
    after = lake.compact("scada", actor="me")
    with lake.ledger.reading() as connection:
        assert len(snapshots.visible(connection, "scada", after.number)) == 1
        assert len(snapshots.visible(connection, "scada", before.number)) == 4
    assert lake.rows(after).to_pylist() == lake.rows(before).to_pylist()
    assert lake.compact("scada", actor="me") == after
    assert lake.ingest(batch([("a", 2, 1.0), ("a", 3, 9.0)], "y.csv"), of, actor="me").counts.duplicates == 1


def test_row_repeated_by_another_file_stays_when_the_first_file_is_replaced(tmp_path: Path) -> None:
    of, lake = contract(files="replace"), open_lake(tmp_path)
    lake.ingest(batch([("a", 1, 1.0)], "x.csv"), of, actor="me")
    assert lake.ingest(batch([("a", 1, 1.0)], "y.csv"), of, actor="me").counts.duplicates == 1
    lake.ingest(batch([("b", 2, 2.0)], "x.csv"), of, actor="me")
    assert values(lake) == {("a", 1): 1.0, ("b", 2): 2.0}


def test_conflict_is_quarantined_with_its_text_and_names_the_earlier_file(tmp_path: Path) -> None:
    of, lake = contract(), open_lake(tmp_path)
    lake.ingest(batch([("a", 1, 1.0)], "first.csv"), of, actor="me")
    lake.ingest(batch([("b", 1, 1.0)], "second.csv"), of, actor="me")
    counts = lake.ingest(batch([("a", 1, 9.0), ("b", 1, 8.0), ("c", 1, 1.0)], "late.csv"), of, actor="me").counts
    assert (counts.accepted, counts.quarantined) == (1, 2)
    with lake.ledger.reading() as connection:
        (record,) = sources.list_quarantine(connection, "scada")
    rows = from_ipc(lake.objects.get(record.object)).to_pylist()
    assert [(row["reason"], row["raw"]) for row in rows] == [
        ("conflict", str(("a", 1, 9.0))),
        ("conflict", str(("b", 1, 8.0))),
    ]
    assert [row["detail"].split()[-1] for row in rows] == ["first.csv", "second.csv"]
    assert record.reasons == {"conflict": 2}


def test_old_snapshots_keep_their_rows(tmp_path: Path) -> None:
    of, lake = contract(on_conflict="newest"), open_lake(tmp_path)
    lake.ingest(batch([("a", 1, 1.0)], "x.csv"), of, actor="me")
    lake.ingest(batch([("a", 1, 2.0)], "y.csv"), of, actor="me")
    first = lake.snapshot("scada", number=1)
    assert lake.rows(first, ["value"]).to_pylist() == [{"value": 1.0}]
    assert lake.snapshot("scada", at_us=first.created_us) == first
    assert values(lake) == {("a", 1): 2.0}
    with pytest.raises(NotFoundError, match="no such snapshot") as caught:
        lake.snapshot("scada", number=7)
    assert "1 to 2" in caught.value.expected
    with pytest.raises(NotFoundError, match="no snapshot yet"):
        lake.snapshot("nothing")


def test_a_range_reads_only_its_rows(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    lake.ingest(batch([("b", 1, 1.0), ("a", 2, 2.0), ("a", 1, 3.0)]), contract(), actor="me")
    head = lake.snapshot("scada")
    assert lake.rows(head, ["value"]).column("value").to_pylist() == [3.0, 1.0, 2.0]
    assert lake.rows(head, ["value"], 2 * DAY, None).column("value").to_pylist() == [2.0]
    assert lake.rows(head, ["device", "value"], None, 2 * DAY).column("value").to_pylist() == [3.0, 1.0]
    assert lake.rows(head, None, 9 * DAY, None).num_rows == 0
