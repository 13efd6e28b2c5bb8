"""The server over real HTTP: predictions, problems, pages, and a head that moves while requests run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import projects
from filiera.errors import UsageError
from filiera.ledger import environments
from filiera.server.app import build_app
from filiera.server.routes import Api, health
from filiera.workspace import Workspace
from projects import filiera


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    root = projects.make(tmp_path_factory.mktemp("server") / "small")
    filiera("apply", project=root)
    filiera("release", "usage", project=root)
    command = [sys.executable, "-m", "filiera", "--project", str(root), "up", "--port", "0", "--every", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert process.stdout is not None
    url = next(line.strip() for line in process.stdout if line.startswith("http://"))
    yield root, url
    process.terminate()
    assert process.wait(timeout=60) == 0, "SIGTERM is an orderly end"
    process.stdout.close()


def ask(url: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], Any]:
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"content-type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            status, found, raw = answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        status, found, raw = error.code, dict(error.headers), error.read()
    return status, found, json.loads(raw) if "json" in found.get("content-type", "") else raw.decode()


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
    ],
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


def test_A01_a_route_without_permission_stops_the_server() -> None:
    with pytest.raises(UsageError, match="has no permission"):
        build_app(None, (Api("/open", "GET", "", health),))  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_console_draws_in_a_real_browser_without_a_blocked_request(
    served: tuple[Path, str], tmp_path: Path
) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("no chromium on this machine")
    picture = tmp_path / "home.png"
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
        f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,900", f"--screenshot={picture}", served[1],
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
