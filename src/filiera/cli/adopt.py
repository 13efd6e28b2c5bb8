"""`filiera adopt FILE`: a contract from sample files."""

from __future__ import annotations

import re
from pathlib import Path

import click


@click.command("adopt")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--source", help="name of the source; default: from the file's name")
@click.option("--from", "pattern", help="path or glob the source reads; default: files like this one")
@click.option("--dry-run", is_flag=True, help="print the contract, write nothing")
@click.pass_obj
def command(project: str | None, file: Path, source: str | None, pattern: str | None, dry_run: bool) -> None:
    """Read a sample file and write a contract for it into filiera.toml.

    Types, ranges seen, delimiter, decimal comma, encoding, day-first dates, key and time are recognised once and
    written down; nothing is guessed again later. Exit status: 0; 2 no such file; 4 the source is there already.
    """
    from filiera.collect.file import open_file
    from filiera.errors import ConflictError, NotFoundError
    from filiera.ingest.adopt import examine, to_toml
    from filiera.places import SETTINGS_FILE, find_root
    from filiera.settings import load, parse

    root = find_root(Path(project or ".").resolve())
    if not file.is_file():
        raise NotFoundError("adopt.no_file", f"no file {file}", next="name one sample file of the source")
    name = source or _name(file)
    if name in load(root).sources:
        raise ConflictError(
            "adopt.exists",
            f"source {name} is in {SETTINGS_FILE} already",
            next="name another with --source, or edit it",
        )
    draft = examine(file, open_file)
    text = to_toml(draft, name, pattern or _pattern(root, file))
    path = root / SETTINGS_FILE
    whole = path.read_text(encoding="utf-8").rstrip() + "\n\n" + text
    parse(root, whole)  # what is written can be read
    if dry_run:
        click.echo(text)
    else:
        path.write_text(whole, encoding="utf-8")
        click.echo(f"[source.{name}] is in {SETTINGS_FILE}: {len(draft.contract.columns)} columns")
    for note in draft.notes:
        click.echo(f"  note  {note}")
    for question in draft.questions:
        click.echo(f"  ask   {question}")
    click.echo("next: fill in the units, then filiera plan")


def _name(file: Path) -> str:
    stem = re.sub(r"[^a-z0-9]+", "_", file.name.split(".")[0].lower()).strip("_")
    return stem if stem[:1].isalpha() else f"s_{stem}"


def _pattern(root: Path, file: Path) -> str:
    place = file.resolve()
    suffix = "".join(place.suffixes[-2:]) if place.suffix in (".gz", ".bz2", ".xz", ".zst") else place.suffix
    folder = place.parent
    shown = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.as_posix()
    return f"{shown}/*{suffix}" if shown != "." else f"*{suffix}"
