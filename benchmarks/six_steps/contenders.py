"""The same six steps in every tool: how its project is set up, run and changed. A tool that is absent is left out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import record

HERE = Path(__file__).resolve().parent
INPUTS = {
    "load": ("raw.parquet",), "clean": ("load",), "features": ("clean",), "train": ("features",),
    "evaluate": ("train", "features"), "package": ("train", "evaluate"),
}  # fmt: skip
FILES = {name: f"out/{name}.{'zip' if name == 'package' else 'npy'}" for name in INPUTS}
COLD, NOTHING, PARAMETER, CODE, REWRITTEN, ROWS = "cold", "nothing", "parameter", "code", "rewritten", "rows"
#: Where a tool that cannot tell must be told to begin.
FROM = {NOTHING: "end", PARAMETER: "train", CODE: "features", REWRITTEN: "load", ROWS: "load"}
FILIERA = str(Path(sys.executable).with_name("filiera"))
SOURCE = """
[source.raw]
from = "raw.parquet"
file_format = "parquet"
files = "replace"
key = ["row"]

[source.raw.columns]
row = { type = "integer" }
"""


@dataclass(frozen=True, slots=True)
class Contender:
    """One tool."""

    module: str  #: that its interpreter must have; "" = none is needed
    make: Callable[[Path, str], None]  #: set the project up, given the interpreter
    command: Callable[[str, str], list[str]]  #: by interpreter and change
    knows: bool = True  #: it finds out by itself what to do again


def prepare(folder: Path, raw: Path) -> None:
    """What every project has: the steps, the file, the parameter."""
    folder.mkdir()
    (folder / "out").mkdir()
    shutil.copytree(HERE / "steps", folder / "steps", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(raw, folder / "raw.parquet")
    set_parameter(folder, 1.0)


def set_parameter(folder: Path, ridge: float) -> None:
    """Change the one parameter, wherever the tool keeps it."""
    (folder / "ridge.txt").write_text(f"{ridge}\n")
    for path in (folder / "params.yaml", folder / "conf/base/parameters.yml"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"ridge: {ridge}\n")
    _edit(folder / "pipeline.py", r"ridge=[0-9.]+", f"ridge={ridge}")


def set_code(folder: Path, scale: float) -> None:
    """Change a number in the body of one step."""
    for path in (folder / "steps/features.py", folder / "pipeline.py"):
        _edit(path, r"scale = [0-9.]+", f"scale = {scale}")


def _edit(path: Path, pattern: str, text: str) -> None:
    if path.exists():
        path.write_text(re.sub(pattern, text, path.read_text()))


def environment(folder: Path) -> dict[str, str]:
    """Nothing of the person's; no tool calls home; one thread for each process."""
    own = {name: str(folder) for name in ("HOME", "METAFLOW_DATASTORE_SYSROOT_LOCAL", "METAFLOW_HOME", "PYTHONPATH")}
    fixed = {
        "DAGSTER_HOME": str(folder / "dagster"), "DVC_SITE_CACHE_DIR": str(folder / "site"), "DVC_NO_ANALYTICS": "1",
        "DO_NOT_TRACK": "1", "KEDRO_DISABLE_TELEMETRY": "1", "HAMILTON_TELEMETRY_ENABLED": "false", "USERNAME": "bench",
        "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "XDG_CONFIG_HOME": str(folder / "config"),
    }  # fmt: skip
    return {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ} | own | fixed


def _wire(name: str, file: str = "pipe.py") -> Callable[[Path, str], None]:
    def make(folder: Path, _: str) -> None:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "wired" / f"{name}.py", folder / file)

    return make


def _make_make(folder: Path, python: str) -> None:
    rules = ["all: out/package.zip"]
    for name in INPUTS:
        ridge = " ridge.txt" if name == "train" else ""
        needs = [*_files(name), f"steps/{name}.py", "steps/files.py", "steps/maths.py"]
        words = [*_files(name), "out", *(["$$(cat ridge.txt)"] if ridge else [])]
        rules += [f"{FILES[name]}: {' '.join(needs)}{ridge}", f"\t{python} -m steps.{name} {' '.join(words)}"]
    (folder / "Makefile").write_text("\n".join(rules) + "\n")


