"""Releases: what the gate lets through, what it keeps, and that nothing moves prod but a release or new rows."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

import projects
from filiera import workspace as workspaces
from filiera.errors import ConflictError, GateError, NotFoundError
from filiera.workspace import Workspace

LATER = 30  #: days of rows that come after the first release
SCORES = """
@fl.table(partition="day")
def expected(usage: fl.Model, features: pd.DataFrame) -> pd.DataFrame:
    return features[["device", "at", "load"]].assign(said=usage.predict(features))
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a released model and, after it, 30 more days that are not applied yet."""
    root = projects.make(tmp_path_factory.mktemp("template") / "small")
    (root / "pipeline.py").write_text(projects.PIPELINE.replace("windows=2", "windows=4") + SCORES)
    with Workspace.open(root) as wind:
        assert wind.apply().failure is None
        wind.release("usage")
    (root / "data" / "later.csv").write_text(projects.rows(42, LATER))
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "small"))


def edit(root: Path, old: str, new: str) -> None:
    text = (root / "pipeline.py").read_text()
    assert text.count(old) == 1
    (root / "pipeline.py").write_text(text.replace(old, new))


def refusal(wind: Workspace, label: str = "usage") -> dict[str, str]:
    with pytest.raises(GateError) as caught:
        wind.release(label)
    return {check.name: check.evidence for check in caught.value.checks if not check.passed}


def test_a_better_model_is_promoted_and_a_rollback_goes_back(project: Path) -> None:
    edit(project, "fl.between(3, 9)", "fl.between(8, 12)")
    edit(project, "max_depth=depth)", "max_depth=depth, min_samples_leaf=2)")
    with Workspace.open(project) as wind:
        wind.apply()
        checks = {check["name"]: check for check in wind.release("usage")["checks"]}
        assert "promoted: gain +" in checks["beats champion usage@1"]["evidence"]
        assert [version.label for version in wind.served()] == ["usage@2"]
        assert wind.rollback()["models"] == ["usage@1"]
        with pytest.raises(ConflictError, match="no earlier release"):
            wind.rollback()
        assert wind.verify_audit().ok


def test_a_worse_model_is_kept_out_with_evidence_and_nothing_moves(project: Path) -> None:
    edit(project, "max_depth=depth)", "max_depth=1)")
    with Workspace.open(project) as wind:
        wind.apply()
        before = wind.head()
        failed = refusal(wind)
        assert "kept: gain -" in failed["beats champion usage@1"]
        after = wind.head()
        assert before is not None
        assert after is not None
        assert [v.label for v in wind.served()] == ["usage@1"]
        assert after.kind == "follow", "only new rows moved prod"


def test_the_champion_is_judged_on_the_inputs_that_it_would_get_in_service(project: Path) -> None:
    """A feature in another unit must not make the champion, which never saw it, look bad."""
    edit(project, '.astype("float64")', '.astype("float64") * 100')
    with Workspace.open(project) as wind:
        wind.apply()
        assert "kept: gain" in refusal(wind)["beats champion usage@1"]


def test_an_input_that_is_gone_does_not_end_the_comparison(project: Path) -> None:
    edit(project, 'inputs=["temp_c", "hour"]', 'inputs=["hour"]')
    with Workspace.open(project) as wind:
        wind.apply()
        assert "kept: gain -" in refusal(wind)["beats champion usage@1"]


def test_another_target_under_the_same_name_cannot_be_compared(project: Path) -> None:
    edit(project, "readings.assign(", 'readings.assign(load=readings["load"] * 2, ')
    with Workspace.open(project) as wind:
        wind.apply()
        assert "not judged: column load has other values" in refusal(wind)["beats champion usage@1"]


def test_definitions_that_changed_since_the_training_are_not_fresh(project: Path) -> None:
    with Workspace.open(project) as wind:
        wind.apply()
        edit(project, "dt.hour.astype", "dt.dayofweek.astype")
        assert "pipeline.features changed" in refusal(wind)["fresh inputs"]


def test_many_rows_that_came_since_the_training_are_not_fresh(project: Path) -> None:
    with Workspace.open(project) as wind:
        assert "of 3,384 rows" in refusal(wind, "usage@1")["fresh inputs"]


@pytest.mark.parametrize(("name", "error"), [("prod", GateError), ("nosuch", NotFoundError)])
def test_A26_apply_moves_no_gated_and_no_unknown_environment(project: Path, name: str, error: type[Exception]) -> None:
    with Workspace.open(project) as wind:
        before = wind.head()
        with pytest.raises(error):
            wind.apply(name)
        assert wind.head() == before
        assert wind.head(name) == (before if name == "prod" else None)


def test_a_table_of_prod_asks_the_released_model_and_not_the_newest(project: Path) -> None:
    edit(project, "max_depth=depth)", "max_depth=1)")
    with Workspace.open(project) as wind:
        wind.apply()
        refusal(wind)
        rows = wind.read("expected", since="2024-03-01", environment="prod")
        table = wind.read("features", since="2024-03-01", environment="prod")
        records = table[["temp_c", "hour"]].astype(object).where(table[["temp_c", "hour"]].notna(), None)
        served = wind.predict("usage", records=records.to_dict("records"))["predictions"]
        assert np.allclose(rows["said"], served)


def test_a_release_that_comes_while_follow_works_stands(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(project, "fl.between(3, 9)", "fl.between(8, 12)")
    with Workspace.open(project) as wind:
        wind.apply()
        wind.release("usage")
        wind.rollback()
    (project / "data" / "more.csv").write_text(projects.rows(42 + LATER, 1))
    began, go_on = threading.Event(), threading.Event()
    from filiera.dimensions import apply as applying

    real = applying.compute_table

    def slow(*arguments: object) -> object:
        began.set()
        assert go_on.wait(60)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(applying, "compute_table", slow)
    monkeypatch.setattr(workspaces.Workspace, "_lock", lambda *_, **__: threading.Lock())  # as if on another machine
    with Workspace.open(project) as one, Workspace.open(project) as other:
        follower = threading.Thread(target=one.follow)
        follower.start()
        assert began.wait(60)
        with other.ledger.commit(actor="test", action="release", object="prod") as tx:
            from dataclasses import replace

            from filiera.ledger import environments

            head = other.head()
            assert head is not None
            past = environments.history(tx.connection, "prod")
            released = next(generation for generation in past if generation.kind == "release")
            moved = replace(released, id=tx.new_id("gen"), number=head.number + 1)
            environments.advance(tx, moved, head.number)
        go_on.set()
        follower.join()
        assert [version.label for version in other.served()] == ["usage@2"]
