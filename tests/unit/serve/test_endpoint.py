"""An endpoint with a real child: it dies, it hangs, it is asked by many, it is closed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from versions import facts, package, version

from filiera.engine.process import ProcessEngine
from filiera.errors import UnavailableError
from filiera.serve.endpoint import PRELOAD, Endpoint, NoAnswerError, RetiredError


class Broken(ProcessEngine):
    """Cannot start a child for once, when told."""

    fails = False

    def _fork(self, bundle: str | None) -> Any:
        if self.fails:
            self.fails = False
            raise UnavailableError("engine.no_start", "no child")
        return super()._fork(bundle)


def start() -> Endpoint:
    served = version()
    endpoint = Endpoint(served, facts(served), package(), Broken(1, preload=PRELOAD))
    endpoint.warm()
    return endpoint


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    """One for all tests but those that close it: a start takes seconds."""
    started = start()
    yield started
    started.close()


def rows(*degrees: float) -> list[dict[str, Any]]:
    return [{"temp_c": degree, "morning": False, "site": "s"} for degree in degrees]


def child(endpoint: Endpoint) -> int:
    """The process that answers."""
    return endpoint._engine._slots[0].pid


def during_a_request(endpoint: Endpoint, happens: Callable[[int], None]) -> list[float]:
    """Ask a child that stands still, and let something happen to it while the request waits."""
    pid = child(endpoint)
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(endpoint.predict, rows(7))
        time.sleep(0.2)
        happens(pid)
        found: list[float] = asked.result()["predictions"]
    return found


def test_F49_a_child_that_dies_during_a_request_is_replaced_and_the_request_answered(endpoint: Endpoint) -> None:
    before = child(endpoint)
    assert during_a_request(endpoint, lambda pid: os.kill(pid, signal.SIGKILL)) == [7.0]
    assert child(endpoint) != before


def test_F49_a_zygote_that_dies_during_a_request_is_replaced_too(endpoint: Endpoint) -> None:
    zygote = endpoint._engine._zygote
    assert zygote is not None
    assert during_a_request(endpoint, lambda _: zygote.process.kill()) == [7.0]


def test_F49_a_child_that_hangs_is_ended_and_the_next_request_answered(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "_timeout_s", 0.5)
    os.kill(child(endpoint), signal.SIGSTOP)
    with pytest.raises(NoAnswerError) as caught:
        endpoint.predict(rows(7))
    assert caught.value.http_status == 504
    monkeypatch.undo()
    assert endpoint.predict(rows(8))["predictions"] == [8.0]


def test_nobody_waits_for_ever_behind_a_request_that_hangs(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "_timeout_s", 2.0)
    monkeypatch.setattr(endpoint, "_patience_s", 0.3)
    os.kill(child(endpoint), signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(endpoint.predict, rows(7))
        time.sleep(0.1)
        with pytest.raises(UnavailableError, match="is busy"):
            endpoint.predict(rows(8))
        with pytest.raises(NoAnswerError):
            first.result()


def test_many_threads_get_their_own_answers(endpoint: Endpoint) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: endpoint.predict(rows(n % 100))["predictions"], range(400)))
    assert found == [[float(n % 100)] for n in range(400)]


def test_a_request_whose_child_did_not_start_leaves_nothing_for_the_next_one(endpoint: Endpoint) -> None:
    engine = endpoint._engine
    assert isinstance(engine, Broken)
    os.kill(child(endpoint), signal.SIGKILL)
    time.sleep(0.1)
    engine.fails = True
    with pytest.raises(UnavailableError, match="no child"):
        endpoint.predict(rows(7))
    assert endpoint.predict(rows(8))["predictions"] == [8.0]


def test_closing_waits_for_the_request_in_progress_and_starts_no_process_later() -> None:
    endpoint = start()
    pid = child(endpoint)
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(2) as pool:
        asked = pool.submit(endpoint.predict, rows(7))
        time.sleep(0.1)
        closing = pool.submit(endpoint.close)
        time.sleep(0.1)
        os.kill(pid, signal.SIGCONT)
        assert asked.result()["predictions"] == [7.0]
        closing.result()
    endpoint.close()
    with pytest.raises(RetiredError):
        endpoint.predict(rows(7))
    assert endpoint._engine._zygote is None


def test_booleans_and_categories_reach_the_model(endpoint: Endpoint) -> None:
    found = endpoint.predict(
        [{"temp_c": 3, "morning": True, "site": "n"}, {"temp_c": 4, "morning": None, "site": None}]
    )
    assert found["predictions"] == [3.0, 4.0]
    assert found["unit"] == "kW"