def _make_dvc(folder: Path, python: str) -> None:
    lines = ["stages:"]
    for name in INPUTS:
        words = [*_files(name), "out", *(["${ridge}"] if name == "train" else [])]
        needs = [*_files(name), f"steps/{name}.py", "steps/files.py", "steps/maths.py"]
        lines += [f"  {name}:", f"    cmd: {python} -m steps.{name} {' '.join(words)}"]
        lines += ["    deps:", *(f"    - {need}" for need in needs), "    outs:", f"    - {FILES[name]}"]
        lines += ["    params:", "    - ridge"] if name == "train" else []
    (folder / "dvc.yaml").write_text("\n".join(lines) + "\n")
    dvc = str(Path(python).with_name("dvc"))
    for words in (["init", "--no-scm", "-q"], ["config", "core.analytics", "false"]):
        run([dvc, *words], folder)


def _make_kedro(folder: Path, python: str) -> None:
    version = run([python, "-c", "import kedro; print(kedro.__version__)"], folder).strip()
    package = folder / "src" / "six"
    package.mkdir(parents=True)
    for name in ("__init__.py", "settings.py"):
        (package / name).write_text("")
    _wire("kedro", "src/six/pipeline_registry.py")(folder, python)
    stated = f'[tool.kedro]\npackage_name = "six"\nproject_name = "six"\nkedro_init_version = "{version}"\n'
    (folder / "pyproject.toml").write_text(stated)
    (folder / "conf/local").mkdir()
    kept = [f"r_{name}:\n  type: text.TextDataset\n  filepath: out/{name}.reference\n" for name in INPUTS]
    (folder / "conf/base/catalog.yml").write_text("".join(kept))


def _make_dagster(folder: Path, python: str) -> None:
    (folder / "dagster").mkdir()
    (folder / "dagster/dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    _wire("dagster")(folder, python)


def _make_filiera(folder: Path, python: str) -> None:
    run([FILIERA, "init", ".", "--owner", "bench", "--purpose", "bench"], folder)
    _wire("filiera", "pipeline.py")(folder, python)
    columns = "".join(f"c{number} = {{}}\n" for number in range(50))
    with (folder / "filiera.toml").open("a") as file:
        file.write(SOURCE + columns)


def _files(name: str) -> list[str]:
    return [FILES.get(each, each) for each in INPUTS[name]]


def _metaflow(python: str, change: str) -> list[str]:
    return [python, "pipe.py", "--quiet", *(["run"] if change == COLD else ["resume", FROM[change]])]


def _kedro(python: str, change: str) -> list[str]:
    told = ["--from-nodes", FROM.get(change, "")] if change not in (COLD, NOTHING) else []
    return [python, "-m", "kedro", "run", *told, *(["--only-missing-outputs"] if change == NOTHING else [])]


def _pipe(python: str, _: str) -> list[str]:
    return [python, "pipe.py"]


def _filiera(_: str, change: str) -> list[str]:  # noqa: ARG001  the same command whatever changed
    return [FILIERA, "apply", "--json"]


CONTENDERS = {
    "direct": Contender("pyarrow", _wire("direct"), _pipe, knows=False),
    "make": Contender("pyarrow", _make_make, lambda *_: ["make", "-s"]),
    "filiera": Contender("filiera", _make_filiera, _filiera),
    "dvc": Contender("dvc", _make_dvc, lambda python, _: [str(Path(python).with_name("dvc")), "repro", "-q"]),
    "hamilton": Contender("hamilton", _wire("hamilton"), _pipe),
    "kedro": Contender("kedro", _make_kedro, _kedro, knows=False),
    "metaflow": Contender("metaflow", _wire("metaflow"), _metaflow, knows=False),
    "dagster": Contender("dagster", _make_dagster, _pipe),
}


def interpreters() -> dict[str, str]:
    """The interpreter of every contender that is here; ours for those that need no tool."""
    found = {}
    for name, contender in CONTENDERS.items():
        ours = name in ("direct", "make", "filiera")
        python = sys.executable if ours else record.peer_python(contender.module, name)
        if python and (name != "make" or shutil.which("make")):
            found[name] = python
    return found


def run(words: list[str], folder: Path) -> str:
    """Run a command in a contender's project; its output.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(words, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} gave {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout
