"""`filiera adopt FILE`: a contract from a sample file."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from filiera.core.contract import Contract
    from filiera.ingest.adopt import Draft
    from filiera.settings import Settings

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_SHOWN_FILES = 5


@click.command("adopt")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--source", help="name of the source; default: from the file's name")
@click.option("--from", "pattern", help="path or glob the source reads; default: files like this one")
@click.option("--dry-run", is_flag=True, help="print the contract, write nothing")
@click.pass_obj
def command(project: str | None, file: Path, source: str | None, pattern: str | None, dry_run: bool) -> None:
    """Read a sample file and write a contract for it into filiera.toml.

    Types, ranges seen, delimiter, decimal comma, encoding, day-first dates, key and time are recognised once and
    written down; nothing is guessed again later. Of columns that look personal no figures are written. The source
    reads all files of the folder when all of them have the same columns, else those of the same name but for
    numbers, else this file alone. Exit status: 0; 2 a name that cannot be one; 4 the source is there already; 7 the
    file is in no format that filiera reads; 8 no such file.
    """
    from filiera.collect.file import open_file
    from filiera.errors import ConflictError
    from filiera.ingest.adopt import examine, to_toml
    from filiera.places import SETTINGS_FILE, find_root
    from filiera.settings import load

    root = find_root(Path(project or ".").resolve())
    name = source or _name(file)
    _refuse_odd(file, source, pattern)
    settings = load(root)
    if name in settings.sources:
        raise ConflictError(
            "adopt.exists", f"source {name} is in {settings.where('source', name)} already",
            next="name another with --source, or edit it",
        )  # fmt: skip
    draft = examine(file, open_file)
    place = file.parent.resolve() / file.name
    pattern = pattern or _pattern(root, place, draft.contract)
    text = to_toml(draft, name, pattern)
    _add(settings, text, write=not dry_run)
    click.echo(text if dry_run else f"[source.{name}] is in {SETTINGS_FILE}: {len(draft.contract.columns)} columns")
    _tell(settings, draft, place, pattern)


def _refuse_odd(file: Path, source: str | None, pattern: str | None) -> None:
    """A file that is not there or cannot be named in the settings, and words that cannot be what they should."""
    from filiera.errors import NotFoundError, UsageError
    from filiera.settings_check import NAME_FORM, is_name, pattern_fault

    if not file.is_file():
        what = "is a folder" if file.is_dir() else "is not there"
        raise NotFoundError("adopt.no_file", f"{file} {what}", next="name one sample file of the source")
    if source is not None and not is_name(source):
        raise UsageError("adopt.name", f"`{source}` cannot name a source", expected=NAME_FORM, found=repr(source))
    if pattern is not None and (fault := pattern_fault(pattern)):
        raise UsageError("adopt.pattern", f"--from {fault[0]}", expected="a path or glob of files", next=fault[1])
    try:
        file.name.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            "adopt.file_name", "the file's name is not UTF-8, so the settings cannot name it", found=repr(file.name),
            next="rename the file",
        ) from error  # fmt: skip


def _name(file: Path) -> str:
    from filiera.ingest.guess import asset_names

    stem = file.name.lstrip(".").split(".")[0]
    return asset_names([f"s_{stem}" if stem[:1].isdigit() else stem])[0]


def _add(settings: Settings, text: str, *, write: bool) -> None:
    """The text at the end of the settings, once it is known that they can be read; line ends stay as they are."""
    from filiera.places import SETTINGS_FILE
    from filiera.project import write_settings
    from filiera.settings import parse
    from filiera.tomlread import decode

    raw = (settings.root / SETTINGS_FILE).read_bytes()
    before = decode(SETTINGS_FILE, raw)
    if "\r\n" in before:
        text = text.replace("\n", "\r\n")
    end = "\r\n" if "\r\n" in before else "\n"
    whole = before.rstrip() + end * 2 + text
    parse(settings.root, whole)
    if write:
        mark = "\ufeff" if raw.startswith(b"\xef\xbb\xbf") else ""
        write_settings(settings.root, mark + whole)


# ---- which files


def _pattern(root: Path, file: Path, contract: Contract) -> str:
    """The widest pattern of which every file has the columns of this one."""
    for pattern in _patterns(root, file):
        if all(path == file or _is_alike(path, file, contract) for path in _files(root, pattern)):
            return pattern
    raise AssertionError("a file is like itself")


def _patterns(root: Path, file: Path) -> Iterator[str]:
    """All files of the folder, those whose names differ in numbers, this file."""
    import glob

    folder = file.parent.relative_to(root).as_posix() if file.is_relative_to(root) else file.parent.as_posix()
    start = "" if folder == "." else f"{glob.escape(folder).rstrip('/')}/"
    suffix = "".join(file.suffixes[-2:]) if file.suffix in _COMPRESSED else file.suffix
    if suffix:
        yield f"{start}*{glob.escape(suffix)}"
        stem = re.split(r"\d", file.name.removesuffix(suffix))[0]
        if stem and stem != file.name.removesuffix(suffix):
            yield f"{start}{glob.escape(stem)}*{glob.escape(suffix)}"
    yield start + glob.escape(file.name)


def _files(root: Path, pattern: str) -> list[Path]:
    """The files that a source of this pattern would read."""
    from filiera.collect.file import list_candidates

    return [candidate.path for candidate in list_candidates(root, pattern, (), time.time_ns())]


def _is_alike(path: Path, file: Path, contract: Contract) -> bool:
    """Whether a file could be read by the contract of another, as far as names tell."""
    import lzma
    import zlib

    from filiera.collect.file import open_file
    from filiera.core.contract import FileFormat
    from filiera.errors import ContractError
    from filiera.ingest.adopt import names_of

    try:
        names = set(names_of(path, contract.reading, open_file))
    except (ContractError, EOFError, OSError, lzma.LZMAError, zlib.error):
        return False
    if contract.reading.format is FileFormat.JSONL:  # a record may leave out what it has no value for
        return {raw for column in contract.columns if not column.optional for raw in column.origin} <= names
    return names == set(names_of(file, contract.reading, open_file))


# ---- what a person is told


def _tell(settings: Settings, draft: Draft, file: Path, pattern: str) -> None:
    from filiera.collect.pattern import matches

    root = settings.root
    files = _files(root, pattern)
    shown = [path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path) for path in files]
    more = f" and {len(shown) - _SHOWN_FILES} more" if len(shown) > _SHOWN_FILES else ""
    count = f"{len(files)} file{'' if len(files) == 1 else 's'}" if files else "no file yet"
    click.echo(f"  reads {pattern}: {count}{': ' * bool(files)}{', '.join(shown[:_SHOWN_FILES])}{more}")
    if file not in files:
        hidden = file in matches(root, pattern)
        why = "it is hidden, or its name looks unfinished (.x, x.tmp, x.part)" if hidden else "it lies elsewhere"
        click.echo(f"  note  the sample is not among them: {why}")
    for other in settings.sources.values():
        if set(files) & set(_files(root, other.pattern)):
            where = settings.where("source", other.name, "from")
            click.echo(f"  note  source {other.name} reads some of them too: narrow its `from` ({where})")
    for note in draft.notes:
        click.echo(f"  note  {note}")
    for question in draft.questions:
        click.echo(f"  ask   {question}")
    click.echo("next: fill in the units, then filiera plan")
