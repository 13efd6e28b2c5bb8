"""What every step of a plan works with: the open project."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from filiera.clock import Clock
from filiera.core.asset import Graph, Model, Table
from filiera.core.progress import Progress, Silent
from filiera.core.snapshot import Snapshot
from filiera.cost.prices import Prices
from filiera.dimensions.bundle import Bundle, code_files, collect_bundle
from filiera.dimensions.declared import UNSET, declarations, declared_files
from filiera.dimensions.runtime import engine_of, workers
from filiera.engine.process import ProcessEngine
from filiera.engine.task import Scope
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
    fingerprint: Callable[[str, str], str]  #: keyed digest of a text, for values that are not to be stored
    environ: Mapping[str, str]  #: of this process; code sees of it what it declares
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

    def variable_digest(self, name: str) -> str:
        """What stands in a key for the value of an environment variable."""
        value = self.environ.get(name)
        return UNSET if value is None else self.fingerprint(value, f"variable/{name}")

    def values(self, names: Iterable[str]) -> dict[str, str]:
        """The environment variables of these names that have a value."""
        return {name: self.environ[name] for name in names if name in self.environ}

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
    """The code as it stands in the folder, and the files that it declares."""
    return code_bundle(settings.root)


def code_bundle(root: Path) -> Bundle:
    """The code below a folder, and the files that it declares."""
    patterns = declarations(root, code_files(root)).files
    files = declared_files(root, patterns).values()
    return collect_bundle(root, [path for fitting in files for path in fitting])


def scope_of(context: Context, asset: Table | Model) -> Scope:
    """Whose code a task runs: what it is known to load, and the variables that it declares."""
    manifest = asset.code.manifest
    return Scope(
        asset=asset.name,
        modules=frozenset(manifest.get("modules", ())),
        variables=context.values(manifest.get("declared_variables", {})),
    )
