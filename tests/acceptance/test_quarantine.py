"""What leaves quarantine, what stays, and that the counts of a source add up after every step."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filiera.workspace import Workspace

TOML = """
[project]
name = "small"
owner = "tests"
purposes = ["testing"]

[source.m]
from = "data/*"
{options}

[source.m.columns]
dev = {{ type = "text" }}
at  = {{ type = "time" }}
{columns}
"""
KEY = 'key = ["dev", "at"]\ntime = "at"\n'
AT = "2024-01-01T00:00:00Z"


class Project:
    """A project with one source, driven like a person would."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "data").mkdir(parents=True)
        (root / "pipeline.py").write_text("import filiera as fl\n")

    def settings(self, columns: str, options: str = "", key: str = KEY) -> None:
        (self.root / "filiera.toml").write_text(TOML.format(options=key + options, columns=columns))
        if not (self.root / ".filiera").exists():
            Workspace.create(self.root)[0].close()

    def write(self, name: str, content: str | bytes) -> None:
        data = content.encode() if isinstance(content, str) else content
        (self.root / "data" / name).write_bytes(data)

    def apply(self) -> list[dict[str, object]]:
        with Workspace.open(self.root) as workspace:
            workspace.apply()
            return self._rows(workspace)

    def release(self) -> list[dict[str, object]]:
        with Workspace.open(self.root) as workspace:
            done = workspace.quarantine_release("m")
            self.problems = [error.code for _, error in done.problems]
            assert done.released == done.accepted + done.quarantined + done.duplicates
            return self._rows(workspace)

    def _rows(self, workspace: Workspace) -> list[dict[str, object]]:
        (counts,) = workspace.status()["sources"]
        assert counts["rows_read"] == counts["accepted"] + counts["quarantined"] + counts["duplicates"]
        self.counts = counts
        assert workspace.verify_audit().ok
        if workspace.lake.latest("m") is None:
            return []
        rows = workspace.query("m").to_pylist()
        return [{name: value for name, value in row.items() if name not in ("dev", "at")} for row in rows]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "p")


def test_records_keep_the_header_of_their_own_file(project: Project) -> None:
    project.settings("a = { range = [0, 10] }\nb = { range = [0, 10] }")
    project.write("v.csv", f"dev,at,a,b\nA,{AT},50,3\n")
    assert project.apply() == []
    project.write("w.csv", "dev,at,b,a\nB,2024-01-02T00:00:00Z,1,2\n")
    project.apply()
    project.settings("a = { range = [0, 100] }\nb = { range = [0, 10] }")
    assert project.release() == [{"a": 50.0, "b": 3.0}, {"a": 2.0, "b": 1.0}]


def test_all_bytes_of_a_record_come_back_however_long_or_foreign(project: Project) -> None:
    project.settings('a = { range = [0, 10] }\nt = { type = "text" }')
    project.write("v.csv", f"dev,at,a,t\nA,{AT},50,{'x' * 6000}\n".encode())
    project.write("w.csv", f"dev,at,a,t\nB,{AT},5,caf".encode() + b"\xe9\n")
    assert project.apply() == []
    assert project.counts["reasons"] == {"range": 1, "encoding": 1}
    project.settings('a = { range = [0, 100] }\nt = { type = "text" }', 'encoding = "cp1252"')
    assert [len(str(row["t"])) for row in project.release()] == [6000, 4]
    assert project.counts["quarantined"] == 0


def test_two_broken_records_never_become_one(project: Project) -> None:
    project.settings('t = { type = "text" }')
    project.write("v.csv", f'dev,at,t\nA,{AT},"x\nB,{AT},ok,2\nC",r\n')
    project.apply()
    before = project.counts
    project.release()
    assert project.counts["rows_read"] == before["rows_read"]
    assert project.counts["quarantined"] == before["quarantined"] > 0


def test_a_whole_file_under_a_wrong_range_comes_back(project: Project) -> None:
    project.settings('a = { range = [0, 1] }\nt = { type = "text" }')
    rows = "".join(f"D{n},{AT},5,{'y' * 60}\n" for n in range(250_000))
    project.write("v.csv", f"dev,at,a,t\n{rows}")
    assert project.apply() == []
    project.settings('a = { range = [0, 10] }\nt = { type = "text" }')
    assert len(project.release()) == 250_000


def test_records_of_a_file_that_grew_are_each_released_once(project: Project) -> None:
    project.settings("a = { range = [0, 10] }")
    project.write("v.csv", f"dev,at,a\nA,{AT},50\n")
    project.apply()
    project.write("v.csv", f"dev,at,a\nA,{AT},50\nB,{AT},60\n")
    project.apply()
    project.settings("a = { range = [0, 100] }")
    assert project.release() == [{"a": 50.0}, {"a": 60.0}]


