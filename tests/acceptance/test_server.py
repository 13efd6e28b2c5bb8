"""The server over real HTTP: predictions, problems, pages, and a head that moves while requests run."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import projects
from filiera.dimensions.apply import apply_lock
from filiera.errors import UsageError
from filiera.ledger import environments
from filiera.server.app import build_app
from filiera.server.routes import Api, health
from filiera.workspace import Workspace
from projects import filiera

#: Beside the small project's: a model with a boolean input, and one of a table whose rows belong to no device.
MORE = """

@fl.table(partition="day")
def halves(features: pd.DataFrame) -> pd.DataFrame:
    return features.assign(morning=features["hour"] < 12)


@fl.model(
    predicts="load", inputs=["temp_c", "hour", "morning"], trials=2,
    split=fl.backtest(windows=2, train="20d", test="7d"),
)
def early(halves, *, depth=fl.between(3, 9)):
    return DecisionTreeRegressor(max_depth=depth)


@fl.table(partition="day", key=["at"])
def site(features: pd.DataFrame) -> pd.DataFrame:
    return features.groupby("at", as_index=False)[["load", "temp_c", "hour"]].mean()


@fl.model(predicts="load", inputs=["temp_c", "hour"], trials=2, split=fl.backtest(windows=2, train="20d", test="7d"))
def whole(site, *, depth=fl.between(3, 9)):
    return DecisionTreeRegressor(max_depth=depth)
