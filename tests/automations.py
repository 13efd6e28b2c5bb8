"""A tiny project that runs by itself: one source, no table, no model; so no child process is needed."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from filiera.automation.target import Target, targets
from filiera.automation.turn import Turn, turn
from filiera.clock import US_PER_DAY, US_PER_S, FixedClock
from filiera.core.event import Event, Intent
from filiera.core.generation import DEV, PROD, Generation
from filiera.dimensions.context import Context
from filiera.ledger import environments, events, intents
from filiera.workspace import Workspace

SETTINGS = """
[project]
name = "tiny"
owner = "tests"
purposes = ["testing"]

[source.readings]
from = "data/*.csv"
device = "device"
time = "at"

[source.readings.columns]
device = { type = "category" }
at     = { type = "time" }
load   = { unit = "kW" }
"""
#: Everything is due at once.
AT_ONCE = 'data_quiet = "0s"\ndata_max_wait = "0s"\ncode_quiet = "0s"\ncode_max_wait = "0s"\n'
BEGIN_US = 20_000 * US_PER_DAY + 12 * 3600 * US_PER_S  #: noon of a day in 2024


def rows(day: int, count: int = 5) -> str:
    """Rows of one day."""
    lines = [f"a,2024-01-{day:02}T{hour:02}:00:00Z,{day + hour / 10}" for hour in range(count)]
    return "\n".join(["device,at,load", *lines]) + "\n"


def make_template(root: Path) -> Path:
    """An initialised project without rows whose pipeline was described already."""
    (root / "data").mkdir(parents=True)
    (root / "filiera.toml").write_text(SETTINGS)
    (root / "pipeline.py").write_text("import filiera as fl\n")
    with Workspace.create(root, clock=FixedClock(BEGIN_US))[0] as workspace:
        workspace.plan()
    return root


def copy(template: Path, root: Path, automation: str | None = AT_ONCE) -> Path:
    """A copy with `[automation]`; None = without."""
    shutil.copytree(template, root)
    if automation is not None:
        (root / "filiera.toml").write_text(f"{SETTINGS}\n[automation]\n{automation}")
    return root


def drop(root: Path, day: int, count: int = 5) -> None:
    """A new file of a day."""
    (root / "data" / f"day{day}.csv").write_text(rows(day, count))


def release(workspace: Workspace) -> None:
    """Put what stands in dev into prod, as a release would; there is no model to judge."""
    head = workspace.head(DEV)
    assert head is not None
    with workspace.ledger.commit(actor="test", action="environment.release", object=PROD) as tx:
        generation = Generation(
            id=tx.new_id("gen"), environment=PROD, number=1, kind="release", assets=dict(head.assets),
            bundle=head.bundle, actor="test", created_us=tx.now_us,
        )  # fmt: skip
        environments.advance(tx, generation, 0)


@dataclass
class Up:
    """What `filiera up` does, turn by turn, at a time that the test tells."""

    workspace: Workspace
    clock: FixedClock
    name: str = "up"

    @classmethod
    def open(cls, root: Path, at_us: int = BEGIN_US, name: str = "up") -> Up:
        clock = FixedClock(at_us)
        return cls(Workspace.open(root, clock=clock), clock, name)

    @property
    def context(self) -> Context:
        return self.workspace._context

    @property
    def targets(self) -> tuple[Target, Target]:
        return targets(self.workspace.settings.automation)

    def turn(self, *, later_s: float = 0.0, started: bool = False) -> Turn:
        """One turn, `later_s` after the last; without the lock of applies, so that only the lease protects."""
        self.clock.us += round(later_s * US_PER_S)
        since = BEGIN_US if started else None
        return turn(self.context, self.name, nullcontext(), up_since_us=since, renew_s=None)

    def intents(self, *states: str) -> list[Intent]:
        known = states or ("pending", "waiting", "running", "done", "failed", "stale", "replaced")
        with self.workspace.ledger.reading() as connection:
            return intents.in_state(connection, *known)

    def events(self) -> list[Event]:
        with self.workspace.ledger.reading() as connection:
            return events.newest(connection, 10**6)[::-1]

    def codes(self, environment: str = DEV) -> list[str]:
        """What was decided in an environment, oldest first: the code of a skip, else the outcome."""
        with self.workspace.ledger.reading() as connection:
            found = events.decisions(connection, environment=environment)[::-1]
        return [item.code or item.outcome.value for item in found]

    def undecided(self, environment: str) -> int:
        with self.workspace.ledger.reading() as connection:
            return len(events.after(connection, events.cursor(connection, environment)))

    def generations(self, environment: str = DEV) -> int:
        head = self.workspace.head(environment)
        return head.number if head else 0

    def state(self) -> dict[str, object]:
        """What must come out equal whatever happened on the way."""
        head = self.workspace.lake.latest("readings")
        return {
            "rows": head.semantic if head else None,
            "generations": [self.generations(name) for name in (DEV, PROD)],
            "undecided": [self.undecided(name) for name in (DEV, PROD)],
            "open": len(self.intents("pending", "running")),
        }
