"""What must stay and what may go: a walk from everything that reaches stored objects.

An *output* is a snapshot, a model version or a source bundle. Kept are those that stand in the newest generations of an
environment, what a released model version was made from, the newest snapshot of each source, studies in progress,
holds, and everything young. An object may go when no kept output is made of it.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from filiera.core.keep import Keep
from filiera.ledger import environments, holds, removals
from filiera.ledger import tables as t

NO_ENVIRONMENT, COMPACTED = "no environment reaches it", "superseded by compaction"


@dataclass(frozen=True, slots=True)
class Output:
    """Something that is made of objects."""

    id: str
    asset: str  #: of a bundle "code"
    label: str  #: `features@3`, `power@1`, or the start of a digest
    created_us: int


@dataclass(frozen=True, slots=True)
class Free:
    """An object that may go."""

    object_id: str
    asset: str
    reason: str
    size_bytes: int
    outputs: tuple[str, ...]  #: that cannot be read without it


@dataclass(slots=True)
class Survey:
    """What one look at the ledger found."""

    outputs: dict[str, Output]
    kept: dict[str, str] = field(default_factory=dict)  #: output -> the first reason why it stays
    objects: set[str] = field(default_factory=set)  #: that kept outputs are made of
    made: dict[str, set[str]] = field(default_factory=dict)  #: output -> the objects it is made of
    free: list[Free] = field(default_factory=list)

    def keep(self, output: str | None, reason: str) -> None:
        """Mark an output."""
        if output in self.outputs:
            self.kept.setdefault(output, reason)


def survey(connection: sa.Connection, keep: Keep, now_us: int) -> Survey:
    """Walk from everything that holds something; one consistent look."""
    made = {row["id"]: row for row in connection.execute(_TRACES).mappings()}
    found = Survey({output.id: output for output in _outputs(connection)})
    _from_environments(connection, found, made, keep)
    _from_releases(connection, found, made)
    _from_the_rest(connection, found, made, now_us - keep.age_us)
    for row in made.values():
        if row["output"] in found.kept:
            found.keep(row["bundle"], f"code of {found.outputs[row['output']].asset}")
    _objects(connection, found)
    return found


_TRACES = sa.select(t.trace.c.id, t.trace.c.kind, t.trace.c.output, t.trace.c.bundle, t.trace.c.input_snapshots)
Made = Mapping[str, Any]  #: a trace's row, by its id


def _outputs(connection: sa.Connection) -> Iterator[Output]:
    for s in connection.execute(sa.select(t.snapshot)).mappings():
        yield Output(s["id"], s["asset"], f"{s['asset']}@{s['number']}", s["created_us"])
    for v in connection.execute(sa.select(t.model_version)).mappings():
        yield Output(v["id"], v["name"], f"{v['name']}@{v['number']}", v["created_us"])
    for b in connection.execute(sa.select(t.bundle).order_by(t.bundle.c.serial)).mappings():
        yield Output(b["digest"], "code", f"code {b['digest'][7:19]}", b["created_us"])


def _from_environments(connection: sa.Connection, found: Survey, made: Made, keep: Keep) -> None:
    for name in environments.names(connection):
        for generation in environments.history(connection, name, limit=keep.of(name) or 10**9):
            found.keep(generation.bundle, f"code of {name}")
            for trace in generation.assets.values():
                found.keep(made[trace]["output"], f"stands in {name}")


def _from_releases(connection: sa.Connection, found: Survey, made: Made) -> None:
    """A model that was ever released can be made again: its rows and its code stay, in every environment's history."""
    query = sa.select(t.generation.c.assets).where(t.generation.c.kind == "release")
    for (assets,) in connection.execute(query):
        for trace in json.loads(assets).values():
            if made[trace]["kind"] == "model":
                _keep_whole(found, made[trace], "was released")


def _keep_whole(found: Survey, row: Made, reason: str) -> None:
    found.keep(row["output"], reason)
    found.keep(row["bundle"], reason)
    label = found.outputs[row["output"]].label
    for output in json.loads(row["input_snapshots"]).values():
        found.keep(output, f"{label} {reason} and is made from it")


