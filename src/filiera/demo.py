"""The demo: a wind farm from raw files to a served model, in three arrivals of real data.

Nothing is scripted but the arrivals: what the study finds and what the gate decides are figures of this run.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from filiera.core.plan_text import plan_text
from filiera.core.progress import Progress
from filiera.errors import ConflictError, GateError, UnavailableError
from filiera.project import make_project
from filiera.workspace import Workspace

MARK = ".filiera-demo"  #: the demo replaces only folders that it made itself
ARRIVALS = (("March to August 2014", "2014-03", "2014-08"), ("September and October 2014", "2014-09", "2014-10"),
            ("November 2014 to January 2015", "2014-11", "2015-12"))  # fmt: skip
SERVER_START_S = 60
FOLLOW_S = 5.0

Say = Callable[[str], None]


@dataclass(slots=True)
class Story:
    """The demo while it is told."""

    root: Path
    workspace: Workspace
    say: Say
    progress: Progress
    rows: list[tuple[str, str, str]] = field(default_factory=list)  #: arrival, what happened, money


def play(folder: Path, say: Say, progress: Progress) -> None:
    """Make the project in `folder` and play all arrivals.

    Raises:
        ConflictError: the folder is there and was not made by the demo.
    """
    began = time.monotonic()
    _fresh_folder(folder)
    root = folder / "wind"
    say("filiera demo: two turbines of the La Haute Borne wind farm (ENGIE, 2014-03 to 2015-01, Open Licence 2.0)\n")
    say("$ filiera init wind --example wind --owner energy-team --purpose power-forecast")
    make_project(root, name="wind", owner="energy-team", purposes=["power-forecast"], example="wind")
    records = _take_records(root)
    workspace, _ = Workspace.create(root)
    (folder / MARK).write_text(str(workspace.key_path), encoding="utf-8")
    with workspace:
        story = Story(root, workspace, say, progress)
        _first(story, records)
        with _server(root, say) as url:
            _ask(story, url)
            _unchanged(story)
            _later(story, 1, records)
            _later(story, 2, records)
            time.sleep(FOLLOW_S)
            _ask(story, url)
        _end(story, time.monotonic() - began)


def _fresh_folder(folder: Path) -> None:
    mark = folder / MARK
    if folder.exists() and not mark.exists():
        raise ConflictError("demo.folder", f"{folder} is there and is not of the demo", next="name another folder")
    if mark.exists():
        Path(mark.read_text(encoding="utf-8")).unlink(missing_ok=True)  # the key of the demo before
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def _take_records(root: Path) -> list[str]:
    """The shipped lines; the example's own file leaves, since the data arrives in parts."""
    for path in (root / "data" / "scada").glob("*.csv.gz"):
        path.unlink()
    source = files("filiera.examples") / "wind" / "data" / "sample_2_turbines_2014_03_to_2015_01.csv.gz"
    with source.open("rb") as raw, gzip.open(raw, "rt", encoding="utf-8") as text:
        return text.read().splitlines()


def _arrive(story: Story, number: int, records: list[str]) -> None:
    name, low, high = ARRIVALS[number]
    header, *lines = records
    kept = [line for line in lines if low <= line.split(",", 2)[1][:7] <= high]
    path = story.root / "data" / "scada" / f"{low}.csv"
    fresh = path.with_suffix(".part")
    fresh.write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")
    fresh.rename(path)
    story.say(f"\n== {number + 1}. {name}: {path.relative_to(story.root)}, {len(kept):,} records ==")


def _plan(story: Story) -> None:
    story.say("$ filiera plan")
    story.say(plan_text(story.workspace.plan()))


def _apply(story: Story) -> str:
    story.say("$ filiera apply")
    report = story.workspace.apply(progress=story.progress)
    if report.failure:
        raise report.failure
    story.say(f"  {report.seconds:.1f} s, {report.cost}")
    return str(report.cost)


def _first(story: Story, records: list[str]) -> None:
    _arrive(story, 0, records)
    _plan(story)
    cost = _apply(story)
    story.say("$ filiera quarantine")
    for item in story.workspace.quarantine(examples=1):
        story.say(f"  {item['path']}: " + ", ".join(f"{count} {reason}" for reason, count in item["reasons"].items()))
        for row in item["examples"]:
            story.say(
                f"    line {row['line']}, {' '.join(filter(None, (row['reason'], row['column'])))}: {row['raw'][:70]}"
            )
    _tell_study(story)
    _release(story, 0, cost)


