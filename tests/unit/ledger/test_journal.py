"""Effects and their audit entries: together or not at all, and any alteration shows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from filiera.clock import SystemClock
from filiera.errors import ConflictError, IntegrityError, NotFoundError, UnavailableError
from filiera.ledger import environments
from filiera.ledger.journal import Ledger, wal_is_safe


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger.create(tmp_path / "ledger.db", name="p", currency="EUR", clock=SystemClock(), actor="me")
    yield made
    made.close()


def spend(ledger: Ledger, nano: int) -> None:
    with ledger.commit(actor="me", action="spend", object="x") as tx:
        environments.record_spend(tx, run="run_1", asset="x", cost_nano=nano, seconds=1.0)


def total(ledger: Ledger) -> int:
    with ledger.reading() as connection:
        return environments.total_spend(connection)


def test_an_effect_and_its_entry_are_there_together(ledger: Ledger) -> None:
    spend(ledger, 5)
    assert total(ledger) == 5
    assert ledger.verify().entries == 2


def test_A36_a_body_that_raises_leaves_neither_effect_nor_entry(ledger: Ledger) -> None:
    def fail() -> None:
        with ledger.commit(actor="me", action="spend", object="x") as tx:
            environments.record_spend(tx, run="run_1", asset="x", cost_nano=5, seconds=1.0)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert total(ledger) == 0
    assert ledger.verify().entries == 1


def test_an_open_reading_sees_one_state_and_cannot_write(ledger: Ledger) -> None:
    with ledger.reading() as connection, pytest.raises(sa.exc.OperationalError, match="readonly"):
        connection.execute(sa.text("DELETE FROM spend"))


def test_history_cannot_be_updated_or_deleted_through_sql(ledger: Ledger, tmp_path: Path) -> None:
    spend(ledger, 5)
    with sqlite3.connect(tmp_path / "ledger.db") as raw:
        for statement in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit", "UPDATE spend SET cost_nano = 0"):
            with pytest.raises(sqlite3.IntegrityError):
                raw.execute(statement)
    raw.close()


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE audit SET actor = 'somebody' WHERE number = 3",
        "UPDATE audit SET details = '{\"why\": 1}' WHERE number = 3",
        "DELETE FROM audit WHERE number = 3",
        "UPDATE audit SET number = 99 WHERE number = 3",
    ],
)
def test_A33_an_altered_entry_is_found_with_its_number(ledger: Ledger, tmp_path: Path, attack: str) -> None:
    for nano in range(5):
        spend(ledger, nano)
    with sqlite3.connect(tmp_path / "ledger.db") as raw:
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {name}")
        raw.execute(attack)
    raw.close()
    report = ledger.verify()
    assert not report.ok
    assert report.first_bad == 3


def test_A33_a_log_that_was_cut_off_does_not_hold_its_checkpoint(ledger: Ledger, tmp_path: Path) -> None:
    for nano in range(3):
        spend(ledger, nano)
    before = ledger.verify()
    checkpoint = (before.entries, before.head)
    assert ledger.verify(checkpoint).ok
    with sqlite3.connect(tmp_path / "ledger.db") as raw:
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {name}")
        raw.execute("DELETE FROM audit WHERE number = 4")
    raw.close()
    assert ledger.verify().ok, "a shorter chain is valid by itself"
    assert "cut off" in ledger.verify(checkpoint).message


def test_A34_an_entry_is_one_line_whatever_its_names_hold(ledger: Ledger) -> None:
    with ledger.commit(actor="me\nroot", action="x", object="a\x1b[31m"):
        pass
    from filiera.ledger.chain import list_entries

    with ledger.reading() as connection:
        (entry, *_) = list_entries(connection, 1)
    assert entry["actor"].isprintable()
    assert entry["object"].isprintable()


def test_opening_says_what_is_wrong(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no ledger"):
        Ledger.open(tmp_path / "other.db", clock=SystemClock())
    with pytest.raises(ConflictError, match="already"):
        Ledger.create(tmp_path / "ledger.db", name="p", currency="EUR", clock=SystemClock(), actor="me")
    (tmp_path / "broken.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(IntegrityError, match="cannot be read"):
        Ledger.open(tmp_path / "broken.db", clock=SystemClock())


def test_F53_a_ledger_of_a_newer_version_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ledger.db") as raw:
        raw.execute("UPDATE project SET schema_version = 999")
    raw.close()
    with pytest.raises(UnavailableError, match="newer filiera"):
        Ledger.open(tmp_path / "ledger.db", clock=SystemClock())


@pytest.mark.parametrize(
    ("version", "safe"),
    [((3, 40, 1), False), ((3, 44, 5), False), ((3, 44, 6), True), ((3, 50, 7), True), ((3, 51, 2), False),
     ((3, 51, 3), True), ((3, 52, 0), True)],
)  # fmt: skip
def test_F09_write_ahead_logging_is_used_only_where_it_is_safe(version: tuple[int, int, int], safe: bool) -> None:
    assert wal_is_safe(version) is safe
