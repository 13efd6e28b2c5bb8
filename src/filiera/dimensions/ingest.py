"""Ingest one source: every new or changed file, one after the other, each committed by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from filiera.collect import file as files
from filiera.collect.file import Candidate
from filiera.core.batch import SourceFile
from filiera.dimensions.context import Context
from filiera.dimensions.waiting import newest_files
from filiera.errors import FilieraError, GateError, UnavailableError
from filiera.ingest.batch import check_file
from filiera.ledger import sources
from filiera.ledger.sources import FileRecord
from filiera.settings import Source

#: States of a file version whose rows stand in the lake.
READ = ("accepted", "repeated")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReport:
    """What came of a source's files."""

    rows_read: int = 0
    accepted: int = 0
    quarantined: int = 0
    duplicates: int = 0
    files: int = 0
    refused: tuple[tuple[str, FilieraError], ...] = ()
    postponed: tuple[str, ...] = ()  #: files that were being written

    def plus(self, counts: sources.Counts) -> SourceReport:
        """With the counts of another batch."""
        return replace(
            self,
            rows_read=self.rows_read + counts.rows_read,
            accepted=self.accepted + counts.accepted,
            quarantined=self.quarantined + counts.quarantined,
            duplicates=self.duplicates + counts.duplicates,
        )

    def text(self) -> str:
        """One line."""
        counts = f"{self.accepted:,} accepted, {self.quarantined:,} quarantined, {self.duplicates:,} duplicates"
        tail = f", {_files(len(self.refused))} refused" if self.refused else ""
        return f"{self.rows_read:,} rows read from {_files(self.files)}: {counts}{tail}"


def _files(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"


def ingest_source(context: Context, source: Source, waiting: Sequence[Candidate]) -> SourceReport:
    """Read the files that wait; one that is refused as a whole stops no other."""
    total = sum(item.size_bytes for item in waiting)
    context.progress.start(source.name, total, _files(len(waiting)))
    report, done = SourceReport(), 0
    for item in waiting:
        report = _ingest_file(context, source, item, report)
        done += item.size_bytes
        context.progress.update(source.name, done, item.name)
    context.progress.end(source.name, report.text())
    return report


def _ingest_file(context: Context, source: Source, item: Candidate, report: SourceReport) -> SourceReport:
    report = replace(report, files=report.files + 1)
    try:
        file = files.scan(source.name, item)
    except UnavailableError:
        return replace(report, postponed=(*report.postponed, item.name))
    except GateError as error:
        _refuse(context, source, _unread(source.name, item), error)
        return replace(report, refused=(*report.refused, (item.name, error)))
    with context.ledger.reading() as connection:
        known = sources.list_versions(connection, source.name, file.path, file.digest)
    earlier = newest_files(known).get(item.name)
    if _is_repeated(file, known, earlier, replaces=source.contract.files == "replace"):
        if earlier is not None and earlier.file.digest == file.digest:  # it may grow from where it was read
            file = replace(file, consumed_bytes=earlier.file.consumed_bytes, prefix_digest=earlier.file.prefix_digest)
        _note(context, source, file, "repeated")
        return report
    grows = earlier is not None and earlier.state in READ and source.contract.files == "append"
    start = files.grown_from(item.path, earlier.file if earlier and grows else None)
    begun = _parts_begun(file, known)
    try:
        for number, piece in enumerate(check_file(item.path, file, source.contract, files.open_file, start)):
            if number < begun:
                continue  # committed before filiera was stopped
            batch = piece.batch
            if piece.last and piece.end and files.compression(item.path) is None:
                batch = replace(batch, file=files.consumed(file, item.path, piece.end))
            done = context.lake.ingest(batch, source.contract, actor=context.principal, part=number, last=piece.last)
            report = report.plus(done.counts)
    except GateError as error:
        _refuse(context, source, file, error)
        return replace(report, refused=(*report.refused, (item.name, error)))
    return report


def _is_repeated(file: SourceFile, known: Sequence[FileRecord], earlier: FileRecord | None, *, replaces: bool) -> bool:
    """Whether these bytes stand already; where files replace, only their newest version stands."""
    if replaces:
        return earlier is not None and earlier.state in READ and earlier.file.digest == file.digest
    return any(record.file.digest == file.digest and record.state == "accepted" for record in known)


def _parts_begun(file: SourceFile, known: Sequence[FileRecord]) -> int:
    """Parts of this very version that were committed before filiera was stopped; `known` is newest first."""
    own = takewhile(
        lambda r: r.state == "part", (r for r in known if r.file.path == file.path and r.state != sources.RELEASED)
    )
    return sum(record.file.digest == file.digest for record in own)


def _unread(source: str, item: Candidate) -> SourceFile:
    stat = item.path.stat()
    return SourceFile(
        source=source, path=item.name, digest="", size_bytes=stat.st_size, mtime_ns=stat.st_mtime_ns,
        inode=stat.st_ino, ctime_ns=stat.st_ctime_ns,
    )  # fmt: skip


def _refuse(context: Context, source: Source, file: SourceFile, error: FilieraError) -> None:
    _note(context, source, file, "refused", files.refusal(error))


def _note(
    context: Context, source: Source, file: SourceFile, state: str, error: Mapping[str, str] | None = None
) -> None:
    what = f"{source.name}:{file.path}"
    with context.ledger.commit(actor=context.principal, action=f"source.{state}", object=what) as tx:
        sources.record_file(
            tx, file, state=state, counts=sources.Counts(), contract_digest=source.contract.digest, error=error
        )