"""
MODELS = ("usage", "early", "whole")


@contextmanager
def up(root: Path, *words: str) -> Iterator[tuple[str, int]]:
    """A running server: its address and process."""
    command = [sys.executable, "-m", "filiera", "--project", str(root), "up", "--port", "0", "--every", "1", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert process.stdout is not None
    yield next(line.strip() for line in process.stdout if line.startswith("http://")), process.pid
    process.terminate()
    assert process.wait(timeout=60) == 0, "SIGTERM is an orderly end"
    process.stdout.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, int]]:
    root = projects.make(tmp_path_factory.mktemp("server") / "small")
    (root / "pipeline.py").write_text(projects.PIPELINE + MORE)
    filiera("apply", project=root)
    for model in MODELS:
        filiera("release", model, project=root)
    with up(root) as (url, pid):
        yield root, url, pid


@pytest.fixture
def served(server: tuple[Path, str, int]) -> tuple[Path, str]:
    return server[:2]


def ask(
    url: str, body: Any = None, headers: dict[str, str] | None = None, method: str | None = None
) -> tuple[int, dict[str, str], Any]:
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {"content-type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data=data, headers=named, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            status, found, raw = answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        status, found, raw = error.code, dict(error.headers), error.read()
    return status, found, json.loads(raw) if raw and "json" in found.get("content-type", "") else raw.decode()


def test_predictions_come_by_records_and_by_devices(served: tuple[Path, str]) -> None:
    url = f"{served[1]}v1/models/usage/predict"
    status, _, by_record = ask(url, {"records": [{"temp_c": 10, "hour": 3}, {"temp_c": None, "hour": 3}]})
    assert status == 200
    assert by_record["model"] == "usage@1"
    assert by_record["unit"] == "kW"
    assert len(by_record["predictions"]) == 2
    _, _, by_device = ask(url, {"devices": ["a", "b"]})
    assert len(by_device["predictions"]) == 2


@pytest.mark.parametrize(
    ("body", "status", "code", "says"),
    [
        ({"records": [{"temp": 1, "hour": 3}]}, 422, "predict.unknown_column", "did you mean temp_c?"),
        ({"records": [{"hour": 3}]}, 422, "predict.missing_column", "temp_c is missing"),
        ({"records": [{"temp_c": "10", "hour": 3}]}, 422, "predict.type", "a number in degC"),
        ({"records": [{"temp_c": 10, "hour": 3}], "units": {"temp_c": "degF"}}, 422, "predict.unit", "degC"),
        ({"records": [3]}, 422, "predict.form", "an object"),
        ({"devices": ["z"]}, 404, "device.unknown", "no row of device z"),
        ({"rows": []}, 422, "predict.form", "by records or by devices"),
        (b"{not json", 400, "http.json", "no JSON"),
        (b'{"records": [{"temp_c": NaN, "hour": 1}]}', 422, "predict.type", "finite"),
        (b'{"records": [{"temp_c": 1e999, "hour": 1}]}', 422, "predict.type", "finite"),
        (b'{"records": [{"temp_c": ' + b"9" * 400 + b', "hour": 1}]}', 422, "predict.type", "finite"),
        ({"records": [{"temp_c": True, "hour": 1}]}, 422, "predict.type", "a number in degC"),
        ({"records": [{"temp_c": {"a": [1]}, "hour": 1}]}, 422, "predict.type", "dict"),
        ({"records": [{"temp_c": 1, "hour": 1}] * 10_001}, 422, "predict.too_many", "at most 10000"),
        ({"devices": ["a"] * 10_001}, 422, "predict.too_many", "at most 10000"),
        ({"devices": ["\ud800"]}, 400, "http.json", "surrogates"),
        (b'{"devices": ["a"], "devices": ["b"]}', 400, "http.json", "comes twice"),
        (b'{"records": [' + b"[" * 40 + b"]" * 40 + b"]}", 400, "http.json", "at most 32 levels"),
        (b"[" * 100_000, 400, "http.json", "nested too deeply"),
        (b" " * ((16 << 20) + 1), 413, "http.too_large", "at most 16 MiB"),
    ],
    ids=range(20),
)
def test_A92_a_request_that_does_not_fit_gets_a_problem_document(
    served: tuple[Path, str], body: Any, status: int, code: str, says: str
) -> None:
    found, headers, answer = ask(f"{served[1]}v1/models/usage/predict", body)
    assert found == status
    assert headers["content-type"] == "application/problem+json"
    assert answer["type"] == f"urn:filiera:{code}"
    assert says in json.dumps(answer)


def test_an_unknown_model_and_an_unknown_address_are_problems(served: tuple[Path, str]) -> None:
    assert ask(f"{served[1]}v1/models/usge")[2]["next"] == "did you mean usage?"
    status, headers, _ = ask(f"{served[1]}nowhere")
    assert status == 404
    assert headers["content-type"] == "application/problem+json"


def test_A70_every_answer_carries_the_security_headers_and_other_hosts_are_refused(served: tuple[Path, str]) -> None:
    for path in ("", "health", "nowhere", "v1/status"):
        headers = ask(served[1] + path)[1]
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["x-content-type-options"] == "nosniff"
    assert ask(f"{served[1]}health", headers={"host": "evil.example"})[0] == 421


def test_booleans_come_from_the_table_and_from_the_caller(served: tuple[Path, str]) -> None:
    url = f"{served[1]}v1/models/early/predict"
    status, _, by_device = ask(url, {"devices": ["a", "b"]})
    assert (status, len(by_device["predictions"])) == (200, 2)
    status, _, by_record = ask(url, {"records": [{"temp_c": 3, "hour": 5, "morning": True}]})
    assert (status, len(by_record["predictions"])) == (200, 1)
    status, _, refused = ask(url, {"records": [{"temp_c": 3, "hour": 5, "morning": 1}]})
    assert (status, refused["expected"], refused["found"]) == (422, "true or false", "1")


def test_a_model_of_rows_without_device_says_that_it_cannot_be_asked_by_device(served: tuple[Path, str]) -> None:
    url = f"{served[1]}v1/models/whole/predict"
    status, _, refused = ask(url, {"devices": ["a"]})
    assert (status, refused["type"], refused["next"]) == (422, "urn:filiera:predict.no_device", "ask by records")
    assert ask(url, {"records": [{"temp_c": 3, "hour": 5}]})[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("HEAD", "health", 200, None),
        ("HEAD", "", 200, None),
        ("OPTIONS", "v1/models", 405, "GET, HEAD"),
        ("DELETE", "v1/models/usage", 405, "GET, HEAD"),
        ("GET", "v1/models/usage/predict", 405, "POST"),
        ("PUT", "v1/models/usage/predict", 405, "POST"),
        ("BREW", "health", 405, "GET, HEAD"),
        ("POST", "static/filiera.css", 405, "GET, HEAD"),
        ("GET", "health/", 404, None),
        ("GET", "v1//models", 404, None),
        ("GET", "static/../../pyproject.toml", 404, None),
        ("GET", "static/%2e%2e/templates/home.html", 404, None),
    ],
)
def test_A01_A04_other_verbs_and_addresses_are_refused(
    served: tuple[Path, str], method: str, path: str, status: int, allow: str | None
) -> None:
    found, headers, body = ask(served[1] + path, method=method)
    assert (found, headers.get("allow")) == (status, allow)
    assert headers["x-content-type-options"] == "nosniff"
    if method == "HEAD":
        assert body == ""
    elif status != 200:
        assert body["status"] == status
        assert headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-encoding": "gzip"}, 415),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"content-type": "application/JSON; charset=utf-8"}, 200),
    ],
)
def test_A73_pages_of_others_and_other_media_are_refused(
    served: tuple[Path, str], headers: dict[str, str], status: int
) -> None:
    body = {"records": [{"temp_c": 1, "hour": 1}]}
    assert ask(f"{served[1]}v1/models/usage/predict", body, headers)[0] == status


def test_a_link_from_elsewhere_may_lead_to_the_console_but_fetch_nothing(served: tuple[Path, str]) -> None:
    assert ask(served[1], headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"})[0] == 200
    assert ask(f"{served[1]}v1/status", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"})[0] == 403


def test_labels_of_metrics_do_not_grow_with_addresses(served: tuple[Path, str]) -> None:
    for number in range(5):
        ask(f"{served[1]}nowhere/{number}")
        ask(f"{served[1]}v1/models/m{number}/predict", {"records": []})
        ask(f"{served[1]}studies/s{number}")
        ask(f"{served[1]}metrics")
    routes = set(re.findall(r'route="([^"]*)"', ask(f"{served[1]}metrics")[2]))
    assert {"other", "/v1/models/{name}/predict", "/studies/{model}", "/metrics"} <= routes
    assert not [route for route in routes if re.search(r"[0-9]$", route)]


def test_a_connection_that_breaks_off_leaves_no_error_behind(served: tuple[Path, str]) -> None:
    host, port = served[1].removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port))) as sock:
        sock.sendall(b"POST /v1/models/usage/predict HTTP/1.1\r\nHost: localhost\r\n"
                     b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{")  # fmt: skip
    time.sleep(0.2)
    assert 'status="503"' not in ask(f"{served[1]}metrics")[2]


def test_F49_eight_callers_get_their_own_answers_while_children_are_killed(server: tuple[Path, str, int]) -> None:
    url = f"{server[1]}v1/models/usage/predict"
    records = [{"temp_c": temp, "hour": hour} for temp in range(0, 30, 3) for hour in range(0, 24, 3)]
    _, _, known = ask(url, {"records": records})

    def one(place: int) -> tuple[int, Any]:
        status, _, answer = ask(url, {"records": [records[place % len(records)]]})
        return status, answer

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(one, place) for place in range(400)]
        for _ in range(4):
            time.sleep(0.4)
            for pid in workers(server[2]):
                os.kill(pid, signal.SIGKILL)
        found = [item.result() for item in asked]
    assert {status for status, _ in found} == {200}
    expected = [known["predictions"][place % len(records)] for place in range(400)]
    assert [answer["predictions"][0] for _, answer in found] == expected


@pytest.mark.slow
def test_F49_a_model_that_hangs_is_ended_while_the_others_answer(server: tuple[Path, str, int]) -> None:
    record = {"temp_c": 1, "hour": 1}
    bodies = {name: {"records": [record | ({"morning": True} if name == "early" else {})]} for name in MODELS}
    for name, body in bodies.items():
        assert ask(f"{server[1]}v1/models/{name}/predict", body)[0] == 200
    os.kill(workers(server[2])[0], signal.SIGSTOP)

    def one(name: str) -> tuple[int, float]:
        began = time.monotonic()
        return ask(f"{server[1]}v1/models/{name}/predict", bodies[name])[0], time.monotonic() - began

    with ThreadPoolExecutor(3) as pool:
        found = sorted(pool.map(one, MODELS))
    assert [status for status, _ in found] == [200, 200, 504]
    assert max(seconds for status, seconds in found if status == 200) < 5
    assert [one(name)[0] for name in MODELS] == [200, 200, 200], "the child is replaced"


def workers(server: int) -> list[int]:
    """The children that answer: grandchildren of the server, below a zygote each."""
    below: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        below.setdefault(parent, []).append(int(path.parent.name))
    return [child for zygote in below.get(server, []) for child in below.get(zygote, [])]


@pytest.mark.slow
def test_ten_thousand_records_take_a_moment(served: tuple[Path, str]) -> None:
    began = time.monotonic()
    records = [{"temp_c": n % 30, "hour": n % 24} for n in range(10_000)]
    status, _, answer = ask(f"{served[1]}v1/models/usage/predict", {"records": records})
    assert (status, len(answer["predictions"])) == (200, 10_000)
    assert time.monotonic() - began < 5


def test_metrics_count_predictions_by_version(served: tuple[Path, str]) -> None:
    ask(f"{served[1]}v1/models/usage/predict", {"records": [{"temp_c": 1, "hour": 1}]})
    assert 'filiera_predictions_total{model="usage@1"}' in ask(f"{served[1]}metrics")[2]


def test_the_console_shows_the_five_phases_and_the_study(served: tuple[Path, str]) -> None:
    page = ask(served[1])[2]
    assert all(f"<h2>{phase}</h2>" in page for phase in ("Collect", "Ingest", "Store", "Train", "Serve"))
    assert "usage@1" in page
    assert "42</b> quarantined" in page
    study = ask(f"{served[1]}studies/usage")[2]
    assert "<svg" in study
    assert "best baseline" in study
    assert "http://" not in study.replace(served[1], "")


def test_new_rows_reach_the_newest_row_of_a_device_by_themselves(served: tuple[Path, str]) -> None:
    root, url = served
    before = ask(f"{url}v1/status")[2]["sources"][0]["rows"]
    (root / "data" / "later.csv").write_text(projects.rows(60, 1))
    end = time.monotonic() + 60
    while time.monotonic() < end:
        prod = next(e for e in ask(f"{url}v1/status")[2]["environments"] if e["name"] == "prod")
        if prod["kind"] == "follow":
            break
        time.sleep(0.5)
    assert prod["kind"] == "follow"
    assert ask(f"{url}v1/status")[2]["sources"][0]["rows"] == before + 47


def test_a_second_up_is_refused(served: tuple[Path, str]) -> None:
    done = filiera("up", "--port", "0", project=served[0], check=False)
    assert done.returncode == 4
    assert "is up already" in done.stderr


def test_the_console_tells_who_is_at_work(served: tuple[Path, str]) -> None:
    with apply_lock(served[0] / ".filiera" / "apply.lock", wait_s=30):
        page = ask(served[1])[2]
    assert f"Process {os.getpid()} works on the project" in page


def test_a_model_that_does_not_load_and_rows_that_do_not_come_are_told_and_the_rest_is_served(
    served: tuple[Path, str], tmp_path: Path
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(served[0], root, ignore=shutil.ignore_patterns("*.lock"))
    with Workspace.open(root) as workspace:
        package = workspace.version("early").package
        head = workspace.head()
        assert package is not None
        assert head is not None
        with workspace.ledger.reading() as connection:
            code = environments.get_bundle(connection, head.bundle)
        assert code is not None
    lost = [root / ".filiera" / "lake" / key[:2] / key for key in (package["object_id"], code.object_id)]
    for path in lost:
        path.rename(path.with_suffix(".away"))
    with up(root) as (url, _):
        assert ask(f"{url}v1/models/usage/predict", {"records": [{"temp_c": 1, "hour": 1}]})[0] == 200
        assert ask(f"{url}v1/models/early/predict", {"records": []})[2]["type"] == "urn:filiera:model.not_loaded"
        parts = until(
            lambda: [item["part"] for item in ask(f"{url}health")[2]["troubles"]], lambda found: len(found) == 2
        )
        assert parts == ["model early", "rows"]
        assert ask(f"{url}health")[2]["status"] == "degraded"
        assert re.search(r'filiera_trouble_since_seconds{part="rows"} [1-9]', ask(f"{url}metrics")[2])
        assert "early@1 does not load" in ask(url)[2]
        for path in lost:
            path.with_suffix(".away").rename(path)
        assert until(lambda: ask(f"{url}health")[2]["status"], lambda found: found == "ok") == "ok"
        assert ask(f"{url}v1/models/early/predict", {"devices": ["a"]})[0] == 200


def until(look: Callable[[], Any], holds: Callable[[Any], bool], most_s: float = 30) -> Any:
    """What is seen when it holds, or at the end."""
    end = time.monotonic() + most_s
    while not holds(found := look()) and time.monotonic() < end:
        time.sleep(0.2)
    return found


def test_A01_a_route_without_permission_stops_the_server() -> None:
    with pytest.raises(UsageError, match="has no permission"):
        build_app(None, (Api("/open", "GET", "", health),))  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("page", ["", "graph", "events", "studies/usage"])
def test_the_console_draws_in_a_real_browser_without_a_blocked_request(
    served: tuple[Path, str], tmp_path: Path, page: str
) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("no chromium on this machine")
    picture = tmp_path / "home.png"
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
        f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,900", f"--screenshot={picture}",
        served[1] + page,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert picture.stat().st_size > 20_000
    assert "Content Security Policy" not in done.stderr


def test_the_server_follows_a_rollback_and_drops_no_request(served: tuple[Path, str]) -> None:
    root, url = served
    with Workspace.open(root) as workspace:
        head = workspace.head()
        assert head is not None
        first = workspace.version("usage").label
        trace_of_model = head.assets["usage"]
        with workspace.ledger.commit(actor="test", action="release", object="prod") as tx:
            assets = {name: trace for name, trace in head.assets.items() if name != "usage"}
            for number, kept in ((1, assets), (2, {**assets, "usage": trace_of_model})):
                moved = replace(head, id=tx.new_id("gen"), number=head.number + number, kind="release", assets=kept)
                environments.advance(tx, moved, head.number + number - 1)
    seen: list[tuple[int, str]] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            status, _, answer = ask(f"{url}v1/models/usage/predict", {"records": [{"temp_c": 1, "hour": 1}]})
            seen.append((status, answer.get("model", "")))

    thread = threading.Thread(target=load)
    thread.start()
    filiera("rollback", project=root)  # to the generation without the model
    time.sleep(1.5)
    stop.set()
    thread.join()
    assert seen[0] == (200, first)
    assert seen[-1][0] == 404, "the server follows the head: nothing is released there"
    assert {status for status, _ in seen} == {200, 404}
