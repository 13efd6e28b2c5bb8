"""Cleaning: nothing reachable is ever freed, everything unreachable and old is, and it can be put back."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cleaning import ACTIONS, KEEP, World
from filiera.core.trial import Study, Trial, TrialState
from filiera.errors import NotFoundError
from filiera.ledger import removals, snapshots, studies, traces
from lakes import DAY


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, random.Random(0))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), days=st.integers(0, 12))
def test_what_is_reachable_stays_and_what_is_not_and_is_old_goes(seed: int, days: int) -> None:
    with TemporaryDirectory() as folder:
        world = World(Path(folder), random.Random(seed))
        for _ in range(24):
            getattr(world, world.chance.choice(ACTIONS))()
            if world.chance.random() < 0.08:
                world.cleaner.clean()
        world.clock.us += days * DAY
        told = world.cleaner.look()
        before = world.files()
        found = world.cleaner.clean()
        assert found.freed == told.freed
        stays = world.must_stay()
        wanted = {name for output in stays for name in world.made[output].objects}
        assert world.files() == wanted & before == wanted
        world.check()
        assert world.cleaner.clean().freed == []
        world.lake.ledger.close()


def test_a_freed_trace_does_not_answer_until_it_is_put_back(world: World) -> None:
    for _ in range(4):
        world.compute()
        world.advance("dev")
    first = next(m for m in world.made.values() if m.asset == "features")
    world.clock.us += 6 * DAY
    with world.lake.ledger.reading() as connection:
        trace = traces.of_output(connection, first.id)
        assert trace is not None
        assert traces.find(connection, trace.asset, trace.key) == trace
        snapshot = snapshots.get(connection, first.id)
    assert snapshot is not None
    told = world.cleaner.clean()
    assert [(asset, reason) for asset, reason, _, _ in told.freed if asset != "code"] == [
        (first.asset, "no environment reaches it")
    ]
    with world.lake.ledger.reading() as connection:
        assert traces.find(connection, trace.asset, trace.key) is None
        assert removals.is_gone(connection, first.id)
    with pytest.raises(NotFoundError, match="gc --restore"):
        world.lake.rows(snapshot)
    world.cleaner.restore()
    with world.lake.ledger.reading() as connection:
        assert traces.find(connection, trace.asset, trace.key) == trace
    assert world.lake.rows(snapshot).num_rows == snapshot.rows
    assert world.cleaner.clean().freed == [], "what was put back is young again"


def test_a_new_trace_answers_for_a_key_whose_output_was_freed(world: World) -> None:
    world.compute()
    (made,) = (m for m in world.made.values() if m.asset != "code")
    world.clock.us += 6 * DAY
    world.cleaner.clean()
    with world.lake.ledger.reading() as connection:
        trace = traces.of_output(connection, made.id)
    assert trace is not None
    world.steps -= 1  # the same key again
    world.chance = random.Random(0)
    world.compute()
    with world.lake.ledger.reading() as connection:
        found = traces.find(connection, trace.asset, trace.key)
    assert found is not None
    assert found.id != trace.id


def test_the_trash_is_emptied_after_its_time_and_not_before(world: World) -> None:
    world.compute()
    world.clock.us += 6 * DAY
    freed = sum(count for _, _, count, _ in world.cleaner.clean().freed)
    assert freed == 2, "a table and its code"
    world.clock.us += KEEP.trash_us - 1
    assert world.cleaner.clean().deleted == (0, 0)
    assert len(world.lake.objects.trash.names()) == 2
    world.clock.us += 1
    assert world.cleaner.look().deleted[0] == 2
    assert world.cleaner.clean().deleted[0] == 2
    assert world.lake.objects.trash.names() == []
    assert world.cleaner.restore().restored == (0, 0)


def test_compaction_of_a_source_frees_the_objects_it_replaced(world: World) -> None:
    for number in range(3):
        world.steps = number
        world.chance = random.Random(3)  # the same file name, so that there is something to merge
        world.ingest()
    world.compact()
    world.clock.us += 6 * DAY
    assert [(asset, reason, count) for asset, reason, count, _ in world.cleaner.clean().freed] == [
        ("scada", "superseded by compaction", 9)  # two column classes and a sidecar of each file
    ]
    world.check()


def test_a_reader_keeps_what_it_reads(world: World) -> None:
    world.compute()
    (made,) = (m for m in world.made.values() if m.asset != "code")
    world.clock.us += 6 * DAY
    with world.lake.readers.reading(made.asset):
        told = world.cleaner.clean()
        assert (made.asset, "a reader is at work", 1) in told.kept
        assert {asset for asset, *_ in told.freed} == {"code"}
        assert made.objects <= world.files()
    assert {asset for asset, *_ in world.cleaner.clean().freed} == {made.asset}


def test_the_rows_of_a_study_stay_while_it_is_in_progress(world: World) -> None:
    world.compute()
    (made,) = (m for m in world.made.values() if m.asset != "code")
    ledger = world.lake.ledger
    with ledger.commit(actor="me", action="study.begin", object="power") as tx:
        study = Study(id="std", model="power", key="k", created_us=tx.now_us, workers=1, snapshot=made.id)
        studies.create_study(tx, study)
        studies.add_trials(tx, "std", [Trial(number=0, settings={}, state=TrialState.RUNNING)])
    world.clock.us += 60 * DAY
    told = world.cleaner.clean()
    assert told.freed == []
    assert (made.asset, "a study of it is in progress", 1) in told.kept
    with ledger.commit(actor="me", action="trial.finish", object="power") as tx:
        studies.finish_trials(tx, "std", [Trial(number=0, settings={}, state=TrialState.DONE, score=1.0)])
    assert world.cleaner.clean().freed == [], "it was stopped before it came to an end"
    with ledger.commit(actor="me", action="study.report", object="power") as tx:
        studies.put_report(tx, "std", {"ended": "limit"})
    assert {asset for asset, *_ in world.cleaner.clean().freed} == {made.asset, "code"}


def test_files_that_nothing_names_go_to_the_trash_after_a_day(world: World) -> None:
    record = world.lake.objects.put(b"left behind")
    assert world.cleaner.clean().freed == []
    world.clock.us += 6 * DAY
    assert [(reason, count) for _, reason, count, _ in world.cleaner.clean().freed] == [
        ("left behind by a process that died", 1)
    ]
    assert world.lake.objects.trash.names() == [record.object_id]
    world.cleaner.restore()
    assert world.lake.objects.get(record) == b"left behind"


def test_code_that_was_freed_is_stored_again_when_it_comes_back(world: World) -> None:
    world.compute()
    (digest,) = (m.id for m in world.made.values() if m.asset == "code")
    world.clock.us += 6 * DAY
    world.cleaner.clean()
    del world.made[digest]
    world.chance = random.Random(0)
    world.compute()
    world.advance("dev")
    world.clock.us += 6 * DAY
    world.cleaner.clean()
    world.check()
    world.cleaner.mend()
    assert len(world.lake.objects.trash.names()) == 2, "the table and the first copy of the code"
