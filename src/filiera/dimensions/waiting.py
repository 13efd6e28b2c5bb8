"""Files that wait for ingest, and what a person should know of a source although nothing follows from it."""

from __future__ import annotations

from collections.abc import Sequence

from filiera.collect.file import Candidate, Standing, list_candidates
from filiera.digest import digest_json
from filiera.dimensions.context import Context
from filiera.dimensions.plan import Pending
from filiera.ledger import sources

#: Files that are looked at again the next time.
LATER = (Standing.BUSY, Standing.UNREADABLE)


def pending(context: Context, source: str) -> Pending:
    """New and changed files of a source, one line each."""
    waiting = [item for item in candidates(context, source) if item.standing is not Standing.TOUCHED]
    texts = tuple(f"{item.standing.value} file {item.name} ({size_text(item.size_bytes)})" for item in waiting)
    listing = [[i.name, str(i.size_bytes), str(i.mtime_ns), str(i.ctime_ns)] for i in waiting]
    return Pending(texts, sum(item.size_bytes for item in waiting), digest_json("pending", 1, listing))


def notes(context: Context, source: str) -> list[str]:
    """Files that are looked at later or were read under an earlier contract, columns that come as nulls."""
    settings, listed = context.settings.sources[source], _listed(context, source)
    later = [item for item in listed if item.standing in LATER]
    texts = [f"{source}: {item.name} is {item.standing.value}; it is read the next time" for item in later]
    if not listed:
        texts.append(f"{source}: no file fits {settings.pattern}")
    with context.ledger.reading() as connection:
        records = newest_files(sources.list_files(connection, source)).values()
    old = sum(r.state == "accepted" and r.contract_digest != settings.contract.digest for r in records)
    if old:
        word = "file was" if old == 1 else "files were"
        texts.append(f"{source}: {old} {word} read under an earlier contract; the rows stay as they are")
    snapshot = context.lake.latest(source)
    hidden = context.reader.hidden(snapshot, snapshot.columns) if snapshot else []
    if hidden:
        texts.append(f"{source}: {', '.join(hidden)} masked: functions and readers get nulls")
    return texts


def busy(context: Context, source: str) -> list[str]:
    """Files that somebody is writing, or that cannot be read now."""
    return [item.name for item in _listed(context, source) if item.standing in LATER]


def candidates(context: Context, source: str) -> list[Candidate]:
    """New, changed and touched files of a source."""
    return [
        item for item in _listed(context, source) if item.standing is not Standing.KNOWN and item.standing not in LATER
    ]


def _listed(context: Context, source: str) -> list[Candidate]:
    with context.ledger.reading() as connection:
        known = newest_files(sources.list_files(connection, source))
    settings = context.settings.sources[source]
    settled = [
        record.file
        for record in known.values()
        if record.state != "refused" or record.contract_digest == settings.contract.digest
    ]  # a refused file is tried again when its contract was mended
    return list_candidates(context.settings.root, settings.pattern, settled, context.clock.now_us() * 1_000)


def newest_files(records: Sequence[sources.FileRecord]) -> dict[str, sources.FileRecord]:
    """The newest complete record of each path; a file of which only a part was read counts as new."""
    found: dict[str, sources.FileRecord] = {}
    for record in records:
        if record.state != sources.RELEASED:
            found.setdefault(record.file.path, record)
    return {path: record for path, record in found.items() if record.state != "part"}


def size_text(count: int) -> str:
    """`1.9 MB` or `27.6 kB`."""
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{max(count / 1e3, 0.1):.1f} kB"
