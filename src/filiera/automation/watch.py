"""The collectors of events: they compare the world with the ledger, and remember nothing that matters.

Each event has an identity of its own (a digest of the waiting files, of the code, a commit, the time of a tick), so
looking twice, or from two processes, gives one event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from filiera.automation.backoff import retry_us
from filiera.automation.drifting import Looked, drift_events
from filiera.automation.gitref import commit_of
from filiera.automation.reconcile import behind, standing_failures
from filiera.automation.target import Target
from filiera.clock import rfc3339
from filiera.code.bundle import code_files, collect_bundle, is_code
from filiera.code.shape import normalised_digest
from filiera.collect.pattern import matches
from filiera.core.event import Event, EventKind
from filiera.digest import digest, digest_json
from filiera.dimensions.context import Context, working_bundle
from filiera.dimensions.declared import declarations
from filiera.dimensions.stamp import RACY_NS
from filiera.dimensions.waiting import pending
from filiera.errors import CodeError
from filiera.ledger import environments, events

Stamp = list[tuple[str, int, int, int]]  #: path, size, time of writing and of any change of files


@dataclass(slots=True)
class Memory:
    """What a process has looked at, so that it need not read it again. Events are the same without it."""

    drift: Looked = field(default_factory=dict)
    code: tuple[Stamp, str] | None = None  #: of the code and the files that it declares; their digest
    declared: tuple[str, ...] = ()  #: paths and patterns of these files


def look(context: Context, goals: Sequence[Target], memory: Memory) -> Iterator[Callable[[], Iterator[Event]]]:
    """The collectors; each gives the events of the world as it is now, recorded or not. One may fail by itself."""
    yield lambda: _data(context)
    yield lambda: _settings(context)
    yield lambda: _code(context, memory)
    yield lambda: _ticks(context)
    yield lambda: drift_events(context, memory.drift)
    for goal in goals:
        yield partial(_of_environment, context, goal)


def started(up_since_us: int) -> Event:
    """`filiera up` began: everything is looked at once, whatever was missed before."""
    return Event(source="up", source_id=rfc3339(up_since_us), kind=EventKind.START)


def _data(context: Context) -> Iterator[Event]:
    """New and changed files that wait."""
    for name in context.settings.sources:
        found = pending(context, name)
        if found.texts:
            body = {"files": list(found.texts[:10]), "count": len(found.texts)}
            yield Event(source=f"source {name}", source_id=found.digest, kind=EventKind.DATA, body=body)


def _settings(context: Context) -> Iterator[Event]:
    yield Event(source="filiera.toml", source_id=context.settings.meaning, kind=EventKind.SETTINGS)


def _code(context: Context, memory: Memory) -> Iterator[Event]:
    """Code that means something else, or another commit of the ref."""
    rules, root = context.settings.automation, context.settings.root
    if rules.ref is not None:
        yield Event(source=f"git {rules.ref}", source_id=commit_of(root, rules.ref), kind=EventKind.CODE)
        return
    stamp = _code_stamp(root, memory.declared)
    if memory.code is None or memory.code[0] != stamp:
        digest, memory.declared = _code_digest(context)
        memory.code = (_code_stamp(root, memory.declared), digest)
    yield Event(source="code", source_id=memory.code[1], kind=EventKind.CODE)
    if any(mtime_ns > context.clock.now_us() * 1_000 - RACY_NS for _, _, mtime_ns, _ in memory.code[0]):
        memory.code = None  # it may change again within one tick of its clock


def _code_stamp(root: Path, declared: Iterable[str]) -> Stamp:
    found: Stamp = []
    for path in (*code_files(root), *(path for pattern in declared for path in sorted(matches(root, pattern)))):
        with suppress(FileNotFoundError):
            stat = path.stat()
            found.append((str(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    return found


def _code_digest(context: Context) -> tuple[str, tuple[str, ...]]:
    """Digest of what the code means and of the files that it declares, and what it declares."""
    root, declared = context.settings.root, tuple[str, ...]()
    try:
        declared = tuple(declarations(root, code_files(root)).files)
        beside = [[name, digest("declared", 1, content)] for name, content in working_bundle(context.settings).files
                  if not is_code(name)]  # fmt: skip
        return digest_json("watched", 1, [normalised_digest(root), beside]), declared
    except CodeError:  # no Python yet, or a file that is not there yet: told when the plan is made
        return collect_bundle(root).digest, declared


def _ticks(context: Context) -> Iterator[Event]:
    schedule = context.settings.automation.schedule
    if schedule is not None:
        tick = rfc3339(schedule.last_tick_us(context.clock.now_us()))
        yield Event(source=f"schedule {schedule.text}", source_id=tick, kind=EventKind.SCHEDULE)


def _of_environment(context: Context, target: Target) -> Iterator[Event]:
    """What an environment itself is due for."""
    if not target.rules.on:
        return
    yield from _behind(context, target.environment)
    now_us = context.clock.now_us()
    for failure in standing_failures(context, target.environment):
        again_us = retry_us(failure)
        if again_us is not None and now_us >= again_us:
            identity = f"{failure.asset or 'everything'} {failure.key} {failure.times} {rfc3339(failure.last_us)}"
            yield Event(source=f"retry in {target.environment}", source_id=identity, kind=EventKind.RETRY)
    with context.ledger.reading() as connection:
        last = events.last_decision(connection, target.environment)
    if last is not None and last.code == "budget" and rfc3339(last.created_us)[:10] != rfc3339(now_us)[:10]:
        yield Event(source=f"budget of {target.environment}", source_id=rfc3339(now_us)[:10], kind=EventKind.SCHEDULE)


def _behind(context: Context, environment: str) -> Iterator[Event]:
    """Rows that another environment's run, or a person, has taken in."""
    with context.ledger.reading() as connection:
        head = environments.head(connection, environment)
    for snapshot in behind(context, head):
        assert head is not None
        yield Event(
            source=f"source {snapshot.table}",
            source_id=f"{environment}@{head.number} {snapshot.id}",
            kind=EventKind.DATA,
            body={"rows": snapshot.rows, "snapshot": snapshot.number, "environment": environment},
        )
