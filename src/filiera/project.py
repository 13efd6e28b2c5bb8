"""A new project: its folder, its settings, its first pipeline."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path

from filiera.errors import ConflictError, NotFoundError, UsageError, nearest
from filiera.places import PIPELINE_FILE, SETTINGS_FILE

EXAMPLES = ("wind",)
#: File systems whose locks cannot be trusted; the ledger needs them.
NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs"})

_PIPELINE = '''"""Tables and models of this project. See docs/quickstart.md of filiera."""

import filiera as fl  # noqa: F401
'''
_IGNORED = ".filiera/\ndata/\n__pycache__/\n"


def make_project(
    root: Path,
    *,
    name: str | None,
    owner: str,
    purposes: Sequence[str],
    currency: str = "EUR",
    example: str | None = None,
) -> None:
    """Write settings, pipeline and data folder of a new project.

    Raises:
        ConflictError: the folder holds a project already.
        UsageError: no owner, no purpose, or a network file system, whose locks cannot be trusted.
        NotFoundError: no such example.
    """
    if (root / SETTINGS_FILE).exists():
        raise ConflictError("project.exists", f"{root} holds a project already", next="choose another folder")
    if example is not None and example not in EXAMPLES:
        raise NotFoundError("example.unknown", f"no example {example}", next=nearest(example, EXAMPLES))
    if not owner.strip() or not purposes:
        raise UsageError(
            "project.ungoverned",
            "a project has an owner and a purpose",
            expected="--owner NAME and --purpose WORD, such as --owner energy-team --purpose power-forecast",
        )
    root.mkdir(parents=True, exist_ok=True)
    refuse_network(root)
    if example is not None:
        _copy_example(root, example)
        text = (root / SETTINGS_FILE).read_text(encoding="utf-8")
        (root / SETTINGS_FILE).write_text(_governed(text, name, owner, purposes), encoding="utf-8")
    else:
        (root / SETTINGS_FILE).write_text(_settings(name or root.resolve().name, owner, purposes, currency), "utf-8")
        (root / PIPELINE_FILE).write_text(_PIPELINE, encoding="utf-8")
        (root / "data").mkdir(exist_ok=True)
    (root / ".gitignore").write_text(_IGNORED, encoding="utf-8")


def _copy_example(root: Path, example: str) -> None:
    with as_file(files("filiera.examples") / example) as folder:
        shutil.copy(folder / SETTINGS_FILE, root / SETTINGS_FILE)
        shutil.copy(folder / PIPELINE_FILE, root / PIPELINE_FILE)
        target = root / "data" / "scada"
        target.mkdir(parents=True, exist_ok=True)
        for path in (folder / "data").glob("*.csv.gz"):
            shutil.copy(path, target / path.name)
        shutil.copy(folder / "data" / "SOURCE.md", root / "data" / "SOURCE.md")


def _settings(name: str, owner: str, purposes: Sequence[str], currency: str) -> str:
    clean = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-") or "project"
    return (
        "[project]\n"
        f"name = {_quoted(clean)}\n"
        f"owner = {_quoted(owner)}\n"
        f"purposes = [{', '.join(map(_quoted, purposes))}]\n"
        f"currency = {_quoted(currency)}\n\n"
        "# `filiera adopt FILE` writes the sources below.\n"
    )


def _governed(text: str, name: str | None, owner: str, purposes: Sequence[str]) -> str:
    values = {"owner": _quoted(owner), "purposes": f"[{', '.join(map(_quoted, purposes))}]"}
    if name:
        values["name"] = _quoted(name)
    for key, value in values.items():
        text = re.sub(rf"(?m)^{key} = .*$", lambda _, k=key, v=value: f"{k} = {v}", text, count=1)  # type: ignore[misc]
    return text


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def refuse_network(root: Path) -> None:
    """Refuse a folder on a file system whose locks cannot be trusted.

    Raises:
        UsageError: the folder lies on a network file system.
    """
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return
    place = root.resolve()
    best, kind = "", ""
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _, point, system, *_ = line.split(" ")
        if (place == Path(point) or Path(point) in place.parents) and len(point) >= len(best):
            best, kind = point, system
    if kind in NETWORK:
        raise UsageError(
            "project.network",
            f"{root} lies on {kind}, whose locks cannot be trusted",
            expected="a local disk",
            next="make the project on a local disk; sources may lie on a network",
        )
