"""The command line, driven as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import projects
from filiera.workspace import Workspace
from projects import filiera


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = projects.make(tmp_path_factory.mktemp("cli") / "small")
    filiera("apply", project=root)
    return root


def test_a_second_plan_has_nothing_to_do(project: Path) -> None:
    done = filiera("plan", "--check", project=project)
    assert done.stdout.startswith("nothing to do")


def test_counts_of_the_status_add_up(project: Path) -> None:
    (source,) = json.loads(filiera("status", "--json", project=project).stdout)["sources"]
    assert source["rows_read"] == source["accepted"] + source["quarantined"] + source["duplicates"] == 2016
    assert source["reasons"] == {"range": 42}
    assert source["nulled"] == {"temp_c": 42}


def test_quarantine_shows_reason_line_and_original_text(project: Path) -> None:
    out = filiera("quarantine", "readings", project=project).stdout
    assert "range load: a,2024-01-01T05:00:00Z,500.0," in out
    assert "line 12" in out


def test_query_reads_an_old_snapshot_and_filters(project: Path) -> None:
    rows = filiera("query", "readings", "--at", "1", "--where", "device = b", "--limit", "2", "--json", project=project)
    found = [json.loads(line) for line in rows.stdout.splitlines()]
    assert [row["device"] for row in found] == ["b", "b"]


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("plam",), 2, "did you mean plan?"),
        (("query", "reading"), 8, "did you mean readings?"),
        (("query", "readings", "--columns", "laod"), 8, "did you mean load?"),
        (("query", "readings", "--where", "load ~ 3"), 2, "OP is one of"),
        (("query", "readings", "--where", "load > warm"), 2, "no value of column load"),
        (("query", "readings", "--purpose", "fun"), 3, "testing"),
        (("query", "readings", "--at", "99"), 8, "no such snapshot"),
        (("release", "usag"), 8, "no model version"),
        (("predict", "usage", "--device", "a"), 8, "runs no model usage"),
        (("rollback",), 4, "no earlier release"),
        (("audit", "verify", "--checkpoint", "1:sha256:00"), 5, "differs from the checkpoint"),
        (("export", "readings", "out.xlsx"), 2, "csv, parquet or arrow"),
        (("export", "readings", "/etc/passwd/x.csv"), 2, "is no folder"),
        (("query", "readings", "--at", "²"), 2, "is no time"),
        (("query", "readings", "--columns", "a,a"), 8, "did you mean at?"),
        (("query", "readings", "--where", "device = 'A' and load > 1"), 2, "repeat --where"),
        (("query", "readings", "--where", "at > 2024-01-01 10:00"), 2, "in quotes"),
        (("query", "readings", "--where", "Load > 1"), 8, "did you mean load?"),
        (("plan", "--environment", "../x"), 2, "names no environment"),
        (("key", "restore"), 2, "no share was given"),
        (("adopt", "nowhere.csv"), 8, "is not there"),
        (("adopt", "/etc"), 8, "is a folder"),
        (("adopt", "/etc/passwd", "--source", "A b"), 2, "cannot name a source"),
        (("adopt", "/etc/passwd", "--from", "data/**.csv"), 2, "**/*.csv"),
        (("adopt", "/etc/passwd", "--source", "readings"), 4, "filiera.toml:"),
    ],
)
def test_a_wrong_request_gets_a_sentence_and_its_status(
    project: Path, words: tuple[str, ...], status: int, says: str
) -> None:
    done = filiera(*words, project=project, check=False)
    assert done.returncode == status
    assert says in done.stderr


def test_the_audit_log_verifies_and_its_head_is_a_checkpoint(project: Path) -> None:
    out = filiera("audit", "verify", project=project).stdout
    checkpoint = out.split("checkpoint ")[1].strip()
    filiera("query", "readings", "--limit", "1", project=project)
    assert "unbroken" in filiera("audit", "verify", "--checkpoint", checkpoint, project=project).stdout


def test_a_release_passes_its_gate_and_a_rollback_undoes_it(project: Path) -> None:
    out = filiera("release", "usage", project=project).stdout
    assert "pass  beats baseline" in out
    assert "usage@1 runs in prod" in out
    answer = json.loads(filiera("predict", "usage", "--record", '{"temp_c": 10, "hour": 3}', project=project).stdout)
    assert answer["model"] == "usage@1"
    refused = filiera("release", "usage", project=project, check=False)
    assert refused.returncode == 7
    assert "usage@1 is what runs" in refused.stdout


def test_a_record_that_does_not_fit_the_model_is_refused(project: Path) -> None:
    done = filiera("predict", "usage", "--record", '{"temp": 10, "hour": 3}', project=project, check=False)
    assert done.returncode == 7
    assert "did you mean temp_c?" in done.stderr


def test_export_writes_what_query_reads(project: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    filiera("export", "readings", str(path), "--where", "load > 60", project=project)
    assert path.read_text().splitlines()[0].replace('"', "") == "device,at,load,temp_c"


def test_quoted_values_may_hold_commas_and_a_column_may_be_asked_for_twice(project: Path) -> None:
    words = ("query", "readings", "--columns", "load,load", "--where", "device in ('x,y', b)", "--limit", "1", "--json")
    (row,) = filiera(*words, project=project).stdout.splitlines()
    assert list(json.loads(row)) == ["load"]


def test_an_error_that_nobody_foresaw_is_one_line_and_a_private_file(project: Path, tmp_path: Path) -> None:
    code = (
        "import sys, filiera.workspace as w\n"
        "def open(*_, **__): raise KeyError('what\\never')\n"
        "w.Workspace.open = open\n"
        "from filiera.cli import main\n"
        "main()\n"
    )
    for root, folder in ((project, project / ".filiera"), (tmp_path, tmp_path)):
        (tmp_path / "filiera.toml").touch()
        words = [sys.executable, "-c", code, f"--project={root}", "status"]
        environ = dict(os.environ) | {"TMPDIR": str(tmp_path)}
        done = subprocess.run(words, capture_output=True, text=True, env=environ)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "nobody foresaw" in done.stderr
        assert "found: KeyError: 'what" in done.stderr
        (log,) = folder.glob("error-*.log")
        assert str(log) in done.stderr
        assert "Traceback" in log.read_text()
        assert log.stat().st_mode & 0o777 == 0o600
        log.unlink()


def test_doctor_runs_without_a_project_and_in_one_that_cannot_be_opened(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "filiera", "doctor"]
    alone = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert (alone.returncode, "filiera init DIR" in alone.stdout) == (0, True)
    root = tmp_path / "farm"
    filiera("init", str(root), "--owner", "me", "--purpose", "testing", project=tmp_path)
    key = next(path for path in keys_folder().iterdir() if filiera_id(root) in path.name)
    key.chmod(0o644)
    (root / ".filiera").chmod(0o755)
    (root / "filiera.toml").write_bytes(b'[project]\nowner = "J\xf6rg"\n')
    done = filiera("doctor", project=root, check=False)
    assert done.returncode == 1
    for advice in (f"chmod 600 {key}", f"chmod 700 {root / '.filiera'}", "filiera.toml:2", "audit log"):
        assert advice in done.stdout


def test_init_completes_a_folder_that_has_settings_and_refuses_a_whole_project(tmp_path: Path) -> None:
    root = tmp_path / "cloned"
    root.mkdir()
    (root / "filiera.toml").write_text(projects.SETTINGS)
    done = filiera("init", str(root), project=tmp_path)
    assert "filiera.toml was there and is kept as it is" in done.stdout
    assert filiera("plan", project=root, check=False).returncode == 0
    again = filiera("init", str(root), project=tmp_path, check=False)
    assert (again.returncode, "holds a project already" in again.stderr) == (4, True)


def test_init_refuses_a_currency_that_is_none_and_may_be_repeated(tmp_path: Path) -> None:
    words = ("init", str(tmp_path / "new"), "--owner", "me", "--purpose", "testing")
    done = filiera(*words, "--currency", "euro", project=tmp_path, check=False)
    assert (done.returncode, "such as --currency EUR" in done.stderr) == (2, True)
    assert "project new" in filiera(*words, "--currency", "CHF", project=tmp_path).stdout


def test_a_currency_that_was_changed_later_is_refused(tmp_path: Path) -> None:
    root = projects.make(tmp_path / "small", days=2, files=1)
    text = projects.SETTINGS.replace('owner = "tests"', 'owner = "tests"\ncurrency = "USD"')
    (root / "filiera.toml").write_text(text)
    done = filiera("status", project=root, check=False)
    assert done.returncode == 2
    assert "fixed when it is made" in done.stderr


def test_doctor_finds_nothing_wrong(project: Path) -> None:
    found = json.loads(filiera("doctor", "--json", project=project).stdout)
    assert {item["name"] for item in found} >= {"ledger", "key file", "state folder", "disk", "sandbox"}


def test_init_refuses_a_project_without_owner_and_purpose(tmp_path: Path) -> None:
    done = filiera("init", str(tmp_path / "new"), project=tmp_path, check=False)
    assert done.returncode == 2
    assert "--owner" in done.stderr
    assert not (tmp_path / "new" / "filiera.toml").exists()


def test_adopt_writes_a_contract_that_a_plan_can_use(tmp_path: Path) -> None:
    root = tmp_path / "office"
    filiera("init", str(root), "--owner", "me", "--purpose", "testing", project=tmp_path)
    lines = ["Gerät;Zeit;Leistung"] + [
        f"p{n % 3};{1 + n // 24 % 28:02}.03.2024 {n % 24:02}:00;{n},5" for n in range(600)
    ]
    (root / "data" / "werk.csv").write_bytes("\n".join(lines).encode("cp1252"))
    out = filiera("adopt", str(root / "data" / "werk.csv"), "--source", "plant", project=root).stdout
    assert "[source.plant] is in filiera.toml: 3 columns" in out
    filiera("apply", project=root)
    (source,) = json.loads(filiera("status", "--json", project=root).stdout)["sources"]
    assert source["accepted"] == 600


def test_a_lost_key_file_comes_back_from_two_shares_and_from_no_others(tmp_path: Path) -> None:
    def shares(root: Path) -> list[str]:
        out = filiera("init", str(root), "--owner", "me", "--purpose", "testing", project=tmp_path).stdout
        return [line.strip() for line in out.splitlines() if line.startswith("  A")]

    root, others = tmp_path / "mine", shares(tmp_path / "other")
    first, _, third = shares(root)
    (root / "filiera.toml").write_text(projects.SETTINGS)
    (root / "data" / "a.csv").write_text(projects.rows(0, 1))
    filiera("apply", project=root)
    key = next(path for path in keys_folder().iterdir() if filiera_id(root) in path.name)
    key.unlink()
    lost = filiera("query", "readings", project=root, check=False)
    assert lost.returncode == 8
    assert "filiera key restore" in lost.stderr
    wrong = filiera("key", "restore", project=root, check=False, stdin=f"{others[0]}\n{others[1]}\n")
    assert wrong.returncode == 5
    filiera("key", "restore", project=root, stdin=f"{third}\n{first}\n")
    assert "a" in filiera("query", "readings", project=root).stdout
    again = filiera("key", "restore", project=root, check=False, stdin=f"{third}\n{first}\n")
    assert again.returncode == 4


def keys_folder() -> Path:
    return Path(os.environ["XDG_CONFIG_HOME"]) / "filiera" / "keys"


def filiera_id(root: Path) -> str:
    with Workspace.open(root) as workspace:
        return workspace.ledger.project
