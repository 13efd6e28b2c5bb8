"""`filiera up` as a user sees it: a file is dropped, and the console tells what came of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_server import ask, until, up

import projects
from filiera.clock import FixedClock, SystemClock
from filiera.core.event import EventKind
from filiera.core.generation import DEV
from filiera.ledger import events
from filiera.workspace import Workspace
from projects import filiera

AUTOMATION = """
[automation]
data_quiet = "1s"
data_max_wait = "5s"
code_quiet = "1s"
code_max_wait = "5s"
schedule = "every 1h"
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    root = projects.make(tmp_path_factory.mktemp("automation") / "small")
    with (root / "filiera.toml").open("a") as file:
        file.write(AUTOMATION)
    filiera("apply", project=root)
    filiera("release", "usage", project=root)
    with up(root) as (url, _):
        yield root, url


def came_of(url: str, text: str) -> dict[str, dict[str, Any]]:
    """What came of the newest event of that text, by environment; empty until it was recorded."""
    report = ask(f"{url}v1/events")[2]
    event = next((item for item in report["events"] if text in item["text"]), None)
    return {item["environment"]: item for item in event["came_of_it"]} if event else {}


def ended(came: dict[str, dict[str, Any]]) -> bool:
    return len(came) == 2 and all(item["intent"] and item["intent"]["ended"] for item in came.values())


def test_a_new_file_is_an_event_a_plan_a_run_and_a_page(served: tuple[Path, str]) -> None:
    root, url = served
    until(lambda: came_of(url, "is now "), lambda found: len(found) == 2)
    (root / "data" / "fresh.csv").write_text(projects.rows(42, 2))
    came = until(lambda: came_of(url, "fresh.csv"), ended, most_s=90)
    assert came["prod"]["intent"]["state"] == "done", came
    assert "96 rows read" in came["prod"]["intent"]["result"]["text"]
    assert came["dev"]["intent"]["state"] == "done", came
    assert came["dev"]["intent"]["left_out"] == ["usage"], "training waits for a person"
    waiting = until(lambda: ask(f"{url}v1/events")[2]["waiting"], bool)
    assert [step["asset"] for step in waiting[0]["work"]] == ["usage"]
    page = ask(f"{url}events")[2]
    assert "new file data/fresh.csv" in page
    assert "96 rows read from 1 file" in page
    assert "train usage waits for a person" in page
    assert f'action="/v1/intents/{waiting[0]["number"]}/approve"' in page
    assert '<a href="/events">events</a>' in ask(url)[2]


def test_a_person_approves_in_the_console_and_the_training_runs(served: tuple[Path, str]) -> None:
    root, url = served
    (root / "data" / "more.csv").write_text(projects.rows(44, 3))
    until(lambda: came_of(url, "more.csv"), ended, most_s=90)
    number = until(lambda: ask(f"{url}v1/events")[2]["waiting"], bool)[0]["number"]
    path = f"{url}v1/intents/{number}/approve"
    assert ask(path, {}, {"origin": "http://evil.example"})[0] == 403
    assert ask(path)[0] == 405
    assert ask(f"{url}v1/intents/x/approve", {})[0] == 404
    assert ask(f"{url}v1/intents/9999/approve", {})[2]["type"] == "urn:filiera:intent.unknown"
    status, _, page = ask(path, {}, {"accept": "text/html"})
    assert (status, "<h2>Events</h2>" in page) == (200, True), "a button leads back to the page"
    assert ask(path, {})[2]["type"] in ("urn:filiera:intent.not_waiting",)

    def state() -> str:
        found = [came["intent"] for event in ask(f"{url}v1/events")[2]["events"] for came in event["came_of_it"]]
        return next(intent["state"] for intent in found if intent and intent["number"] == number)

    assert until(state, lambda found: found == "done", most_s=90) == "done"
    status = json.loads(filiera("status", "--json", project=root).stdout)
    assert status["models"][0]["label"] == "usage@2"


