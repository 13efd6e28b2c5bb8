"""Small worlds for tests of cleaning: a real lake, traces, versions and generations, and a plain account of them."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from filiera.clean import Cleaner
from filiera.clock import FixedClock
from filiera.core.generation import Generation
from filiera.core.keep import Keep
from filiera.core.model import ModelVersion
from filiera.core.snapshot import Snapshot
from filiera.core.trace import Trace
from filiera.lake.table import Lake
from filiera.ledger import environments, holds, removals, snapshots, studies, traces
from filiera.ledger.journal import Tx
from lakes import DAY, batch, contract, open_lake, table

KEEP = Keep(generations=2, age_us=5 * DAY, trash_us=10 * DAY)


@dataclass
class Made:
    """What the account says of one output."""

    id: str
    asset: str
    created_us: int
    objects: set[str]
    bundle: str | None = None
    inputs: tuple[str, ...] = ()
    trace: str = ""


@dataclass
class World:
    """A project without pipeline; every method is one thing that happens to real ones."""

    folder: Path
    chance: random.Random
    clock: FixedClock = field(default_factory=lambda: FixedClock(time.time_ns() // 1_000))
    made: dict[str, Made] = field(default_factory=dict)
    newest: dict[str, Snapshot | ModelVersion] = field(default_factory=dict)
    heads: dict[str, list[tuple[str, dict[str, str], str]]] = field(default_factory=dict)  #: kind, outputs, bundle
    held: set[str] = field(default_factory=set)
    steps: int = 0

    def __post_init__(self) -> None:
        self.lake: Lake = open_lake(self.folder, self.clock)

    @property
    def cleaner(self) -> Cleaner:
        return Cleaner(self.lake, KEEP, "me")

    def rows(self) -> list[tuple[str, int, float | None]]:
        return [(name, day, self.chance.random()) for name in "ab" for day in range(1, 4)]

    def store_code(self) -> str:
        digest = f"sha256:{self.chance.randrange(3):064x}"
        with self.lake.ledger.reading() as connection:
            stored = environments.get_bundle(connection, digest) and not removals.is_gone(connection, digest)
        if not stored:
            record = self.lake.objects.put(b"code")
            with self.lake.ledger.commit(actor="me", action="bundle.keep", object=digest) as tx:
                environments.put_bundle(tx, digest, record)
            self.made[digest] = Made(digest, "code", self.clock.us, {record.object_id})
        return digest

    def ingest(self) -> None:
        self.steps += 1
        rows = [(f"d{self.steps}", day, 1.0) for day in range(1, 4)]
        self.lake.ingest(batch(rows, f"{self.chance.randrange(2)}.csv"), contract(), actor="me")
        self._note(self.lake.snapshot("scada"))

    def compact(self) -> None:
        if "scada" in self.newest:
            self._note(self.lake.compact("scada", actor="me"))

    def compute(self) -> None:
        """A table from another one's newest snapshot, whole or in slices upon an earlier one."""
        name = self.chance.choice(["features", "losses"])
        bundle, parent = self.store_code(), None
        mine = [m for m in self.standing() if m.asset == name]
        if mine and self.chance.random() < 0.6:
            with self.lake.ledger.reading() as connection:
                parent = snapshots.get(connection, self.chance.choice(mine).id)
        whole = (None, None, table(self.rows()))
        part = (2 * DAY, 3 * DAY, table([r for r in self.rows() if r[1] == 2]))
        source = self.newest.get("scada")
        inputs = {"scada": source.id} if source else {}
        snapshot = self.lake.replace_slices(
            name, parent, [part if parent else whole], key=("device", "at"), time="at", classes={}, units={},
            actor="me", effects=lambda tx, made: self._trace(tx, name, "table", made.id, made.semantic, inputs, bundle),
        )  # fmt: skip
        self._note(snapshot, bundle, tuple(inputs.values()))

    def train(self) -> None:
        """A version of a model from the newest features."""
        source = self.newest.get("features")
        if source is None or source.id not in {m.id for m in self.standing()}:
            return
        bundle, number = self.store_code(), sum(m.asset == "power" for m in self.made.values()) + 1
        parts = [self.lake.objects.put(text) for text in (b"package", b"predictions")]
        with self.lake.ledger.commit(actor="me", action="model.train", object="power") as tx:
            version = ModelVersion(
                id=tx.new_id("mdl"), name="power", number=number, study="std", digest=str(number), format="skops",
                package=parts[0].to_json(), predictions=parts[1].to_json(), inputs=(), settings={}, metrics={},
                train_low_us=None, train_high_us=None, runtime={}, releasable="", card={}, created_us=tx.now_us,
            )  # fmt: skip
            studies.record_version(tx, version)
            self._trace(tx, "power", "model", version.id, version.digest, {"features": source.id}, bundle)
        self.newest["power"] = version
        objects = {part.object_id for part in parts}
        self.made[version.id] = Made(version.id, "power", self.clock.us, objects, bundle, (source.id,))

    def advance(self, environment: str = "", kind: str = "apply") -> None:
        """An environment moves to what is newest and still there."""
        name = environment or self.chance.choice(["dev", "prod", "try"])
        there = {m.id for m in self.standing()}
        assets = {n: made.id for n, made in self.newest.items() if made.id in there and n != "scada"}
        if kind == "release" and "power" not in assets:
            return
        self._generation(name, kind, assets, self.store_code())

    def release(self) -> None:
        self.advance("prod", "release")

    def branch(self) -> None:
        """Begin an environment where another one stands."""
        alive = [name for name in sorted(self.heads) if self.heads[name][-1][0] != "delete"]
        if alive:
            _, assets, bundle = self.heads[self.chance.choice(alive)][-1]
            self._generation(f"branch{self.steps}", "branch", assets, bundle)

    def delete(self) -> None:
        alive = [name for name, past in self.heads.items() if name.startswith("branch") and past[-1][0] != "delete"]
        if alive:
            name = self.chance.choice(sorted(alive))
            self._generation(name, "delete", {}, self.heads[name][-1][2])

    def hold(self) -> None:
        """Hold a snapshot or version, or end a hold."""
        if self.held and self.chance.random() < 0.5:
            output = self.chance.choice([output for output in self.made if output in self.held])
            with self.lake.ledger.commit(actor="me", action="hold.release", object=output) as tx:
                holds.release(tx, output)
            self.held.discard(output)
            return
        able = [m.id for m in self.standing() if m.asset != "code"]
        if able:
            output = self.chance.choice(able)
            with self.lake.ledger.commit(actor="me", action="hold.place", object=output) as tx:
                holds.place(tx, output, output, "a test", "me")
            self.held.add(output)

    def wait(self) -> None:
        self.clock.us += self.chance.randrange(1, 4) * DAY

    # ---- the account

    def standing(self) -> list[Made]:
        """Outputs all of whose objects lie in the lake."""
        files = self.files()
        return [m for m in self.made.values() if m.objects <= files]

    def files(self) -> set[str]:
        return {path.name for path in (self.folder / ".filiera" / "lake").glob("*/*")}

    def must_stay(self) -> set[str]:
        """Outputs that have to be kept, told from the account alone."""
        kept: set[str] = set(self.held)
        for name, past in self.heads.items():
            for kind, outputs, _ in past:
                if kind == "release":
                    kept |= self._whole(outputs["power"])
            if past[-1][0] != "delete":
                for _, outputs, bundle in past if name == "prod" else past[-2:]:
                    kept |= {bundle, *outputs.values()}
        for output in self.held:
            kept |= self._whole(output) if self.made[output].asset == "power" else set()
        kept |= {m.id for m in self.made.values() if m.created_us > self.clock.us - KEEP.age_us}
        if "scada" in self.newest:
            kept.add(self.newest["scada"].id)
        return kept | {str(self.made[output].bundle) for output in kept if self.made[output].bundle}

    def _whole(self, output: str) -> set[str]:
        made = self.made[output]
        return {output, str(made.bundle), *made.inputs}

    def check(self) -> None:
        """Everything that must stay reads as it was recorded."""
        for output in sorted(self.must_stay()):
            made = self.made[output]
            with self.lake.ledger.reading() as connection:
                snapshot = snapshots.get(connection, output)
                version = studies.get_version(connection, output)
                code = environments.get_bundle(connection, output)
            if snapshot is not None:
                assert self.lake.rows(snapshot).num_rows == snapshot.rows
            elif version is not None:
                assert {str((version.package or {})["object_id"]), str((version.predictions or {})["object_id"])} == (
                    made.objects
                )
                assert made.objects <= self.files()
            else:
                assert code is not None
                assert self.lake.objects.get(code) == b"code"
        assert self.lake.ledger.verify().ok

    def _trace(
        self, tx: Tx, asset: str, kind: str, output: str, semantic: str, inputs: Mapping[str, str], bundle: str
    ) -> None:
        self.steps += 1
        trace = Trace(
            id=tx.new_id("trc"), asset=asset, kind=kind, key=f"key{self.steps}", run="run", inputs={},
            input_snapshots=inputs, code_digest="", manifest_digest="", output=output, output_semantic=semantic,
            seconds=0.0, cpu_seconds=0.0, cost_nano=0, input_rows=0, created_us=tx.now_us, bundle=bundle,
        )  # fmt: skip
        traces.record(tx, trace)

    def _note(self, snapshot: Snapshot, bundle: str | None = None, inputs: tuple[str, ...] = ()) -> None:
        self.newest[snapshot.table] = snapshot
        with self.lake.ledger.reading() as connection:
            batches = snapshots.visible(connection, snapshot.table, snapshot.number)
        objects = {part.object_id for item in batches for part in item.files.parts.values()}
        objects |= {item.files.sidecar.object_id for item in batches if item.files.sidecar}
        self.made.setdefault(
            snapshot.id, Made(snapshot.id, snapshot.table, snapshot.created_us, objects, bundle, inputs)
        )

    def _generation(self, name: str, kind: str, assets: dict[str, str], bundle: str) -> None:
        self.steps += 1
        with self.lake.ledger.reading() as connection:
            found = {asset: traces.of_output(connection, output) for asset, output in assets.items()}
        past = self.heads.setdefault(name, [])
        with self.lake.ledger.commit(actor="me", action=f"environment.{kind}", object=name) as tx:
            generation = Generation(
                id=tx.new_id("gen"), environment=name, number=len(past) + 1, kind=kind,
                assets={asset: trace.id for asset, trace in found.items() if trace}, bundle=bundle, actor="me",
                created_us=tx.now_us,
            )  # fmt: skip
            environments.advance(tx, generation, len(past))
        past.append((kind, dict(assets), bundle))


ACTIONS = (
    "ingest", "compact", "compute", "compute", "train", "advance", "advance", "release", "branch", "delete", "hold",
    "wait", "wait",
)  # fmt: skip
