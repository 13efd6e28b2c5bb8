"""Events, decisions and work over a real ledger, at times that the test tells."""

from __future__ import annotations

import random
import subprocess
import threading
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from automations import AT_ONCE, BEGIN_US, SETTINGS, Up, copy, drop, release
from filiera.automation.reconcile import reconcile
from filiera.automation.target import Ready
from filiera.automation.turn import turn
from filiera.automation.watch import Memory, _code
from filiera.automation.work import LEASE_S, carry_out, claim
from filiera.core.event import Event, EventKind
from filiera.core.generation import DEV, PROD
from filiera.dimensions.context import Context
from filiera.errors import ConflictError, NotFoundError, WorkError
from filiera.ledger import events


def ready(template: Path, root: Path, automation: str | None = AT_ONCE) -> Up:
    """A project that is up: everything from before is decided about."""
    up = Up.open(copy(template, root, automation))
    assert up.turn(started=True).failure is None
    return up


def test_a_new_file_is_seen_planned_run_and_told_once(template: Path, tmp_path: Path) -> None:
    up = ready(template, tmp_path / "p")
    drop(tmp_path / "p", 1)
    (text,) = up.turn().texts
    assert text.startswith("dev: readings: 5 rows read from 1 file: 5 accepted")
    entries = up.workspace.ledger.verify().entries
    for _ in range(3):
        assert up.turn(later_s=5).texts == []
    assert up.workspace.ledger.verify().entries == entries, "a turn with nothing new writes nothing"
    assert (up.generations(), [intent.state for intent in up.intents()]) == (1, ["done"])
    event = next(item for item in up.workspace.events()["events"] if item["kind"] == "data")
    assert event["text"] == "new file data/day1.csv (0.1 kB)"
    came = {item["environment"]: item for item in event["came_of_it"]}
    assert came[DEV]["intent"]["state"] == "done"
    assert came[DEV]["intent"]["generation"] == 1
    assert came[PROD]["reason"] == "nothing is released"


def test_ten_thousand_repeated_and_shuffled_events_end_as_one(template: Path, tmp_path: Path) -> None:
    calm = ready(template, tmp_path / "calm")
    drop(tmp_path / "calm", 1)
    calm.turn()
    calm.turn(later_s=1)
    up, chance = ready(template, tmp_path / "p"), random.Random(7)
    drop(tmp_path / "p", 1)
    seen = [Event(source="source readings", source_id=f"digest {n}", kind=EventKind.DATA,
                  body={"files": ["x"], "count": 1}) for n in range(5)]  # fmt: skip
    seen += [Event(source="code", source_id=f"digest {n}", kind=EventKind.CODE) for n in range(5)]
    told = seen * 1000
    chance.shuffle(told)
    for number, event in enumerate(told):
        events.record_new(up.workspace.ledger, [event], "test")
        if chance.random() < 0.002 or number == 3000:
            up.turn(later_s=chance.uniform(0, 3))
    up.turn(later_s=1)
    assert up.state() == calm.state()
    assert up.generations() == 1
    assert [intent.state for intent in up.intents()] == ["done"], "one plan, one run, one publication"
    assert len([event for event in up.events() if event.source_id.startswith("digest")]) == 10
    assert up.workspace.verify_audit().ok


def test_a_burst_waits_until_it_is_quiet(template: Path, tmp_path: Path) -> None:
    up = ready(template, tmp_path / "p", "")
    up.turn(later_s=120)
    for day in range(1, 5):
        drop(tmp_path / "p", day)
        assert up.turn(later_s=30).texts == []
    assert up.turn(later_s=59).texts == []
    (text,) = up.turn(later_s=1).texts
    assert "4 files" in text
    assert up.generations() == 1


def test_prod_follows_new_rows_at_once_without_any_setting(template: Path, tmp_path: Path) -> None:
    root = tmp_path / "p"
    up = Up.open(copy(template, root, None))
    drop(root, 1)
    up.workspace.apply()
    release(up.workspace)
    up.turn(started=True)
    drop(root, 2)
    (text,) = up.turn(later_s=1).texts
    assert text.startswith("prod: readings: 5 rows read")
    assert (up.generations(PROD), up.generations(DEV)) == (2, 1)
    assert set(up.codes(DEV)) == {"off"}
    drop(root, 3)
    up.workspace.apply()  # a person was faster than the next look
    up.turn(later_s=1)
    assert up.generations(PROD) == 3, "rows that somebody else took in are followed too"
    assert up.turn(later_s=1).texts == []
    assert up.undecided(PROD) == 0