def _from_the_rest(connection: sa.Connection, found: Survey, made: Made, young_us: int) -> None:
    by_output = {row["output"]: row for row in made.values() if row["kind"] == "model"}
    for hold in holds.standing(connection):
        found.keep(hold.output, f"held: {hold.reason}")
        if hold.output in by_output:
            _keep_whole(found, by_output[hold.output], "is held")
    for snapshot in connection.execute(_NEWEST_OF_SOURCES).scalars():
        found.keep(snapshot, "newest of its source")
    for snapshot in connection.execute(_IN_PROGRESS).scalars():
        found.keep(snapshot, "a study of it is in progress")
    restored = removals.newest(connection, removals.OUTPUT)
    for output in found.outputs.values():
        event = restored.get(output.id)
        back_us = event.created_us if event and event.event == removals.RESTORED else 0
        if max(output.created_us, back_us) > young_us:
            found.keep(output.id, "young")


_newer = t.snapshot.alias("newer")
_NEWEST_OF_SOURCES = sa.select(t.snapshot.c.id).where(
    t.snapshot.c.asset.in_(sa.select(t.source_file.c.source)),
    ~sa.exists().where(_newer.c.asset == t.snapshot.c.asset, _newer.c.number > t.snapshot.c.number),
)
_IN_PROGRESS = sa.select(t.study.c.snapshot).where(
    t.study.c.snapshot.is_not(None),
    sa.or_(
        t.study.c.report.not_like('%"ended": "%'),
        sa.exists().where(t.trial.c.study == t.study.c.id, t.trial.c.state == "running"),
    ),
)


def _objects(connection: sa.Connection, found: Survey) -> None:
    """Sort the objects into those that stay and those that may go."""
    stays: dict[str, int] = {}
    goes: dict[str, Free] = {}
    for object_id, size, asset, outputs, reason in _made_of(connection):
        for output in outputs or ():
            found.made.setdefault(output, set()).add(object_id)
        if outputs is None or any(output in found.kept for output in outputs):
            stays[object_id] = size
        else:
            before = goes[object_id].outputs if object_id in goes else ()
            goes[object_id] = Free(object_id, asset, reason, size, tuple(dict.fromkeys((*before, *outputs))))
    events = removals.newest(connection, removals.OBJECT)
    gone = {name for name, event in events.items() if event.event != removals.RESTORED}
    found.objects = set(stays)
    found.free = [item for name, item in goes.items() if name not in stays and name not in gone]


#: (object, size, asset, outputs made of it, why it may go); None for outputs = it always stays
_MadeOf = tuple[str, int, str, list[str] | None, str]


def _made_of(connection: sa.Connection) -> Iterator[_MadeOf]:
    yield from _of_tables(connection)
    for v in connection.execute(sa.select(t.model_version)).mappings():
        for text in (v["package"], v["predictions"]):
            if text:
                yield *_record(json.loads(text)), v["name"], [v["id"]], f"{NO_ENVIRONMENT}, and it was never released"
    bundles = connection.execute(sa.select(t.bundle).order_by(t.bundle.c.serial)).mappings().all()
    newest = {b["digest"]: b["serial"] for b in bundles}
    for b in bundles:
        outputs = [b["digest"]] if newest[b["digest"]] == b["serial"] else []
        yield *_record(json.loads(b["object"])), "code", outputs, "nothing that is kept runs it"
    for (text,) in connection.execute(sa.select(t.quarantine.c.object)):
        yield *_record(json.loads(text)), "quarantine", None, ""


def _of_tables(connection: sa.Connection) -> Iterator[_MadeOf]:
    numbers: dict[str, list[int]] = defaultdict(list)
    ids: dict[tuple[str, int], str] = {}
    same: set[tuple[str, int]] = set()  #: snapshots with the rows of the one before: the layout is new
    before: dict[str, str] = {}
    c = t.snapshot.c
    for asset, number, id_, semantic in connection.execute(
        sa.select(c.asset, c.number, c.id, c.semantic).order_by(c.asset, c.number)
    ):
        numbers[asset].append(number)
        ids[asset, number] = id_
        if before.get(asset) == semantic:
            same.add((asset, number))
        before[asset] = semantic
    for row in connection.execute(sa.select(t.batch_file)).mappings():
        asset, known = row["asset"], numbers[row["asset"]]
        high = bisect_left(known, row["removed"]) if row["removed"] is not None else len(known)
        outputs = [ids[asset, number] for number in known[bisect_left(known, row["added"]) : high]]
        reason = COMPACTED if (asset, row["removed"]) in same else NO_ENVIRONMENT
        parts = [*json.loads(row["parts"]).values(), *([json.loads(row["sidecar"])] if row["sidecar"] else [])]
        for part in parts:
            yield *_record(part), asset, outputs, reason


def _record(record: Mapping[str, Any]) -> tuple[str, int]:
    return record["object_id"], record["size_bytes"]