def test_a_replaced_file_takes_its_quarantine_out_of_reach(project: Project) -> None:
    project.settings("a = { range = [0, 10] }", 'files = "replace"')
    project.write("v.csv", f"dev,at,a\nA,{AT},50\n")
    project.apply()
    project.write("v.csv", f"dev,at,a\nA,{AT},7\n")
    assert project.apply() == [{"a": 7.0}]
    project.settings("a = { range = [0, 100] }", 'files = "replace"')
    assert project.release() == [{"a": 7.0}]
    assert project.problems == ["quarantine.file_changed"]


def test_a_file_that_replaces_and_grew_keeps_all_its_rows(project: Project) -> None:
    project.settings("a = {}", 'files = "replace"')
    project.write("v.csv", f"dev,at,a\nA,{AT},1\nB,{AT},2\n")
    project.apply()
    project.write("v.csv", f"dev,at,a\nA,{AT},1\nB,{AT},2\nC,{AT},3\n")
    assert project.apply() == [{"a": 1.0}, {"a": 2.0}, {"a": 3.0}]


def test_a_file_that_is_gone_stops_no_other(project: Project) -> None:
    project.settings("a = { range = [0, 10] }")
    project.write("v.csv", f"dev,at,a\nA,{AT},50\n")
    project.write("w.csv", f"dev,at,a\nB,{AT},60\n")
    project.apply()
    (project.root / "data" / "v.csv").unlink()
    project.settings("a = { range = [0, 100] }")
    assert project.release() == [{"a": 60.0}]
    assert project.counts["quarantined"] == 1


def test_a_superseded_record_never_comes_back(project: Project) -> None:
    project.settings("a = {}", 'on_conflict = "newest"')
    project.write("v.csv", f"dev,at,a\nA,{AT},1\nA,{AT},2\n")
    assert project.apply() == [{"a": 2.0}]
    assert project.release() == [{"a": 2.0}]
    assert project.counts["reasons"] == {"superseded": 1}


def test_a_released_record_does_not_replace_what_stands(project: Project) -> None:
    project.settings("a = { range = [0, 10] }", 'on_conflict = "newest"')
    project.write("v.csv", f"dev,at,a\nA,{AT},50\n")
    project.apply()
    project.write("w.csv", f"dev,at,a\nA,{AT},7\n")
    project.apply()
    project.settings("a = { range = [0, 100] }", 'on_conflict = "newest"')
    assert project.release() == [{"a": 7.0}]
    assert project.counts["reasons"] == {"conflict": 1}


def test_parquet_records_are_released_too_and_a_damaged_file_gives_none(project: Project) -> None:
    project.settings("a = { range = [0, 10] }")
    table = pa.table({"dev": ["A", "B"], "at": [AT, AT], "a": [5.0, 50.0]})
    pq.write_table(table, project.root / "data" / "v.parquet")
    project.settings("a = { range = [0, 10] }", 'file_format = "parquet"')
    assert project.apply() == [{"a": 5.0}]
    project.settings("a = { range = [0, 100] }", 'file_format = "parquet"')
    assert project.release() == [{"a": 5.0}, {"a": 50.0}]


def test_a_key_without_the_time_is_one_key_in_all_files(project: Project) -> None:
    project.settings("a = {}", key='key = ["dev"]\ntime = "at"\n')
    project.write("v.csv", "dev,at,a\nA,2024-01-01T00:00:00Z,1\n")
    project.write("w.csv", "dev,at,a\nA,2024-03-01T00:00:00Z,2\n")
    assert project.apply() == [{"a": 1.0}]
    assert project.counts["reasons"] == {"conflict": 1}


def test_an_absurd_time_is_quarantined(project: Project) -> None:
    project.settings("a = {}")
    project.write("v.csv", f"dev,at,a\nA,-0400-01-01T00:00:00,1\nB,{AT},2\nC,9000-01-01T00:00:00Z,2\n")
    assert project.apply() == [{"a": 2.0}]
    assert project.counts["reasons"] == {"time": 2}


def test_another_type_of_a_column_is_refused_and_what_stands_can_be_read(project: Project) -> None:
    project.settings('a = { type = "category" }')
    project.write("v.csv", f"dev,at,a\nA,{AT},on\n")
    project.apply()
    project.settings("a = {}")
    project.write("w.csv", f"dev,at,a\nB,{AT},1\n")
    assert project.apply() == [{"a": "on"}]
    assert "data/w.csv" in str(project.counts["refused"])


def test_a_file_that_cannot_be_read_stops_no_other(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.settings("a = {}")
    project.write("v.csv", f"dev,at,a\nA,{AT},1\n")
    project.write("w.csv", f"dev,at,a\nB,{AT},2\n")
    from filiera.collect import file as files

    real = files._is_busy

    def forbidden(path: Path, *rest: int) -> bool:
        if path.name == "v.csv":
            raise PermissionError(13, "Permission denied")
        return real(path, *rest)

    monkeypatch.setattr(files, "_is_busy", forbidden)
    assert project.apply() == [{"a": 2.0}]
    with Workspace.open(project.root) as workspace:
        assert workspace.plan().warnings == ("m: data/v.csv is unreadable; it is read the next time",)