def test_both_environments_move_for_one_file(template: Path, tmp_path: Path) -> None:
    up = ready(template, tmp_path / "p")
    drop(tmp_path / "p", 1)
    up.turn()
    release(up.workspace)
    drop(tmp_path / "p", 2)
    for _ in range(4):
        up.turn(later_s=1)
    assert (up.generations(DEV), up.generations(PROD)) == (2, 2)
    assert up.state()["undecided"] == [0, 0]


def test_what_costs_more_than_up_to_waits_and_runs_when_it_is_approved(template: Path, tmp_path: Path) -> None:
    up = ready(template, tmp_path / "p", AT_ONCE + 'up_to = "0 EUR"\n')
    drop(tmp_path / "p", 1)
    (text,) = up.turn().texts
    assert "more than up_to = 0 EUR; `filiera events approve 1` lets it run" in text
    assert up.turn(later_s=3600).texts == []
    assert up.generations() == 0
    (waiting,) = up.workspace.events()["waiting"]
    assert waiting["work"] == [
        {"operation": "ingest", "asset": "readings", "reasons": ["new file data/day1.csv (0.1 kB)"]}
    ]
    up.workspace.approve(1)
    with pytest.raises(ConflictError, match="waits for nobody"):
        up.workspace.approve(1)
    assert up.turn(later_s=1).texts[0].startswith("dev: readings: 5 rows")
    (intent,) = up.intents()
    assert (intent.state, intent.approved_by, intent.generation) == ("done", up.workspace.principal, 1)
    with pytest.raises(NotFoundError):
        up.workspace.approve(99)


def test_more_than_was_approved_is_planned_again(template: Path, tmp_path: Path) -> None:
    up = ready(template, tmp_path / "p", AT_ONCE + "ingest = false\n")
    drop(tmp_path / "p", 1)
    up.turn()
    up.workspace.approve(1)
    drop(tmp_path / "p", 2, count=24)
    up.turn(later_s=1)
    up.turn(later_s=1)
    assert [intent.state for intent in up.intents()] == ["stale", "waiting"]
    assert up.generations() == 0
    up.workspace.approve(2)
    up.turn(later_s=1)
    assert up.generations() == 1


def test_newer_work_replaces_what_waits(template: Path, tmp_path: Path) -> None:
    up = ready(template, tmp_path / "p", AT_ONCE + "ingest = false\n")
    for day in (1, 2):
        drop(tmp_path / "p", day)
        up.turn(later_s=1)
    up.workspace.add_event("look again")
    up.turn(later_s=1)
    assert [intent.state for intent in up.intents()] == ["replaced", "waiting"], "the same plan is one intent"
    assert up.codes()[-1] == "again"


def test_a_month_that_is_spent_holds_the_work_and_is_looked_at_again_the_next_day(
    template: Path, tmp_path: Path
) -> None:
    up = ready(template, tmp_path / "p", AT_ONCE + 'month = "0 EUR"\n')
    drop(tmp_path / "p", 1)
    for _ in range(3):
        assert up.turn(later_s=60).texts == []
    assert up.codes()[-1] == "budget"
    reason = up.workspace.events()["events"][0]["came_of_it"][-1]["reason"]
    assert "0 EUR of 0 EUR are spent in 30 days" in reason
    up.turn(later_s=12 * 3600)
    assert up.codes()[-2:] == ["budget", "budget"]
    assert up.generations() == 0
    (tmp_path / "p" / "filiera.toml").write_text(f"{SETTINGS}[automation]\n{AT_ONCE}")
    up.workspace._reload()
    up.turn(later_s=1)
    assert up.generations() == 1, "settings that mean something else are an event"


def test_a_comment_in_code_or_settings_is_no_event_and_a_mistake_holds_up_nothing_else(
    template: Path, tmp_path: Path
) -> None:
    root = tmp_path / "p"
    up = ready(template, root)
    before = len(up.events())
    (root / "pipeline.py").write_text("# a comment\nimport filiera as fl\n")
    with (root / "filiera.toml").open("a") as file:
        file.write("# a comment\n")
    assert up.workspace.automate().failure is None
    assert len(up.events()) == before
    with (root / "filiera.toml").open("a") as file:
        file.write("ingst = true\n")
    drop(root, 1)
    found = up.workspace.automate()
    assert found.failure is not None
    assert "did you mean ingest" in str(found.failure)
    assert up.generations() == 1
    (root / "pipeline.py").write_text("def f(:\n")
    up.turn(later_s=1)
    assert up.codes()[-1] == "error"
    assert "pipeline.py:1" in up.workspace.events()["events"][0]["came_of_it"][-1]["reason"]


def test_a_file_that_the_code_declares_is_watched_like_code(template: Path, tmp_path: Path) -> None:
    root = tmp_path / "p"
    up = ready(template, root)
    (root / "holidays.csv").write_text("day\n")
    declares = '@fl.table(files=["holidays.csv"])\ndef features(readings):\n    return readings\n'
    (root / "pipeline.py").write_text(f"import filiera as fl\n\n\n{declares}")

    def seen() -> list[str]:
        return [event.source_id for event in _code(up.context, memory)]

    memory = Memory()
    first = seen()
    assert seen() == first
    (root / "holidays.csv").write_text("day\n2024-12-25\n")
    assert seen() != first
    (root / "holidays.csv").write_text("day\n")
    assert seen() == first
    (root / "holidays.csv").unlink()
    assert seen() != first, "told when the plan is made"


def test_an_event_that_a_run_brought_about_is_recorded_and_not_acted_on_by_the_same_environment(
    template: Path, tmp_path: Path
) -> None:
    up = ready(template, tmp_path / "p")
    drop(tmp_path / "p", 1)
    up.turn()
    release(up.workspace)
    number = up.workspace.add_event("a report was written", cause=up.intents()[0].number)
    drop(tmp_path / "p", 2)
    with up.workspace.ledger.reading() as connection:
        event = next(e for e in events.newest(connection, 1) if e.number == number)
        assert events.cause_chain(connection, event) == {DEV}
    for goal in up.targets:  # decided before the file is looked at
        reconcile(up.context, goal)
    assert up.codes(DEV)[-1] == "loop"
    assert up.codes(PROD)[-1] == "planned"
    came = up.workspace.events()["events"][0]["came_of_it"]
    assert {item["environment"]: item["code"] for item in came} == {DEV: "loop", PROD: ""}
    with pytest.raises(NotFoundError):
        up.workspace.add_event("x", cause=99)


