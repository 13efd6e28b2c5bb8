"""Runtimes: whether this interpreter is the recorded one, and a fresh one with exactly the recorded libraries."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filiera.code.bundle import code_files
from filiera.digest import digest_json
from filiera.dimensions.context import Context
from filiera.engine.task import Task
from filiera.errors import ConflictError, NotFoundError, UnavailableError
from filiera.train.study import run_one

#: What writes a package, whether the pipeline names it or not.
PACKAGERS = ("numpy", "scikit-learn", "skops")
_OWN = "filiera authoring"
INSTALL_TIMEOUT_S = 1800


def refuse_other_runtime(
    context: Context, manifest: Mapping[str, Any], recorded: Mapping[str, Any], *, anyway: bool
) -> None:
    """Compare the interpreter that would run with the recorded one, by what the closure reaches.

    Raises:
        ConflictError: they differ; names every library, and says how to go on.
    """
    task = Task(id="runtime", function="filiera.runner.describe:runtime", arguments={}, timeout_s=300)
    texts = differences(manifest, recorded, run_one(context.engine, task, "the interpreter").value)
    if texts and not anyway:
        raise ConflictError(
            "reproduce.runtime",
            "this interpreter is not the one that the result was made with",
            found="; ".join(texts),
            next="--fresh makes one with exactly the recorded libraries; --anyway compares all the same",
        )


def differences(manifest: Mapping[str, Any], recorded: Mapping[str, Any], present: Mapping[str, Any]) -> list[str]:
    """How two runtimes differ for one closure, one text a difference: `pandas 2.2.3 -> 2.3.0`."""
    then: dict[str, Any] = dict(manifest["interpreter"])
    now: dict[str, Any] = {name: present.get(name) for name in then}
    for top, version in manifest["code"]["libraries"].items():
        if top != _OWN:
            then[top], now[top] = version, present["libraries"].get(top, "unknown")
    if "predicts" in manifest["settings"]:
        for name in PACKAGERS:
            then[name] = recorded.get("distributions", {}).get(name)
            now[name] = present["distributions"].get(name)
    return [f"{name} {then[name]} -> {now[name]}" for name in sorted(then) if then[name] != now[name]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A runtime to make."""

    python: str  #: minor version, such as "3.11"
    slice: Mapping[str, str]  #: distribution -> version: what the closure reaches, and what filiera itself needs
    all: Mapping[str, str]  #: every recorded distribution; what a requirement brings along comes in these versions

    @property
    def digest(self) -> str:
        """Identity; with filiera's own code, which is copied into it."""
        own = [hashlib.sha256(path.read_bytes()).hexdigest() for path in code_files(_package())]
        body = {"python": self.python, "slice": dict(self.slice), "all": dict(self.all), "filiera": own}
        return digest_json("runtime", 1, body)


def wanted_runtime(manifest: Mapping[str, Any], recorded: Mapping[str, Any]) -> Wanted:
    """What has to be installed for a closure.

    Raises:
        NotFoundError: the record does not say, or a library did not come from a registry.
        ConflictError: it was made on another platform.
    """
    here = f"{platform.system()} {platform.machine()}"
    if recorded["platform"] != here:
        raise ConflictError(
            "runtime.platform", "it was made on another platform", expected=recorded["platform"], found=here
        )
    versions, providers = recorded.get("distributions", {}), recorded.get("providers", {})
    names = {}
    for top, version in manifest["code"]["libraries"].items():
        if top == _OWN:
            continue
        name = providers.get(top)
        if name is None or versions[name] != version:
            raise NotFoundError(
                "runtime.unlocked",
                f"{top} cannot be installed again: it did not come from a package registry",
                found=str(version),
                next="--anyway compares with this interpreter",
            )
        names[name] = versions[name]
    return Wanted(
        recorded["python"], names | _own_needs(versions), {n: v for n, v in versions.items() if n != "filiera"}
    )


def _own_needs(versions: Mapping[str, str]) -> dict[str, str]:
    """What filiera itself requires, in the recorded versions."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    texts = [Requirement(text) for text in importlib.metadata.requires("filiera") or ()]
    extras = ("", "sql")  # without the latter a pipeline with tables in SQL cannot be described
    needed = [r for r in texts if r.marker is None or any(r.marker.evaluate({"extra": extra}) for extra in extras)]
    return {name: versions[name] for r in needed if (name := canonicalize_name(r.name)) in versions}


def fresh_context(context: Context, wanted: Wanted) -> Context:
    """The project with a fresh interpreter, made where there is none yet; the caller closes it.

    Raises:
        UnavailableError: no such Python, or a library could not be installed.
    """
    folder = context.settings.state / "runtimes" / wanted.digest[-32:]
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        _build(folder, wanted)
        (folder / "ready").touch()
    project = replace(context.settings.project, python=str(folder / "bin" / "python"))
    return replace(context, settings=replace(context.settings, project=project), _engine=None)


def _build(folder: Path, wanted: Wanted) -> None:
    uv, python = shutil.which("uv"), _python(wanted.python)
    new = [uv, "venv", "--quiet", "--python", python] if uv else [python, "-m", "venv"]
    _run([*new, str(folder)])
    files = {"slice.txt": wanted.slice, "constraints.txt": wanted.all}
    for name, pins in files.items():
        (folder / name).write_text("".join(f"{n}=={v}\n" for n, v in sorted(pins.items())), encoding="utf-8")
    inside = str(folder / "bin" / "python")
    tool = [uv, "pip", "install", "--python", inside] if uv else [inside, "-m", "pip", "install"]
    _run([*tool, "--quiet", "-c", str(folder / "constraints.txt"), "-r", str(folder / "slice.txt")])
    (site,) = (folder / "lib").glob("python3*/site-packages")
    shutil.copytree(_package(), site / "filiera", ignore=shutil.ignore_patterns("__pycache__"))


def _python(minor: str) -> str:
    if ".".join(platform.python_version_tuple()[:2]) == minor:
        return sys.executable
    found = shutil.which(f"python{minor}")
    if found is None:
        raise UnavailableError("runtime.no_python", f"there is no Python {minor} here", next="install it, then repeat")
    return found


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _not_built(str(error)) from error
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise _not_built(" / ".join(line.strip() for line in lines[-3:]))


def _not_built(found: str) -> UnavailableError:
    return UnavailableError(
        "runtime.not_built",
        "the recorded libraries could not be installed",
        found=found,
        next="see that the package registry is reachable, then repeat; nothing else was changed",
    )


def _package() -> Path:
    """Where filiera's own code lies."""
    return Path(__file__).parents[1]
