"""Release from quarantine: check the records again after their contract was mended.

The files are still where they came from: each file that has quarantined records is read again under the new contract.
Rows that were accepted before are recognised as duplicates, so only the mended records are new.
"""

from __future__ import annotations

from filiera.collect import file as files
from filiera.collect.file import Candidate, Standing
from filiera.dimensions.context import Context
from filiera.errors import NotFoundError
from filiera.ingest.batch import check_file
from filiera.ledger import sources
from filiera.settings import Source


def release_quarantine(context: Context, source: Source) -> dict[str, int]:
    """Check the quarantined records of a source again.

    Returns:
        `released` records that left quarantine, and how many were `accepted`, or are quarantined again.

    Raises:
        NotFoundError: a file with quarantined records is not there any more; its records stay in quarantine.
    """
    with context.ledger.reading() as connection:
        waiting = sources.list_quarantine(connection, source.name)
    found = {"released": 0, "accepted": 0, "quarantined": 0}
    for path in dict.fromkeys(record.path for record in waiting):
        records = [record for record in waiting if record.path == path]
        item = _candidate(context, path)
        file = files.scan(source.name, item)
        with context.ledger.commit(actor=context.principal, action="quarantine.release", object=f"{source.name}:{path}") as tx:
            sources.release_quarantine(tx, [record.serial for record in records])
        for number, piece in enumerate(check_file(item.path, file, source.contract, files.open_file)):
            done = context.lake.ingest(
                piece.batch, source.contract, actor=context.principal, part=number, last=piece.last, again=True
            )
            found["accepted"] += done.counts.accepted
            found["quarantined"] += done.counts.quarantined
        found["released"] += sum(record.rows for record in records)
    return found


def _candidate(context: Context, path: str) -> Candidate:
    place = context.settings.root / path
    if not place.is_file():
        raise NotFoundError(
            "quarantine.file_gone", "the file with the quarantined records is not there any more", where=path,
            next="put it back; until then its records stay in quarantine",
        )
    return Candidate(place, path, Standing.CHANGED, place.stat().st_size)
