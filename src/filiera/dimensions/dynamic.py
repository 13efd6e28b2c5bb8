"""What code read beside its inputs without declaring it: recorded with the trace, and looked at in every plan.

A trace answers for its key only while everything that it read is what it was. When something is not, what follows
has a key of its own, made of the key and of what is there now: so a revert finds the earlier trace again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from filiera.core.asset import Model, Table
from filiera.core.trace import Mark
from filiera.digest import digest_json
from filiera.dimensions.bundle import Bundle
from filiera.engine.reads import ABSENT, listing
from filiera.engine.task import module_of

NOTHING = "{}"  #: JSON of no reads


def undeclared(asset: Table | Model, reads: Mapping[str, str]) -> dict[str, str]:
    """Those of the reads that are neither the code of an asset nor files that it declares."""
    modules, files = asset.code.manifest.get("modules", ()), asset.code.manifest.get("files", {})
    return {name: content for name, content in reads.items() if module_of(name) not in modules and name not in files}


def content_of(bundle: Bundle, name: str) -> str:
    """Digest of what stands behind the name of a read now."""
    path = Path(name)
    if not path.is_absolute():
        return _listed(bundle, name) if name.endswith("/") else bundle.contents.get(name, ABSENT)
    if name.endswith("/"):
        return listing(os.listdir(path)) if path.is_dir() else ABSENT
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ABSENT


def _listed(bundle: Bundle, folder: str) -> str:
    """What stands for the names directly in a folder of the bundle."""
    start = "" if folder == "./" else folder
    names = {name[len(start) :].partition("/")[0] for name in bundle.contents if name.startswith(start)}
    return listing(names) if names else ABSENT


def reads_of(mark: Mark) -> Mapping[str, str]:
    """Digest by name of what a trace read beside its inputs."""
    found: dict[str, str] = json.loads(mark.dynamic) if mark.dynamic != NOTHING else {}
    return found


def moved(bundle: Bundle, reads: Mapping[str, str]) -> list[str]:
    """Names of reads behind which something else stands now."""
    return [name for name, content in reads.items() if content_of(bundle, name) != content]


def settle(bundle: Bundle, key: str, found: Mark | None, find: Callable[[str], Mark | None]) -> tuple[str, Mark | None]:
    """The key of a step that also tells what earlier runs of it read, and the trace that answers for that.

    Args:
        bundle: the code as it is now.
        key: of the step.
        found: the trace under it.
        find: gives the trace under a key.
    """
    known: set[str] = set()
    settled = key
    while found is not None and moved(bundle, reads_of(found)):
        told: dict[str, object] = {"key": key}
        if known >= reads_of(found).keys():  # it changed while it was read
            told["not"] = found.id
        known |= reads_of(found).keys()
        told["read"] = {name: content_of(bundle, name) for name in known}
        settled = digest_json("key", 1, told)
        found = find(settled)
    return settled, found


def note(asset: Table | Model, mark: Mark) -> list[str]:
    """What a person should know of the reads of the trace that stands."""
    reads = undeclared(asset, reads_of(mark))
    word = "which is not declared: it is checked at every plan"
    declared = asset.code.manifest.get("files", {})
    names = sorted(name for name, content in reads.items() if content != ABSENT and not _is_shown(name, declared))
    return [f"{asset.name} read {name}, {word}; {_way_out(name)}" for name in names]


def _is_shown(name: str, declared: Iterable[str]) -> bool:
    """Whether a read is a look into a folder of which the asset declares files."""
    return name.endswith("/") and any(file.startswith(name) for file in declared)


def _way_out(name: str) -> str:
    if module_of(name) != name:
        return "import it by name"
    if name.endswith("/"):
        return f'declare what is read of it, such as files=["{name}*"]'
    return f'declare it with files=["{name}"]'