def _tell_study(story: Story) -> None:
    study = story.workspace.study("power")
    unit = study["unit"]
    best = min(trial["score"] for trial in study["trials"] if trial["score"] is not None)
    baseline = study["baselines"][0]
    story.say("$ filiera study power")
    story.say(
        f"  {len(study['trials'])} trials, best {best:.2f} {unit} "
        f"(baseline {baseline['name']} {baseline['score']:.2f} {unit})"
    )
    story.say(f"  stopped: {study['stop']}")
    story.say(f"  {study['frontier']['text']}")


def _release(story: Story, number: int, cost: str) -> None:
    story.say("$ filiera release power")
    name = ARRIVALS[number][0]
    try:
        done = story.workspace.release("power")
    except GateError as error:
        for check in error.checks:
            story.say(f"  {'pass' if check.passed else 'FAIL'}  {check.name}: {check.evidence}")
        kept = ", ".join(version.label for version in story.workspace.served())
        story.say(f"  the gate keeps {kept}")
        story.rows.append((name, f"kept {kept}", cost))
        return
    for item in done["checks"]:
        story.say(f"  pass  {item['name']}: {item['evidence']}")
    story.say(f"  {done['version']} runs in prod, generation {done['generation']}")
    story.rows.append((name, f"released {done['version']}", cost))


def _unchanged(story: Story) -> None:
    """A second plan, a comment, a changed line."""
    _plan(story)
    path = story.root / "pipeline.py"
    text = path.read_text(encoding="utf-8")
    story.say("\n# a comment is added to pipeline.py")
    path.write_text(f"# the mean of an hour smooths gusts\n{text}", encoding="utf-8")
    _plan(story)
    story.say("\n# a line is changed: the mean of the last two hours instead of one")
    path.write_text(text.replace('.rolling("1h")', '.rolling("2h")'), encoding="utf-8")
    _plan(story)
    story.say("\n# and changed back")
    path.write_text(text, encoding="utf-8")
    _plan(story)


def _later(story: Story, number: int, records: list[str]) -> None:
    _arrive(story, number, records)
    _plan(story)
    cost = _apply(story)
    _release(story, number, cost)


@contextmanager
def _server(root: Path, say: Say) -> Iterator[str]:
    """`filiera up` as a process of its own, ended with the demo."""
    say("$ filiera up")
    command = [sys.executable, "-m", "filiera", "--project", str(root), "up", "--port", "0", "--no-collect"]
    environment = dict(os.environ) | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        yield _address(process, say)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _address(process: subprocess.Popen[str], say: Say) -> str:
    assert process.stdout is not None
    end = time.monotonic() + SERVER_START_S
    while time.monotonic() < end:
        line = process.stdout.readline().strip()
        if line:
            say(f"  {line}")
        if line.startswith("http://"):
            return line
        if not line and process.poll() is not None:
            break
    raise UnavailableError(
        "demo.server", "the server did not start", next="run `filiera up` by hand and read what it says"
    )


def _ask(story: Story, url: str) -> None:
    body = {"devices": ["R80711", "R80721"]}
    story.say(f"$ curl {url}v1/models/power/predict -H 'content-type: application/json' -d '{json.dumps(body)}'")
    request = urllib.request.Request(  # noqa: S310 - a loopback address that was just printed
        f"{url}v1/models/power/predict", data=json.dumps(body).encode(), headers={"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        answer: dict[str, Any] = json.load(response)
    values = ", ".join(
        f"{device} {value:.0f} {answer['unit']}"
        for device, value in zip(body["devices"], answer["predictions"], strict=True)
    )
    story.say(f"  {answer['model']}: {values}\n")


def _end(story: Story, seconds: float) -> None:
    report = story.workspace.verify_audit()
    losses = story.workspace.query("losses").num_rows
    story.say("\nwhat happened")
    for name, outcome, cost in story.rows:
        story.say(f"  {name:32} {outcome:24} {cost:>12}")
    story.say(f"  {losses} turbine days lost more than a tenth of the expected energy (filiera query losses)")
    story.say(f"  spent {story.workspace.spend()} in {seconds:.0f} s, waiting included; audit log: {report.message}")
    story.say(f"\nopen the console:  {_program()} --project {_shown(story.root)} up   then http://127.0.0.1:8765/")


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _program() -> str:
    """The command as it was called, so that it can be called again."""
    return _shown(Path(sys.argv[0]).absolute()) if os.sep in sys.argv[0] else sys.argv[0]
