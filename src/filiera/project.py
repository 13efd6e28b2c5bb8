"""A new project: its folder, its settings, its first pipeline.

Nothing is written before all of it is known to be good, and `filiera.toml` is written last: a folder that holds one can
be used, or completed by `filiera init` again.
"""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from filiera.core.money import is_currency
from filiera.errors import ConflictError, NotFoundError, UsageError, nearest
from filiera.places import PIPELINE_FILE, SETTINGS_FILE, STATE_FOLDER
from filiera.settings import load, parse
from filiera.settings_check import WORD_FORM, is_word, owner_fault

EXAMPLES = ("wind",)
#: File systems whose locks cannot be trusted; the ledger needs them.
NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs"})

_PIPELINE = '''"""Tables and models of this project. See docs/quickstart.md of filiera."""

import filiera as fl  # noqa: F401
'''
_IGNORE_FILE, _DATA = ".gitignore", "data"
_IGNORED = (f"{STATE_FOLDER}/", "__pycache__/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Governance:
    """What a new project says of itself."""

    owner: str  #: a person or a team
    purposes: Sequence[str]  #: at least one
    name: str | None = None  #: None = from the folder's name
    currency: str | None = None  #: None = EUR, or the example's


def make_project(
    root: Path,
    *,
    name: str | None,
    owner: str,
    purposes: Sequence[str],
    currency: str | None = None,
    example: str | None = None,
) -> list[str]:
    """Write settings, pipeline and data folder of a new project, and say what was there already and is kept.

    Settings that are there are kept, whatever is said here; the rest is completed, unless there is a ledger too.

    Raises:
        ConflictError: the folder holds a pipeline, and the example brings its own.
        UsageError: no owner, no purpose, a word that cannot be one; the folder cannot be written; or a network file
            system, whose locks cannot be trusted.
        SettingsError: the settings that are there have a mistake.
        NotFoundError: no such example.
    """
    said = Governance(owner=owner, purposes=purposes, name=name, currency=currency)
    text = None
    if is_begun(root):
        load(root)
        if (root / STATE_FOLDER / "ledger.db").exists():
            return []
        example = None
    else:
        text = _settings_text(root, said, example)
    if example is not None and not _may_copy(root / PIPELINE_FILE, example):
        raise ConflictError(
            "project.pipeline_exists",
            f"{root / PIPELINE_FILE} is there, and the example brings its own",
            next="choose another folder, or leave --example out to keep yours",
        )
    refuse_network(root)
    try:
        return _write(root, text, example)
    except OSError as error:
        raise UsageError(
            "project.unwritable", f"the project cannot be written: {error.strerror}", found=str(error.filename),
            next="choose a folder that is yours",
        ) from error  # fmt: skip


def is_begun(root: Path) -> bool:
    """Whether a folder has settings: cloned from a colleague, left by an `init` that was interrupted, or whole."""
    return (root / SETTINGS_FILE).exists()


def _settings_text(root: Path, said: Governance, example: str | None) -> str:
    """The whole of `filiera.toml`, known to be good."""
    if example is not None and example not in EXAMPLES:
        raise NotFoundError("example.unknown", f"no example {example}", next=nearest(example, EXAMPLES))
    _refuse_bad_words(said)
    if example is None:
        text = _settings(said.name or _named_after(root), said)
    else:
        shipped = files("filiera.examples") / example / SETTINGS_FILE
        text = _governed(shipped.read_text(encoding="utf-8"), said)
    parse(root, text)
    return text


def _refuse_bad_words(said: Governance) -> None:
    if not said.owner.strip() or not said.purposes:
        raise UsageError(
            "project.ungoverned",
            "a project has an owner and a purpose",
            expected="--owner NAME and --purpose WORD, such as --owner energy-team --purpose power-forecast",
        )
    if fault := owner_fault(said.owner):
        raise UsageError("project.owner", fault, expected="--owner with a name in one line", found=repr(said.owner))
    named = [("--purpose", word) for word in said.purposes] + ([("--name", said.name)] if said.name is not None else [])
    for option, word in named:
        if not is_word(word):
            raise UsageError(
                "project.word", f"{option} `{word}` cannot be one", expected=WORD_FORM, found=repr(word),
                next=f"such as {option} {_as_word(word) or 'power-forecast'}",
            )  # fmt: skip
    if said.currency is not None and not is_currency(said.currency):
        raise UsageError(
            "project.currency", f"`{said.currency}` is no currency", found=repr(said.currency),
            expected="three capital letters of ISO 4217, such as --currency EUR",
        )  # fmt: skip


def _write(root: Path, text: str | None, example: str | None) -> list[str]:
    """Everything but the settings, then the settings, if there are none."""
    root.mkdir(parents=True, exist_ok=True)
    kept = [f"{SETTINGS_FILE} was there and is kept as it is"] if text is None else []
    ignored = [*_IGNORED] if (root / _DATA).exists() else [*_IGNORED, f"{_DATA}/"]
    if _ignore(root / _IGNORE_FILE, ignored):
        kept.append(f"{_IGNORE_FILE} was there; {', '.join(ignored)} were added where they were missing")
    (root / _DATA).mkdir(exist_ok=True)
    if example is not None:
        _copy_example(root, example)
    elif (root / PIPELINE_FILE).exists():
        kept.append(f"{PIPELINE_FILE} was there and is kept as it is")
    else:
        (root / PIPELINE_FILE).write_text(_PIPELINE, encoding="utf-8")
    if text is not None:
        write_settings(root, text)
    return kept


def write_settings(root: Path, text: str) -> None:
    """Write `filiera.toml` at once: whoever reads it finds the old or the new text, never a part."""
    path = (root / SETTINGS_FILE).resolve()  # the file behind a link, not the link
    fresh = path.with_name(f".{path.name}.part")
    fresh.write_text(text, encoding="utf-8", newline="")
    if path.exists():
        shutil.copymode(path, fresh)
    fresh.replace(path)


def _ignore(path: Path, wanted: Sequence[str]) -> bool:
    """Make git ignore some folders; gives whether the file was there before."""
    before = path.read_bytes().decode("utf-8", "surrogateescape") if path.exists() else ""
    known = {line.strip().strip("/") for line in before.splitlines()}
    missing = [line for line in wanted if line.strip("/") not in known]
    if missing:
        joint = "\n" if before and not before.endswith("\n") else ""
        text = before + joint + "".join(f"{line}\n" for line in missing)
        path.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
    return bool(before)


def _copy_example(root: Path, example: str) -> None:
    with as_file(files("filiera.examples") / example) as folder:
        shutil.copy(folder / PIPELINE_FILE, root / PIPELINE_FILE)
        target = root / _DATA / "scada"
        target.mkdir(parents=True, exist_ok=True)
        for path in (folder / "data").glob("*.csv.gz"):
            shutil.copy(path, target / path.name)
        shutil.copy(folder / "data" / "SOURCE.md", root / _DATA / "SOURCE.md")


def _may_copy(path: Path, example: str) -> bool:
    """Whether an example's file may be written: nothing is there, or the very same."""
    return not path.exists() or path.read_bytes() == (files("filiera.examples") / example / path.name).read_bytes()


def _as_word(text: str) -> str:
    """The nearest word that may name a project or purpose.

    >>> _as_word("Werk Köln (Nord)")
    'werk-koln-nord'
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_-]+", "-", plain).strip("-_")[:63]


def _named_after(root: Path) -> str:
    return _as_word(root.resolve().name) or "project"


def _settings(name: str, said: Governance) -> str:
    return (
        "[project]\n"
        f"name = {_quoted(name)}\n"
        f"owner = {_quoted(said.owner)}\n"
        f"purposes = [{', '.join(map(_quoted, said.purposes))}]\n"
        f"currency = {_quoted(said.currency or 'EUR')}\n\n"
        "# `filiera adopt FILE` writes the sources below.\n"
    )


def _governed(text: str, said: Governance) -> str:
    """The settings of an example with another owner, purposes and name; its prices keep their currency."""
    if said.currency is not None and f"{said.currency} per" not in text:
        raise UsageError(
            "project.example_currency", "the example states its worth in another currency", expected="no --currency",
            found=said.currency,
        )  # fmt: skip
    values = {"owner": _quoted(said.owner), "purposes": f"[{', '.join(map(_quoted, said.purposes))}]"}
    if said.name:
        values["name"] = _quoted(said.name)
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
