"""What is installed in this interpreter: versions, requirements, and packages that are installed from a folder."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


def installed(places: Sequence[str] | None = None) -> dict[str, str]:
    """Version of the distribution behind each top-level module; of a shared namespace, those of all that share it.

    Args:
        places: folders to look at; default: where this interpreter looks. A package that is installed from a folder
            that may change (editable) has no version here: its code is read as the project's own.
    """
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for distribution in _distributions(places):
        if not _is_editable(distribution):
            for top in _tops(distribution):
                found[top].setdefault(str(distribution.metadata["Name"]), _identity(distribution))
    return {top: _told(parts) for top, parts in found.items()}


def required(places: Sequence[str] | None = None) -> dict[str, tuple[str, ...]]:
    """Top-level modules that the distributions behind each top-level module require, without extras."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found = {canonicalize_name(str(d.metadata["Name"])): d for d in _distributions(places)}
    needs: dict[str, tuple[str, ...]] = {}
    for distribution in found.values():
        wanted = [Requirement(text) for text in distribution.requires or ()]
        names = [canonicalize_name(r.name) for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""})]
        tops = tuple(top for name in names if name in found for top in _tops(found[name]))
        for top in _tops(distribution):
            needs[top] = tuple(dict.fromkeys((*needs.get(top, ()), *tops)))
    return needs


def provided() -> tuple[dict[str, str], dict[str, str]]:
    """Version by distribution of this interpreter, and the distribution behind each top-level module."""
    from packaging.utils import canonicalize_name

    versions: dict[str, str] = {}
    providers: dict[str, str] = {}
    for distribution in _distributions(None):
        name = canonicalize_name(str(distribution.metadata["Name"]))
        versions.setdefault(name, str(distribution.version))
        for top in _tops(distribution):
            providers.setdefault(top, name)
    return versions, providers


def source_of(top: str) -> Path | None:
    """The source file or package folder of a module that this interpreter finds outside its installed libraries."""
    from importlib.machinery import PathFinder
    from importlib.util import find_spec

    try:
        spec = find_spec(top) or PathFinder.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return None
    path = Path(spec.origin)
    if {"site-packages", "dist-packages"} & set(path.parts):  # installed, though by no distribution that is known
        return None
    return path.parent if path.name == "__init__.py" else path


def site_folders(python: Path) -> list[Path]:
    """Folders in which an interpreter has its libraries; of a virtual environment that sees them, the system's too."""
    prefix = python.parent.parent
    patterns = ("lib*/python3*/site-packages", "lib*/python3*/dist-packages", "local/lib*/python3*/dist-packages")
    found = [folder for pattern in patterns for folder in sorted(prefix.glob(pattern))]
    config = prefix / "pyvenv.cfg"
    lines = config.read_text(encoding="utf-8").splitlines() if config.is_file() else []
    stated = {name.strip().lower(): value.strip() for name, _, value in (line.partition("=") for line in lines)}
    if stated.get("include-system-site-packages", "").lower() == "true" and stated.get("home"):
        found += site_folders(Path(stated["home"]) / "python")
    return found


def path_dependencies(site_packages: Path) -> Iterator[Path]:
    """Folders that packages were installed from as editable, or that a `.pth` file names; filiera itself is none."""
    for record in sorted(site_packages.glob("*.dist-info/direct_url.json")):
        stated = json.loads(record.read_text(encoding="utf-8"))
        if stated.get("dir_info", {}).get("editable") and not record.parent.name.startswith("filiera-"):
            yield Path(stated["url"].removeprefix("file://"))
    for file in sorted(site_packages.glob("*.pth")):
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        folders = [site_packages / line for line in lines if line and not line.startswith(("import ", "#"))]
        yield from (folder for folder in folders if folder.is_dir() and not (folder / "filiera").is_dir())


def is_standard(top: str) -> bool:
    """Whether a top-level module belongs to Python itself."""
    return top in sys.stdlib_module_names


def _distributions(places: Sequence[str] | None) -> list[Any]:
    from importlib.metadata import distributions

    return list(distributions() if places is None else distributions(path=list(places)))


def _told(parts: dict[str, str]) -> str:
    if len(parts) == 1:
        return next(iter(parts.values()))
    return ", ".join(f"{name} {version}" for name, version in sorted(parts.items()))


def _tops(distribution: Any) -> list[str]:
    tops = (distribution.read_text("top_level.txt") or "").split()
    names = tops or sorted({str(file).split("/")[0].removesuffix(".py") for file in distribution.files or []})
    return [top for top in names if top.isidentifier() and top != "__pycache__"]


def _is_editable(distribution: Any) -> bool:
    stated = json.loads(distribution.read_text("direct_url.json") or "{}")
    return bool(stated.get("dir_info", {}).get("editable"))


def _identity(distribution: Any) -> str:
    """The version; of an install from a URL or folder also what is installed, since its version may stand still."""
    version = str(distribution.version)
    if distribution.read_text("direct_url.json"):
        record = (distribution.read_text("RECORD") or "").encode()
        return f"{version}+{hashlib.sha256(record).hexdigest()[:12]}"
    return version
