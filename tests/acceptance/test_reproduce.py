"""Reproduce and re-check: what was made comes out again from the ledger alone, and what does not is named."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import projects
from filiera.dimensions import runtimes
from filiera.errors import ConflictError, NotFoundError, UnavailableError, UsageError
from filiera.ledger import environments, traces
from filiera.workspace import Workspace

EXTRA = """

@fl.table(key=["device"])
def totals(usage: fl.Model, features: pd.DataFrame) -> pd.DataFrame:
    rows = features.assign(expected=usage.predict(features)).dropna(subset=["expected"])
    return rows.groupby("device", observed=True)[["load", "expected"]].sum().reset_index()
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a table in parts, a model, and a table that asks the model; the data came in two arrivals."""
    root = projects.make(tmp_path_factory.mktemp("template") / "small")
    (root / "pipeline.py").write_text(projects.PIPELINE + EXTRA)
    with Workspace.open(root) as workspace:
        assert workspace.apply().failure is None
        (root / "data" / "later.csv").write_text(projects.rows(42, 10))
        assert workspace.apply().failure is None
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "small"))


def edit_ledger(root: Path, table: str, change: str, *values: Any) -> None:
    """As somebody could who has the file: past its triggers."""
    with sqlite3.connect(root / ".filiera" / "ledger.db") as connection:
        connection.execute(f"DROP TRIGGER {table}_no_update")
        connection.execute(f"UPDATE {table} SET {change}", values)


def counts(root: Path) -> dict[str, int]:
    with sqlite3.connect(root / ".filiera" / "ledger.db") as connection:
        return {
            name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
            for name in ("snapshot", "trace", "model_version", "generation", "batch_file", "study", "trial", "manifest",
                         "bundle", "canon", "spend", "exposure")
        }  # fmt: skip


def test_every_result_comes_out_again_and_nothing_new_is_kept(project: Path) -> None:
    (project / "pipeline.py").unlink()  # the ledger has the code
    shutil.rmtree(project / "data")
    before, lake = counts(project), sorted((project / ".filiera" / "lake").rglob("*"))
    with Workspace.open(project) as workspace:
        for label, note in (
            ("usage", "package digest and predictions"), ("usage@1", "package digest and predictions"),
            ("features", "semantic digest"), ("features@1", "semantic digest"), ("totals", "semantic digest"),
        ):  # fmt: skip
            answer = workspace.reproduce(label)
            assert (answer["outcome"], answer["note"]) == ("equal", note), label
            assert answer["found"] == answer["recorded"]
        entries = [e for e in workspace.audit_entries(200) if e["action"] == "trace.reproduce"]
    after = counts(project)
    assert after["spend"] == before["spend"] + 5
    assert len(entries) == 5
    assert {name for name in before if before[name] != after[name]} == {"spend", "exposure"}
    assert sorted((project / ".filiera" / "lake").rglob("*")) == lake
    assert list((project / ".filiera" / "reproduce").iterdir()) == []


def test_a_result_that_does_not_come_out_is_named_with_column_and_day(project: Path) -> None:
    """The ledger says that other code made the table: the skip was wrong."""
    with Workspace.open(project) as workspace:
        head = workspace.head("dev")
        assert head is not None
        with workspace.ledger.reading() as connection:
            trace = traces.get(connection, head.assets["features"])
    assert trace is not None
    text = (project / "pipeline.py").read_text()
    (project / "pipeline.py").write_text(text.replace('readings["at"].dt.hour.', 'readings["at"].dt.hour.clip(1).'))
    with Workspace.open(project) as workspace:
        workspace.apply(trials=1)
        other = workspace.head("dev")
        assert other is not None
        with workspace.ledger.reading() as connection:
            made = traces.get(connection, other.assets["features"])
    assert made is not None
    assert made.id != trace.id
    edit_ledger(project, "trace", "bundle = ? WHERE id = ?", made.bundle, trace.id)
    done = projects.filiera("reproduce", f"features@{2}", project=project, check=False)
    assert done.returncode == 5
    assert "column hour on 52 days, first on 2024-01-01" in done.stderr
    assert "code: pipeline.features changed" in done.stderr
    checked = projects.filiera("recheck", "--all", "--json", project=project, check=False)
    assert checked.returncode == 5
    answer = json.loads(checked.stdout)
    assert [item["trace"] for item in answer["differences"]] == [trace.id]
    assert answer["equal"] == answer["sampled"] - 1


def test_a_model_that_does_not_come_out_is_named_by_the_members_of_its_package(project: Path) -> None:
    with sqlite3.connect(project / ".filiera" / "ledger.db") as connection:
        body = json.loads(connection.execute("SELECT body FROM model_version WHERE number = 1").fetchone()[0])
    body["settings"]["depth"] = 2 if body["settings"]["depth"] != 2 else 3
    edit_ledger(project, "model_version", "body = ? WHERE number = 1", json.dumps(body))
    done = projects.filiera("reproduce", "usage@1", project=project, check=False)
    assert done.returncode == 5
    assert "package member" in done.stderr
    assert "schema.json" in done.stderr
    assert "predictions, by" in done.stderr


def test_a_training_with_a_tolerance_is_compared_by_its_score(project: Path) -> None:
    """Trees that stop splitting at a bound drawn by the process, so that no two fits are the same."""
    text = (project / "pipeline.py").read_text()
    text = text.replace("import filiera as fl\n", "import os\n\nimport filiera as fl\n", 1)
    text = text.replace("trials=3,", "trials=1, tolerance=0.5,")
    text = text.replace(
        "return DecisionTreeRegressor(max_depth=depth)",
        "return DecisionTreeRegressor(max_depth=depth, "
        "min_impurity_decrease=int.from_bytes(os.urandom(4), 'big') / 2**36)",
    )
    (project / "pipeline.py").write_text(text)
    with Workspace.open(project) as workspace:
        assert workspace.apply().failure is None
        answer = workspace.reproduce("usage")
    assert answer["outcome"] == "close"
    assert "within the declared tolerance of 50.00%" in answer["note"]
    assert answer["found"] != answer["recorded"]


def test_parts_that_were_kept_may_differ_by_rounding_and_no_more(project: Path) -> None:
    """A column that depends a little on how many rows its part had: a late row changes that of the days that stay."""
    text = (project / "pipeline.py").read_text()
    edited = 'readings.assign(load2=readings["load"] * (1 + 1e-12 * len(readings)), hour='
    (project / "pipeline.py").write_text(text.replace("readings.assign(hour=", edited))
    with Workspace.open(project) as workspace:
        assert workspace.apply(trials=1).failure is None
        (project / "data" / "late.csv").write_text("device,at,load,temp_c\nc,2024-01-11T05:30:00Z,20,5\n")
        assert workspace.apply(trials=1).failure is None
        answer = workspace.reproduce("features")
    assert answer["outcome"] == "close"
    assert "rounding" in answer["note"]
    assert answer["found"] != answer["recorded"]


def test_settings_of_one_run_are_those_that_it_is_made_again_with(project: Path) -> None:
    text = (project / "pipeline.py").read_text()
    text = text.replace(
        "def features(readings: pd.DataFrame)", "def features(readings: pd.DataFrame, *, shift: int = 0)"
    )
    (project / "pipeline.py").write_text(text.replace('readings["at"].dt.hour.', 'readings["at"].dt.hour.add(shift).'))
    projects.filiera("apply", "--set", "features.shift=3", "--set", "usage.depth=4", project=project)
    with Workspace.open(project) as workspace:
        assert workspace.models("usage")[0].settings == {"depth": 4}
        assert workspace.query("features", limit=1).column("hour").to_pylist() == [3.0]
        assert [workspace.reproduce(label)["outcome"] for label in ("features", "usage")] == ["equal", "equal"]


def test_a_tolerance_re_runs_nothing(project: Path) -> None:
    text = (project / "pipeline.py").read_text()
    (project / "pipeline.py").write_text(text.replace("trials=3,", "trials=3, tolerance=0.01,"))
    with Workspace.open(project) as workspace:
        assert {step.action.value for step in workspace.plan().steps} == {"reuse"}


def test_another_library_version_is_said_first_and_refused(project: Path) -> None:
    with Workspace.open(project) as workspace:
        head = workspace.head("dev")
        assert head is not None
        with workspace.ledger.reading() as connection:
            trace = traces.get(connection, head.assets["usage"])
    assert trace is not None
    with sqlite3.connect(project / ".filiera" / "ledger.db") as connection:
        query = "SELECT body FROM manifest WHERE digest = ?"
        body = json.loads(connection.execute(query, (trace.manifest_digest,)).fetchone()[0])
    body["code"]["libraries"]["sklearn"] = "1.0.0"
    edit_ledger(project, "manifest", "body = ? WHERE digest = ?", json.dumps(body), trace.manifest_digest)
    done = projects.filiera("reproduce", "usage", project=project, check=False)
    assert done.returncode == 4
    assert "sklearn 1.0.0 -> " in done.stderr
    assert "--fresh" in done.stderr
    assert projects.filiera("reproduce", "usage", "--anyway", project=project).returncode == 0
    answer = json.loads(projects.filiera("recheck", "--all", "--json", project=project).stdout)
    both = answer["not_checked"]  # the version before was made with the same libraries
    assert trace.id in {item["trace"] for item in both}
    assert {item["what"] for item in both} == {"usage"}
    assert "sklearn 1.0.0 -> " in answer["not_checked"][0]["why"]


def test_a_column_that_was_declared_personal_since_is_said(project: Path) -> None:
    text = (project / "filiera.toml").read_text()
    (project / "filiera.toml").write_text(
        text.replace('temp_c = { unit = "degC",', 'temp_c = { class = "personal", unit = "degC",')
    )
    with Workspace.open(project) as workspace, pytest.raises(ConflictError, match="masked: temp_c"):
        workspace.reproduce("features@1")


def test_recheck_draws_the_same_again_with_a_seed_and_never_nothing(project: Path) -> None:
    first, again, everything = (
        json.loads(projects.filiera("recheck", *words, "--json", project=project).stdout)
        for words in (("--seed", "7"), ("--seed", "7"), ("--all",))
    )
    assert first["sampled"] == first["equal"] == 1
    assert (first["seed"], first["population"]) == (again["seed"], again["population"])
    assert everything["sampled"] == everything["population"] == everything["equal"] == 6
    assert everything["differences"] == everything["not_checked"] == []
    for wrong in ("0", "101%", "some"):
        assert projects.filiera("recheck", "--sample", wrong, project=project, check=False).returncode == 2


def test_what_cannot_be_named_is_told_with_the_nearest_name(project: Path) -> None:
    with Workspace.open(project) as workspace:
        for label in ("usage@9", "feature", "features@99"):
            with pytest.raises(NotFoundError):
                workspace.reproduce(label)
        with pytest.raises(UsageError, match="source"):
            workspace.reproduce("readings")


def test_gc_frees_what_no_environment_reaches_and_apply_computes_it_again(project: Path) -> None:
    keep = '\n[keep]\ngenerations = 1\nage = "0d"\ntrash = "30d"\n'
    (project / "filiera.toml").write_text((project / "filiera.toml").read_text() + keep)
    text = (project / "pipeline.py").read_text()
    with Workspace.open(project) as workspace:
        released = workspace.release("usage")["version"]
    (project / "pipeline.py").write_text(text.replace('dt.hour.astype("float64")', 'dt.dayofweek.astype("float64")'))
    projects.filiera("apply", project=project)
    told = json.loads(projects.filiera("gc", "--dry-run", "--json", project=project).stdout)
    assert {(i["asset"], i["reason"]) for i in told["frees"]} >= {("totals", "no environment reaches it")}
    assert any(i["reason"] == "stands in prod" and i["asset"] == "usage" for i in told["keeps"])
    freed = json.loads(projects.filiera("gc", "--json", project=project).stdout)
    assert freed["frees"] == told["frees"]
    with Workspace.open(project) as workspace:
        assert workspace.reproduce(released)["outcome"] == "equal", "a released model stays reproducible"
        with pytest.raises(NotFoundError, match="gc --restore"):
            workspace.query("totals", at=1)
        assert workspace.query("features", at=1).num_rows > 0, "the next snapshot is made of the same objects and more"
        with pytest.raises(NotFoundError, match="freed"):
            workspace.hold("totals@1", "too late")
        with pytest.raises(NotFoundError, match="freed"):
            workspace.reproduce("totals@1")
        checked = workspace.recheck(share=1.0, seed=0)
        assert checked["different"] == 0
        assert checked["equal"] + len(checked["not_checked"]) == checked["sampled"]
    (project / "pipeline.py").write_text(text)  # back: what stands in prod is reused, what was freed is computed again
    with Workspace.open(project) as workspace:
        report = workspace.apply()
        assert report.failure is None
        assert workspace.query("totals").num_rows == 2
    restored = projects.filiera("gc", "--restore", project=project).stdout
    assert restored.startswith("put back ")
    with Workspace.open(project) as workspace:
        assert workspace.query("totals", at=1).num_rows == 2
        assert workspace.verify_audit().ok


def test_the_code_of_a_release_is_kept_although_only_a_comment_is_new(project: Path) -> None:
    (project / "pipeline.py").write_text((project / "pipeline.py").read_text() + "# a comment\n")
    with Workspace.open(project) as workspace:
        workspace.release("usage")
        head = workspace.head()
        assert head is not None
        with workspace.ledger.reading() as connection:
            assert environments.get_bundle(connection, head.bundle) is not None
        assert workspace.follow() is not None


def test_a_hold_keeps_a_snapshot_until_it_is_released(project: Path) -> None:
    keep = '\n[keep]\ngenerations = 1\nage = "0d"\n'
    (project / "filiera.toml").write_text((project / "filiera.toml").read_text() + keep)
    projects.filiera("hold", "totals@1", "--reason", "a paper cites it", project=project)
    assert "a paper cites it" in projects.filiera("hold", project=project).stdout
    projects.filiera("gc", project=project)
    with Workspace.open(project) as workspace:
        assert workspace.query("totals", at=1).num_rows == 2
    assert projects.filiera("hold", "totals@1", project=project, check=False).returncode == 2, "no reason"
    assert projects.filiera("hold", "features", "--reason", "x", project=project, check=False).returncode == 2
    projects.filiera("hold", "totals@1", "--release", project=project)
    assert projects.filiera("hold", "totals@1", "--release", project=project, check=False).returncode == 8
    projects.filiera("gc", project=project)
    with Workspace.open(project) as workspace, pytest.raises(NotFoundError):
        workspace.query("totals", at=1)


def test_an_interpreter_that_cannot_be_made_is_told_and_leaves_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    for name in ("PIP_NO_INDEX", "UV_NO_INDEX", "UV_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("UV_CACHE_DIR", str(project / "cache"))
    for name in ("PIP_FIND_LINKS", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    with Workspace.open(project) as workspace:
        with pytest.raises(UnavailableError, match="could not be installed"):
            workspace.reproduce("usage", fresh=True)
        assert not list((project / ".filiera" / "runtimes").glob("*/ready"))


@pytest.mark.slow
def test_a_fresh_interpreter_with_the_recorded_libraries_gives_the_same_bits(project: Path) -> None:
    """Needs the package registry."""
    with Workspace.open(project) as workspace:
        try:
            answers = [workspace.reproduce(label, fresh=True) for label in ("usage", "features")]
        except UnavailableError as error:
            if error.code != "runtime.not_built":
                raise
            pytest.skip(f"the package registry is not reachable: {error.found}")
        assert [answer["outcome"] for answer in answers] == ["equal", "equal"]
        folder = Path(answers[0]["python"]).parents[1]
        with workspace.ledger.reading() as connection:
            head = environments.head(connection, "dev")
            assert head is not None
            trace = traces.get(connection, head.assets["usage"])
            assert trace is not None
            manifest = traces.get_manifest(connection, trace.manifest_digest)
            recorded = traces.get_manifest(connection, str(trace.runtime_digest))
    wanted = runtimes.wanted_runtime(manifest, recorded)
    assert wanted.slice.items() <= recorded["distributions"].items()
    installed = {
        path.name.split("-")[0].lower().replace("_", "-") for path in folder.glob("lib/*/site-packages/*.dist-info")
    }
    assert installed >= set(wanted.slice) - {"prometheus-client"}
    assert "pytest" in recorded["distributions"]
    assert "pytest" not in installed, "only what is reached"
