"""An edit of a small project, and what must follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Files = Mapping[str, str | bytes]
SITE = "site/"  #: files that begin so lie outside the project, as an installed library does
PATH = "path/"  #: and these in a folder on the module path, as a package that is installed as editable does


@dataclass(frozen=True)
class Edit:
    """Files before, files after, and whether the asset must run again."""

    name: str
    construct: str  #: of Python, that the edit is about
    before: Files
    after: Files
    reruns: bool  #: the result differs
    coarse: str = ""  #: why the key changes although the result does not
    flags: tuple[str, ...] = ()  #: that the user must be shown
    asset: str = "features"
    uses: tuple[str, ...] = ()
    variables: tuple[str, ...] = field(default=())


def edit(
    construct: str,
    files: Files,
    path: str,
    old: str,
    new: str,
    *,
    reruns: bool,
    name: str = "",
    coarse: str = "",
    flags: tuple[str, ...] = (),
    asset: str = "features",
    uses: tuple[str, ...] = (),
) -> Edit:
    """Replace `old` by `new`, once, in one file."""
    text = files[path]
    assert isinstance(text, str)
    assert text.count(old) >= 1, f"{construct}: the edit must apply"
    after = {**files, path: text.replace(old, new, 1)}
    return Edit(name or construct, construct, files, after, reruns, coarse, flags, asset, uses)


def pipeline(top: str, result: str, decorator: str = "@fl.table") -> str:
    """A pipeline with one asset: what stands above it, and what it gives."""
    return f"import filiera as fl\n{top}\n\n{decorator}\ndef features(scada):\n    return {result}\n"


def write(folder: Path, files: Files) -> tuple[Path, Path]:
    """Write the project and the libraries beside it; gives both folders."""
    root, site = folder / "project", folder / "site"
    site.mkdir(parents=True)
    for name, content in files.items():
        path = folder / name if name.startswith((SITE, PATH)) else root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root, site


def library(name: str, version: str, code: str) -> dict[str, str]:
    """An installed library of one module."""
    info = f"{SITE}{name}-{version}.dist-info"
    return {
        f"{SITE}{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/RECORD": f"{name}.py,,\n",
    }
