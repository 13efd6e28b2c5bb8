"""What is served follows the head, whatever some versions do when they are loaded."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from filiera.automation.turn import Turn
from filiera.clock import SystemClock
from filiera.core.model import ModelVersion
from filiera.errors import ConflictError, NotFoundError, UnavailableError
from filiera.serve.endpoint import RetiredError
from filiera.server.live import Live
from filiera.server.trouble import Troubles
from filiera.server.up import _follow


@dataclass(frozen=True)
class Version:
    name: str
    number: int

    @property
    def id(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        return f"{self.name}@{self.number}"


class Engine:
    def __init__(self, log: list[Engine]) -> None:
        self.started = self.closed = False
        log.append(self)

    def start(self) -> None:
        self.started = True

    def close(self) -> None:
        self.closed = True


class Served:
    def __init__(self, version: Version, engine: Engine, errors: dict[str, Exception]) -> None:
        self.version, self.engine, self._errors, self.closed = version, engine, errors, False

    def owns(self, engine: object) -> bool:
        return self.engine is engine

    def warm(self) -> None:
        if error := self._errors.get(f"warm {self.version.label}"):
            raise error

    def predict(self, records: Any, _units: Any) -> dict[str, Any]:
        if self.closed:
            raise RetiredError("predict.retired", "closed")
        return {"model": self.version.label, "predictions": list(records)}

    def close(self) -> None:
        self.closed = self.engine.closed = True


@dataclass
class Workspace:
    """As much of a workspace as serving needs; endpoints and engines are counted, errors are ordered by name."""

    folder: Path
    released: list[Version] = field(default_factory=list)
    errors: dict[str, Exception] = field(default_factory=dict)
    engines: list[Engine] = field(default_factory=list)
    known: dict[str, Served] = field(default_factory=dict)
    head: int = 0

    @property
    def ledger(self) -> Workspace:
        return self

    @property
    def path(self) -> Path:
        return self.folder / "ledger.db"

    def release(self, *versions: Version) -> None:
        self.released = list(versions)
        connection = sqlite3.connect(self.path)
        connection.execute("CREATE TABLE IF NOT EXISTS audit (number INTEGER, hash TEXT)")
        self.head += 1
        connection.execute("INSERT INTO audit VALUES (?, ?)", (self.head, f"hash-{self.head}"))
        connection.commit()
        connection.close()

    def served(self, _environment: str) -> list[Version]:
        if error := self.errors.get("served"):
            raise error
        return self.released

    def endpoint_engine(self) -> Engine:
        if error := self.errors.get("engine"):
            raise error
        return Engine(self.engines)

    def endpoint(self, name: str, _environment: str, *, engine: Engine | None = None) -> Served:
        version = next(item for item in self.released if item.name == name)
        if error := self.errors.get(f"make {version.label}"):
            raise error
        if version.id not in self.known:
            self.known[version.id] = Served(version, engine or self.endpoint_engine(), self.errors)
        return self.known[version.id]

    def retire(self, version_id: str) -> None:
        if found := self.known.pop(version_id, None):
            found.close()

    def open_engines(self) -> int:
        return sum(not engine.closed for engine in self.engines)


A1, A2, A3, B1 = Version("a", 1), Version("a", 2), Version("a", 3), Version("b", 1)
OTHER = ConflictError("package.runtime", "made with another scikit-learn")


@dataclass
class Stage:
    workspace: Workspace
    live: Live
    troubles: Troubles
    told: list[str]

    def labels(self) -> dict[str, str]:
        return {name: item.version.label for name, item in self.live.endpoints.items()}

    def look(self) -> None:
        """What the thread does in one turn, with every pause of a retry over."""
        for retry in self.live._retries.values():
            retry._due_s = 0.0
        with self.troubles.watching("head"):
            self.live._look()
        self.live._prepare()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    workspace, told = Workspace(tmp_path), list[str]()
    troubles = Troubles(SystemClock(), told.append)
    return Stage(workspace, Live(workspace, troubles, told.append), troubles, told)  # type: ignore[arg-type]


def eventually(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    assert holds()


@pytest.mark.parametrize("step", ["make", "warm"])
def test_a_model_that_does_not_load_keeps_no_other_from_being_served(stage: Stage, step: str) -> None:
    stage.workspace.release(A1, B1)
    stage.workspace.errors[f"{step} a@1"] = OTHER
    for _ in range(5):
        stage.look()
    assert stage.labels() == {"b": "b@1"}
    assert [line for line in stage.told if "a@1" in line] == [
        "model a: a@1 does not load: package.runtime made with another scikit-learn"
    ]
    with pytest.raises(UnavailableError, match="could not be loaded"):
        stage.live.endpoint("a")
    with pytest.raises(NotFoundError):
        stage.live.endpoint("c")
    stage.workspace.errors.clear()
    stage.look()
    assert stage.labels() == {"a": "a@1", "b": "b@1"}
    assert stage.troubles.current() == []


@pytest.mark.parametrize("step", ["make", "warm"])
def test_the_old_version_serves_until_the_new_one_loads_and_no_engine_is_lost(stage: Stage, step: str) -> None:
    stage.workspace.release(A1)
    stage.look()
    stage.workspace.errors[f"{step} a@2"] = OTHER
    stage.workspace.release(A2)
    for _ in range(20):
        stage.look()
        assert stage.labels() == {"a": "a@1"}
    assert stage.workspace.open_engines() == 2, "that of a@1, and the spare one"
    assert "a@1 goes on" in stage.troubles.current()[0].error
    stage.workspace.errors.clear()
    stage.look()
    assert stage.labels() == {"a": "a@2"}
    assert stage.workspace.open_engines() == 2
    assert stage.troubles.current() == []


def test_a_rollback_to_what_is_served_ends_the_trouble(stage: Stage) -> None:
    stage.workspace.release(A1)
    stage.look()
    stage.workspace.errors["warm a@2"] = OTHER
    stage.workspace.release(A2)
    stage.look()
    stage.workspace.release(A1)
    stage.look()
    assert stage.labels() == {"a": "a@1"}
    assert stage.troubles.current() == []
    assert stage.live._retries == {}
    stage.workspace.release()
    stage.look()
    assert stage.labels() == {}
    assert stage.workspace.open_engines() == 1


def test_a_retry_waits_its_turn(stage: Stage) -> None:
    stage.workspace.errors["make a@1"] = OTHER
    stage.workspace.release(A1)
    for _ in range(10):
        stage.live._look()
    assert stage.live._retries["a@1"].failures == 1


def test_the_thread_survives_whatever_the_ledger_raises(stage: Stage) -> None:
    stage.workspace.errors["served"] = RuntimeError("database is locked")
    stage.workspace.release(A1)
    stage.live.start()
    try:
        eventually(lambda: "served" in stage.workspace.errors and bool(stage.troubles.current()))
        assert stage.troubles.current()[0].error == "RuntimeError database is locked"
        del stage.workspace.errors["served"]
        eventually(lambda: stage.labels() == {"a": "a@1"})
        eventually(lambda: stage.troubles.current() == [])
    finally:
        stage.live.stop()
    assert stage.workspace.open_engines() == 1, "the spare one is closed, the served one is the workspace's"


def test_the_start_does_not_wait_for_the_spare_engine(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    going, started = threading.Event(), threading.Event()
    monkeypatch.setattr(Engine, "start", lambda self: (started.set(), going.wait(10)))
    stage.workspace.release(A1)
    stage.live.start()
    assert stage.labels() == {"a": "a@1"}
    assert started.wait(10), "it is started in the thread"
    assert stage.live._spare is None
    going.set()
    stage.live.stop()


def test_a_spare_engine_that_does_not_start_is_closed_and_tried_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_engine: Engine) -> None:
        raise UnavailableError("engine.no_start", "no interpreter")

    monkeypatch.setattr(Engine, "start", refuse)
    for _ in range(5):
        stage.live._prepare()
    assert len(stage.workspace.engines) == 1
    assert stage.workspace.open_engines() == 0
    assert [item.part for item in stage.troubles.current()] == ["spare"]


def test_a_request_that_meets_a_closed_version_is_answered_by_its_successor(stage: Stage) -> None:
    stage.workspace.release(A1)
    stage.look()

    def rows(version: ModelVersion) -> list[int]:
        if version.number < 3:  # the head moves between look-up and request
            stage.workspace.release(Version("a", version.number + 1))
            stage.look()
        return [version.number]

    assert stage.live.ask("a", rows, None) == {"model": "a@3", "predictions": [3]}


class Rows:
    """A workspace whose turns do what they are told."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes, self.calls = list(outcomes), 0

    def automate(self, **_: Any) -> Any:
        self.calls += 1
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def test_the_follower_of_rows_survives_any_error_and_says_so(tmp_path: Path) -> None:
    told: list[str] = []
    troubles, stop = Troubles(SystemClock(), told.append), threading.Event()
    rows = Rows(KeyError("column"), KeyError("column"), MemoryError(), Turn())
    thread = threading.Thread(target=_follow, args=(rows, 0.01, 0, stop, troubles, told.append))
    thread.start()
    eventually(lambda: rows.calls > 5)
    stop.set()
    thread.join()
    assert told == ["rows: KeyError 'column'", "rows: MemoryError", "rows: works again"]
    assert troubles.current() == []
