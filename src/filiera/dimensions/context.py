"""What every step of a plan works with: the open project."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from filiera.clock import Clock
from filiera.core.asset import Graph
from filiera.core.progress import Progress, Silent
from filiera.core.snapshot import Snapshot
from filiera.cost.prices import Prices
from filiera.dimensions.bundle import Bundle, collect_bundle
from filiera.dimensions.runtime import engine_of, workers
from filiera.engine.process import ProcessEngine
from filiera.lake.access import LakeReader
from filiera.lake.table import Lake
from filiera.ledger.journal import Ledger
from filiera.settings import Settings


@dataclass(slots=True)
class Context:
    """The open project, and whose work this is."""

    settings: Settings
    ledger: Ledger
    lake: Lake
    reader: LakeReader
    prices: Prices
    clock: Clock
    principal: str
    purpose: str
    progress: Progress = field(default_factory=Silent)
    waited_for: bool = True
    _engine: ProcessEngine | None = None

    @property
    def workers(self) -> int:
        """Tasks at the same time: one per core that this process may use."""
        return workers()

    @property
    def engine(self) -> ProcessEngine:
        """The engine, started when first used."""
        if self._engine is None:
            self._engine = engine_of(self.settings)
        return self._engine

    def close(self) -> None:
        """End the engine's processes."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def unpack(self, bundle: Bundle) -> Path:
        """The folder of a bundle's code."""
        folder = self.settings.state / "bundles"
        folder.mkdir(mode=0o700, exist_ok=True)
        return bundle.unpack(folder)

    def read(
        self,
        snapshot: Snapshot,
        columns: list[str] | None = None,
        low_us: int | None = None,
        high_us: int | None = None,
    ) -> pa.Table:
        """Rows for a job, through the Reader."""
        return self.reader.read(
            snapshot, principal=self.principal, purpose=self.purpose, columns=columns, low_us=low_us, high_us=high_us
        )


@dataclass(frozen=True, slots=True)
class Definitions:
    """The graph, and the code it was described from."""

    graph: Graph
    bundle: Bundle
    root: Path  #: unpacked, read-only


def working_bundle(settings: Settings) -> Bundle:
    """The code as it stands in the folder."""
    return collect_bundle(settings.root)