def test_work_that_fails_is_tried_later_and_later_then_parked_until_a_person_acts(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    up = ready(template, tmp_path / "p")
    drop(tmp_path / "p", 1)
    broken = [True]

    def breaking(context: Context) -> Ready:
        found = real(context)
        assert found is not None

        def run(*words: object) -> object:
            if broken[0]:
                raise WorkError("work.broken", "a cable is out")
            return found.run(*words)  # type: ignore[arg-type]

        return replace(found, run=run)  # type: ignore[arg-type]

    real = up.targets[1].ready
    monkeypatch.setattr("filiera.automation.target._dev", breaking)
    attempts = []
    for second in range(0, 1200, 10):
        found = up.turn(later_s=10)
        assert found.failure is not None, "told until it works"
        if len(up.intents("failed")) > len(attempts):
            attempts.append(second)
    assert [after - before for before, after in pairwise(attempts)] == [60, 120]
    tick = Event(source="schedule", source_id="tick", kind=EventKind.SCHEDULE)
    events.record_new(up.workspace.ledger, [tick], "test")
    up.turn(later_s=1)
    assert up.codes()[-1] == "parked"
    assert "failed 3 times, parked: work.broken" in up.workspace.events()["events"][0]["came_of_it"][-1]["reason"]
    broken[0] = False
    assert up.turn(later_s=3600).failure is not None
    up.workspace.add_event("the cable is in again")
    assert up.turn(later_s=1).failure is None
    assert up.generations() == 1


def test_the_commit_of_a_git_ref_is_worked_from_whatever_lies_in_the_folder(template: Path, tmp_path: Path) -> None:
    root = copy(template, tmp_path / "p", AT_ONCE + 'ref = "main"\n')

    def git(*words: str) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(root), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    up = Up.open(root)
    assert "no commit main" in str(up.turn(started=True).failure)
    git("init", "--initial-branch=main")
    (root / ".gitignore").write_text(".filiera/\n")
    git("add", "."), git("commit", "-m", "one")
    (root / "pipeline.py").write_text("def half(:\n")  # an edit in progress
    assert up.turn(later_s=1).failure is None
    drop(root, 1)
    up.turn(later_s=1)
    assert up.generations() == 1
    told = [event for event in up.events() if event.kind is EventKind.CODE]
    assert [(event.source, event.source_id) for event in told] == [("git main", git("rev-parse", "main"))]


# ---- one effect


def test_two_workers_that_race_have_one_effect(template: Path, tmp_path: Path) -> None:
    for number in range(8):
        root = copy(template, tmp_path / str(number))
        drop(root, 1)
        ups = [Up.open(root, name=name) for name in ("one", "two")]
        barrier, raised = threading.Barrier(2), []

        def run(up: Up, barrier: threading.Barrier = barrier, raised: list[Exception] = raised) -> None:
            try:
                barrier.wait()
                for _ in range(3):
                    up.turn(later_s=1)
            except Exception as error:
                raised.append(error)

        threads = [threading.Thread(target=run, args=(up,)) for up in ups]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert raised == []
        assert ups[0].generations() == 1
        assert [intent.state for intent in ups[0].intents()] == ["done"]
        assert ups[0].state()["undecided"] == [0, 0]
        assert ups[0].workspace.verify_audit().ok
        for up in ups:
            up.workspace.close()


def test_a_worker_whose_lease_ran_out_publishes_nothing(template: Path, tmp_path: Path) -> None:
    late = ready(template, tmp_path / "p")
    drop(tmp_path / "p", 1)
    other = Up.open(tmp_path / "p", BEGIN_US, "other")
    dev = late.targets[1]

    def overtaken(context: Context) -> Ready:
        found = dev.ready(context)
        assert found is not None

        def run(*words: object) -> object:
            other.turn(later_s=LEASE_S + 1)  # the other sees the lease run out, takes over and is done
            return found.run(*words)  # type: ignore[arg-type]

        return replace(found, run=run)  # type: ignore[arg-type]

    turn_without_work(late)
    mine = claim(late.context, dev, "late")
    assert mine is not None
    worked = carry_out(late.context, replace(dev, ready=overtaken), mine, renew_s=None)
    assert worked.state == "lost"
    (intent,) = late.intents()
    assert (intent.state, intent.worker, intent.fence, intent.generation) == ("done", "other", 2, 1)
    assert late.generations() == 1
    assert late.workspace.verify_audit().ok


def turn_without_work(up: Up) -> None:
    """Look and decide; somebody else has the lock of applies."""

    class Taken(nullcontext[None]):
        def __enter__(self) -> None:
            raise ConflictError("apply.running", "another apply is running")

    assert turn(up.context, up.name, Taken(), renew_s=None).failure is None


def test_a_lease_that_ran_out_publishes_nothing_even_if_nobody_took_over(template: Path, tmp_path: Path) -> None:
    up = ready(template, tmp_path / "p")
    drop(tmp_path / "p", 1)
    turn_without_work(up)
    dev = up.targets[1]

    def slow(context: Context) -> Ready:
        found = dev.ready(context)
        up.clock.us += (LEASE_S + 1) * 1_000_000
        return found  # type: ignore[return-value]

    mine = claim(up.context, dev, "up")
    assert mine is not None
    assert carry_out(up.context, replace(dev, ready=slow), mine, renew_s=None).state == "lost"
    assert up.generations() == 0
    up.turn()
    assert up.generations() == 1
    assert [intent.fence for intent in up.intents()] == [2]


def test_a_lease_is_renewed_while_the_work_goes_on(template: Path, tmp_path: Path) -> None:
    up = ready(template, tmp_path / "p")
    drop(tmp_path / "p", 1)
    turn_without_work(up)
    dev, renewed = up.targets[1], threading.Event()

    def slow(context: Context) -> Ready:
        found = dev.ready(context)
        up.clock.us += (LEASE_S - 1) * 1_000_000
        while not any(entry["action"] == "intent.renew" for entry in up.workspace.audit_entries(5)):
            renewed.wait(0.01)
        up.clock.us += 2_000_000
        return found  # type: ignore[return-value]

    mine = claim(up.context, dev, "up")
    assert mine is not None
    assert carry_out(up.context, replace(dev, ready=slow), mine, renew_s=0.01).state == "done"
    assert up.generations() == 1


def test_work_waits_while_a_person_applies(template: Path, tmp_path: Path) -> None:
    up = ready(template, tmp_path / "p")
    drop(tmp_path / "p", 1)
    turn_without_work(up)
    assert [intent.state for intent in up.intents()] == ["pending"]
    up.workspace.apply()
    up.turn(later_s=1)
    assert [intent.state for intent in up.intents()] == ["done"]
    assert up.generations() == 1, "the person's apply had done it"