def test_the_command_tells_the_same_and_takes_words_by_hand(served: tuple[Path, str]) -> None:
    root, url = served
    assert "looks at it at once" in filiera("events", "add", "a sensor was changed", project=root).stdout
    came = until(lambda: came_of(url, "a sensor was changed"), lambda found: len(found) == 2)
    assert {item["code"] for item in came.values()} <= {"nothing", ""}
    text = filiera("events", project=root).stdout
    assert "a sensor was changed" in text
    assert "prod         skipped: nothing to run" in text
    report = json.loads(filiera("events", "--json", "--limit", "3", project=root).stdout)
    assert (report["schema"], len(report["events"])) == ("filiera.events/1", 3)
    done = filiera("events", "approve", "9999", project=root, check=False)
    assert (done.returncode, "no intent 9999" in done.stderr) == (8, True)
    assert filiera("events", "add", "x", "--cause", "9999", project=root, check=False).returncode == 8


def test_edited_code_runs_by_itself_and_a_table_that_fails_is_parked(tmp_path: Path) -> None:
    root = projects.make(tmp_path / "small")
    with (root / "filiera.toml").open("a") as file:
        file.write(AUTOMATION)
    clock = FixedClock(SystemClock().now_us())
    with Workspace.open(root, clock=clock) as wind:

        def turn(later_s: float) -> Any:
            clock.us += round(later_s * 1_000_000)
            return wind.automate(up_since_us=1)

        turn(0)
        pipeline = (root / "pipeline.py").read_text()
        (root / "pipeline.py").write_text(pipeline.replace('["at"].dt.hour', '["att"].dt.hour'))
        failures = []
        for _ in range(60):
            found = turn(10)
            failures.append(str(found.failure) if found.failure else "")
        assert "KeyError" in failures[-1] or "att" in failures[-1]
        with wind.ledger.reading() as connection:
            failed = [row for row in events.decisions(connection, environment=DEV) if row.outcome == "planned"]
        assert len(failed) == 4, "the first run, and three attempts"
        wind.add_event("try again")
        turn(1)
        (root / "pipeline.py").write_text(pipeline.replace('["at"].dt.hour', '["at"].dt.minute'))
        turn(1)
        assert turn(5).failure is None
        assert [event["kind"] for event in wind.events()["events"]].count(EventKind.CODE) == 3
        assert wind.verify_audit().ok


def test_drift_of_a_released_model_is_told_once(tmp_path: Path) -> None:
    root = projects.make(tmp_path / "small")
    with (root / "filiera.toml").open("a") as file:
        file.write(f"{AUTOMATION}drift = true\n")
    with Workspace.open(root) as wind:
        wind.apply()
        wind.release("usage")
        hot = projects.rows(42, 14).splitlines()
        moved = [hot[0], *(",".join([*line.split(",")[:3], "59"]) for line in hot[1:])]
        (root / "data" / "hot.csv").write_text("\n".join(moved) + "\n")
        for _ in range(3):
            wind.automate()
        told = [event for event in wind.events()["events"] if event["kind"] == "drift"]
        assert [event["source"] for event in told] == ["drift usage@1"]
        assert "temp_c moved: +" in told[0]["text"]
        wind._memory = None  # another `up`
        wind.automate()
        assert len([event for event in wind.events()["events"] if event["kind"] == "drift"]) == 1


def test_up_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    root = projects.make(tmp_path / "small")
    with (root / "filiera.toml").open("a") as file:
        file.write(AUTOMATION)
    command = [sys.executable, "-m", "filiera", "--project", str(root), "up", "--port", "0", "--every", "0.2"]
    for after_s in (1.5, 2.5, 3.5):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=dict(os.environ))
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with Workspace.open(root, clock=FixedClock(SystemClock().now_us() + 120_000_000)) as wind:
        for _ in range(4):
            assert wind.automate().failure is None
        head = wind.head(DEV)
        assert head is not None
        assert (head.number, "features" in head.assets) == (1, True)
        assert wind.verify_audit().ok
