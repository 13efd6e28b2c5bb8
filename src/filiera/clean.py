"""Clean: free what nothing reaches, keep it in the trash for a while, then delete it for good.

1. Survey: what is kept and why, and what may go and why.
2. Lock out readers, look again inside the transaction that records what is freed, and only then move the files.
3. What lay in the trash for longer than `[keep] trash` is deleted, after it was looked at once more.

Killed at any moment, the next run makes up for the moves that are missing: the ledger says where each object belongs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from filiera.clock import rfc3339
from filiera.core.keep import Keep
from filiera.lake.table import Lake
from filiera.ledger import removals
from filiera.ledger.journal import Connection, Ledger, Tx
from filiera.ledger.named import object_ids
from filiera.ledger.reach import Free, Survey, survey
from filiera.ledger.removals import DELETED, FREED, OBJECT, OUTPUT, RESTORED, Removal

READER_WAIT_S = 2.0
ORPHAN_AGE_S = 86_400.0
ORPHAN, READ = "left behind by a process that died", "a reader is at work"


@dataclass(slots=True)
class Cleaning:
    """What a clean found and did."""

    kept: list[tuple[str, str, int]] = field(default_factory=list)  #: asset, reason, number of snapshots or versions
    freed: list[tuple[str, str, int, int]] = field(default_factory=list)  #: asset, reason, objects, bytes
    trash: tuple[int, int] = (0, 0)  #: objects and bytes that lie there now
    deleted: tuple[int, int] = (0, 0)  #: for good
    restored: tuple[int, int] = (0, 0)
    until_us: int = 0  #: what is freed now can be put back until then

    def to_json(self, *, dry_run: bool) -> dict[str, Any]:
        """`filiera.gc/1`."""
        counts = {"trash": self.trash, "deleted": self.deleted, "restored": self.restored}
        return {
            "schema": "filiera.gc/1",
            "dry_run": dry_run,
            "frees": [
                dict(zip(("asset", "reason", "objects", "size_bytes"), item, strict=True)) for item in self.freed
            ],
            "keeps": [dict(zip(("asset", "reason", "outputs"), item, strict=True)) for item in self.kept],
            **{name: {"objects": count, "size_bytes": size} for name, (count, size) in counts.items()},
            "restorable_until": rfc3339(self.until_us) if self.until_us else None,
        }


class Cleaner:
    """Frees, restores and deletes; the caller holds the lock that applies and releases take."""

    def __init__(self, lake: Lake, keep: Keep, actor: str) -> None:
        self._lake = lake
        self._ledger: Ledger = lake.ledger
        self._trash = lake.objects.trash
        self._keep = keep
        self._actor = actor

    def look(self) -> Cleaning:
        """What a clean would do; changes nothing."""
        with self._ledger.reading() as connection:
            seen, orphans = self._survey(connection), self._orphans(connection)
            lying = self._lying(connection)
            due = self._due(lying, self._ledger.clock.now_us())
        assets = _assets(seen)
        with self._locked(assets, wait_s=0.0) as read:
            found = self._told(seen, [*seen.free, *orphans], read)
        found.deleted, found.trash = _sum(due), _sum([item for item in lying if item not in due])
        return found

    def clean(self) -> Cleaning:
        """Free what nothing reaches and delete what lay in the trash for long enough."""
        self.mend()
        deleted = self._delete()
        with self._ledger.reading() as connection:
            assets = _assets(self._survey(connection))
        with self._locked(assets, wait_s=READER_WAIT_S) as read:
            found = self._free(assets, read)
        found.deleted = deleted
        with self._ledger.reading() as connection:
            found.trash = _sum(self._lying(connection))
        return found

    def restore(self) -> Cleaning:
        """Put back everything that lies in the trash."""
        self.mend()
        with self._ledger.reading() as connection:
            lying = self._lying(connection)
        if not lying:
            return Cleaning()
        self._restore(lying)
        return Cleaning(restored=_sum(lying))

    def mend(self) -> None:
        """Make up for the moves of a run that was killed: every object goes where the ledger says."""
        with self._ledger.reading() as connection:
            events, kept = removals.newest(connection, OBJECT), self._survey(connection).objects
        here = set(self._trash.names())
        self._trash.delete(name for name in here if name in events and events[name].event == DELETED)
        self._trash.give_back(name for name in here if name not in events or events[name].event == RESTORED)
        freed = [event for event in events.values() if event.event == FREED]
        self._trash.take(event.name for event in freed if event.name not in kept)
        reached = [event for event in freed if event.name in kept]
        if reached:
            self._restore(reached)

    # ---- steps

    def _restore(self, objects: Sequence[Removal]) -> None:
        self._trash.give_back(item.name for item in objects)  # before it is recorded: readers find what is promised
        with self._ledger.commit(actor=self._actor, action="lake.restore", object="lake") as tx:
            self._put_back(tx, objects)
            tx.details.update(objects=len(objects), size_bytes=sum(item.size_bytes for item in objects))

    def _free(self, assets: Sequence[str], read: set[str]) -> Cleaning:
        with self._ledger.reading() as connection:
            seen, orphans = self._survey(connection), self._orphans(connection)
        found = self._told(seen, [*seen.free, *orphans], read)
        if not found.freed:
            return found
        with self._ledger.commit(actor=self._actor, action="lake.free", object="lake") as tx:
            seen = survey(tx.connection, self._keep, tx.now_us)  # nothing may have come to reach it meanwhile
            candidates, locked = [*seen.free, *orphans], {"", "code", *assets} - read
            going = [item for item in candidates if item.asset in locked]
            removals.record(tx, [*_objects(going), *_outputs(going)])
            tx.details.update(objects=len(going), size_bytes=sum(item.size_bytes for item in going))
            found = self._told(seen, [item for item in candidates if item.asset in locked | read], read)
            found.until_us = tx.now_us + self._keep.trash_us
        self._trash.take(item.object_id for item in going)
        return found

    def _delete(self) -> tuple[int, int]:
        """Delete for good what is due; what something came to reach is put back instead."""
        with self._ledger.reading() as connection:
            due = self._due(self._lying(connection), self._ledger.clock.now_us())
        if not due:
            return 0, 0
        with self._ledger.commit(actor=self._actor, action="lake.delete", object="lake") as tx:
            kept = survey(tx.connection, self._keep, tx.now_us).objects
            back, gone = [item for item in due if item.name in kept], [item for item in due if item.name not in kept]
            self._trash.give_back(item.name for item in back)
            self._put_back(tx, back)
            removals.record(tx, [Removal(OBJECT, i.name, DELETED, i.asset, i.reason, i.size_bytes) for i in gone])
            tx.details.update(objects=len(gone), size_bytes=sum(item.size_bytes for item in gone))
        self._trash.delete(item.name for item in gone)
        return _sum(gone)

    def _put_back(self, tx: Tx, objects: Sequence[Removal]) -> None:
        """Record that objects are in the lake again, and every output that now has all of its objects."""
        removals.record(tx, [Removal(OBJECT, i.name, RESTORED, i.asset, i.reason, i.size_bytes) for i in objects])
        missing = {name for name, event in removals.newest(tx.connection, OBJECT).items() if event.event != RESTORED}
        made = survey(tx.connection, self._keep, tx.now_us).made
        outputs = removals.newest(tx.connection, OUTPUT).values()
        whole = [i for i in outputs if i.event != RESTORED and not made.get(i.name, set()) & missing]
        removals.record(tx, [Removal(OUTPUT, i.name, RESTORED, i.asset, i.reason, 0) for i in whole])

    # ---- looking

    def _survey(self, connection: Connection) -> Survey:
        return survey(connection, self._keep, self._ledger.clock.now_us())

    def _orphans(self, connection: Connection) -> list[Free]:
        age_s = max(ORPHAN_AGE_S, self._keep.age_us / 1e6)
        found = self._lake.objects.orphans(object_ids(connection), age_s, self._ledger.clock.now_us() / 1e6)
        return [Free(name, "", ORPHAN, size, ()) for name, size in found]

    def _lying(self, connection: Connection) -> list[Removal]:
        return [event for event in removals.newest(connection, OBJECT).values() if event.event == FREED]

    def _due(self, lying: Sequence[Removal], now_us: int) -> list[Removal]:
        return [item for item in lying if item.created_us <= now_us - self._keep.trash_us]

    @contextmanager
    def _locked(self, assets: Sequence[str], *, wait_s: float) -> Iterator[set[str]]:
        """Lock out readers; gives the assets that somebody reads all the same."""
        with ExitStack() as stack:
            yield {asset for asset in assets if not stack.enter_context(self._lake.readers.alone(asset, wait_s=wait_s))}

    def _told(self, seen: Survey, free: Sequence[Free], read: set[str]) -> Cleaning:
        found = Cleaning()
        kept: dict[tuple[str, str], int] = {}
        going: dict[tuple[str, str], tuple[int, int]] = {}
        for output, reason in seen.kept.items():
            place = (seen.outputs[output].asset, reason)
            kept[place] = kept.get(place, 0) + 1
        for item in free:
            if item.asset in read:
                kept[item.asset, READ] = kept.get((item.asset, READ), 0) + 1
                continue
            count, size = going.get((item.asset, item.reason), (0, 0))
            going[item.asset, item.reason] = count + 1, size + item.size_bytes
        found.kept = [(*place, count) for place, count in sorted(kept.items())]
        found.freed = [(*place, *sums) for place, sums in sorted(going.items())]
        return found


def _assets(seen: Survey) -> list[str]:
    """Tables and models of which something may go; code is read in one go and needs no lock."""
    return sorted({item.asset for item in seen.free} - {"code"})


def _objects(going: Sequence[Free]) -> list[Removal]:
    return [Removal(OBJECT, item.object_id, FREED, item.asset, item.reason, item.size_bytes) for item in going]


def _outputs(going: Sequence[Free]) -> list[Removal]:
    """What cannot be read any more."""
    first = {output: item for item in reversed(going) for output in item.outputs}
    return [Removal(OUTPUT, output, FREED, item.asset, item.reason, 0) for output, item in first.items()]


def _sum(items: Sequence[Removal]) -> tuple[int, int]:
    return len(items), sum(item.size_bytes for item in items)
