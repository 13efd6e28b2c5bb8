"""What a process tells of its reads where nothing holds it back; each case looks on in a process of its own."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from filiera.engine.reads import ABSENT, CHANGING, listing, united

WATCH = """
import json, os, sys
from filiera.engine.reads import Reads
bundle, home, library = sys.argv[1:4]
sys.path.insert(0, bundle)
os.chdir(bundle)
reads = Reads(bundle, [home], [library])
reads.watch()
{code}
print(json.dumps(reads.found()))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A project with its unpacked bundle and a library inside, as a virtual environment is."""
    for name in ("weights.json", ".filiera/bundle/plugin.py", ".filiera/bundle/a.csv", "venv/lib.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f'"{name}"')
    return tmp_path


def reads(home: Path, code: str) -> dict[str, str]:
    bundle, library = home / ".filiera" / "bundle", home / "venv"
    command = [sys.executable, "-B", "-c", WATCH.format(code=code), str(bundle), str(home), str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "code",
    [
        'open("a.csv").read()',
        'open(b"a.csv", "r+")',
        'os.close(os.open("a.csv", os.O_RDONLY))',
        'import pathlib; pathlib.Path("a.csv").read_bytes()',
        'open(os.path.join(bundle, "..", "bundle", "a.csv"))',
        'import threading; t = threading.Thread(target=open, args=["a.csv"]); t.start(); t.join()',
    ],
)
def test_every_way_to_open_a_file_of_the_bundle_is_told(home: Path, code: str) -> None:
    assert reads(home, code) == {"a.csv": digest(home / ".filiera" / "bundle" / "a.csv")}


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ('os.listdir("sub")', "sub/"),
        ('list(os.scandir("sub"))', "sub/"),
        ('import pathlib; list(pathlib.Path("sub").glob("*.py"))', "sub/"),
        ('import pkgutil; list(pkgutil.iter_modules(["sub"]))', "sub/"),
        ("os.listdir()", "./"),
    ],
)
def test_a_folder_that_is_listed_is_told_by_the_names_in_it(home: Path, code: str, name: str) -> None:
    folder = home / ".filiera" / "bundle" / "sub"
    folder.mkdir()
    (folder / "one.py").write_text("")
    assert reads(home, code) == {name: listing(["one.py"] if name == "sub/" else ["a.csv", "plugin.py", "sub"])}


def test_a_database_is_told_though_python_does_not_open_it(home: Path) -> None:
    path = home / ".filiera" / "bundle" / "a.csv"
    assert reads(home, 'import sqlite3; sqlite3.connect(bundle + "/a.csv").close()') == {"a.csv": digest(path)}


def test_looking_for_modules_and_versions_is_no_listing(home: Path) -> None:
    code = "import importlib.metadata as m, plugin; list(m.distributions(path=[bundle])); m.version('numpy')"
    assert set(reads(home, code)) == {"plugin.py"}


def test_an_imported_module_is_told_as_its_file(home: Path) -> None:
    assert reads(home, "import plugin") == {"plugin.py": digest(home / ".filiera" / "bundle" / "plugin.py")}


def test_a_file_of_the_project_is_told_by_its_full_path(home: Path) -> None:
    weights = home / "weights.json"
    assert reads(home, 'open(home + "/weights.json")') == {str(weights): digest(weights)}


def test_libraries_other_folders_and_files_that_are_written_are_not_told(home: Path) -> None:
    code = 'open(library + "/lib.txt"); open("/etc/hostname", "rb"); open(home + "/new", "w"); open(home + "/new", "a")'
    assert reads(home, code) == {}


def test_a_file_that_is_not_there_is_told_for_the_bundle(home: Path) -> None:
    code = """
for path in ("b.csv", home + "/b.csv"):
    try:
        open(path)
    except FileNotFoundError:
        pass
"""
    assert reads(home, code) == {"b.csv": ABSENT}


def test_a_file_that_changes_after_it_was_read_is_told_as_changing(home: Path) -> None:
    code = 'open(home + "/weights.json").read(); open(home + "/weights.json", "w").write("2.25"); reads.found()'
    assert reads(home, code) == {str(home / "weights.json"): CHANGING}


def test_reads_of_several_tasks_are_one_and_a_difference_is_a_change() -> None:
    assert united([{"a": "1", "b": "2"}, {"b": "3", "c": "4"}]) == {"a": "1", "b": CHANGING, "c": "4"}
