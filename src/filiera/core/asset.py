"""The graph as data: what the describe step found in a pipeline, without any of its code.

The control plane works on these values only; it never imports the user's modules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

DAY_US = 86_400_000_000


class Frame(StrEnum):
    """The form in which a function wants its rows, told by the annotation."""

    PANDAS = "pandas"
    POLARS = "polars"
    PYARROW = "pyarrow"
    NUMPY = "numpy"
    MODEL = "model"  #: a fitted model version, from `fl.Model`


@dataclass(frozen=True, slots=True)
class Port:
    """One input of an asset."""

    asset: str  #: name of the asset read
    frame: Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Where a definition stands and what it can reach."""

    module: str
    name: str
    digest: str  #: of the closure manifest
    manifest: Mapping[str, Any]  #: units, effects, libraries and flags; "why" is a difference of two of these


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A derived table."""

    name: str
    inputs: tuple[Port, ...]
    settings: Mapping[str, Any]  #: keyword parameters with their defaults
    partition: str | None  #: "day", "month" or None = computed whole
    lookback_us: int  #: rows handed over before a part, microseconds
    key: tuple[str, ...] | None  #: None = device and time of its first table input
    code: Code
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  #: read besides key and time, by input
    query: tuple[str, ...] = ()  #: in SQL: its text, cut at its settings: text, setting, text ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How rows are divided for scoring; durations in microseconds.

    `backtest`: `windows` windows of `test_us` on a fixed calendar grid (multiples of `test_us` since 1970), each
    trained on the `train_us` (None = all) that end `gap_us` before it. `holdout`: the last `test_us`, same rule.
    `folds`: `windows` folds by hash of the row's key; only for rows without time.
    """

    kind: str  #: "backtest", "holdout" or "folds"
    windows: int
    train_us: int | None = None
    test_us: int | None = None
    gap_us: int = 0

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return {
            "kind": self.kind,
            "windows": self.windows,
            "train_us": self.train_us,
            "test_us": self.test_us,
            "gap_us": self.gap_us,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One dimension of a search space: a range, a list of choices, or one fixed value."""

    name: str
    kind: str  #: "float", "integer", "choice" or "fixed"
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()  #: for "choice"; for "fixed" exactly one

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return {
            "name": self.name,
            "kind": self.kind,
            "low": self.low,
            "high": self.high,
            "log": self.log,
            "choices": list(self.choices),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model: a study over a space, a winner, a package."""

    name: str
    inputs: tuple[Port, ...]  #: exactly one table port in this version
    predicts: str  #: target column
    features: tuple[str, ...]  #: columns the model sees; never device, time or target
    split: Split
    space: tuple[Parameter, ...]
    trials: int  #: upper limit of trials
    form: str  #: "estimator" (returns an unfitted one) or "trainer" (has parameters train and valid, fits by itself)
    score: str  #: "mae" or "rmse"; lower is better
    seed: int
    code: Code
    order: str = "fixed"  #: of trials, "fixed" or "free"; not part of the study's identity
    tolerance: float | None = None  #: relative, of the score of a repeated fit; None = it repeats bit by bit


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Every definition of one project at one moment."""

    sources: tuple[str, ...]  #: declared in filiera.toml
    tables: tuple[Table, ...]
    models: tuple[Model, ...]
    runtime: str  #: digest of the interpreter and its libraries
    runtime_manifest: Mapping[str, Any] = field(default_factory=dict)  #: python, platform, name -> version
    warnings: tuple[str, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)  #: of each definition, by asset; see `core.key`

    @cached_property
    def definitions(self) -> tuple[Table | Model, ...]:
        """Tables, then models."""
        return (*self.tables, *self.models)

    @cached_property
    def _by_name(self) -> Mapping[str, Table | Model]:
        return {asset.name: asset for asset in self.definitions}

    def find(self, name: str) -> Table | Model | None:
        """The definition called `name`, or None (sources have no definition here)."""
        return self._by_name.get(name)

    @cached_property
    def layers(self) -> tuple[tuple[Table | Model, ...], ...]:
        """Definitions by depth: a layer reads from earlier layers and sources only; by name within a layer.

        Raises:
            ValueError: the graph has a cycle.
        """
        depth: dict[str, int] = {}
        for asset in self._inputs_first():
            depth[asset.name] = 1 + max((depth.get(port.asset, -1) for port in asset.inputs), default=-1)
        layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
        for name in sorted(depth):
            layers[depth[name]].append(name)
        return tuple(tuple(self._by_name[name] for name in layer) for layer in layers)

    def _inputs_first(self) -> Iterable[Table | Model]:
        """The definitions as they stand, when inputs come before their readers already; else sorted so."""
        seen = set(self.sources)
        for asset in self.definitions:
            if not all(port.asset in seen for port in asset.inputs):
                return map(self._by_name.__getitem__, self._sorted())
            seen.add(asset.name)
        return self.definitions

    def _sorted(self) -> Iterable[str]:
        from graphlib import CycleError, TopologicalSorter

        inner = self._by_name.keys()
        needs = {asset.name: [p.asset for p in asset.inputs if p.asset in inner] for asset in self.definitions}
        try:
            return tuple(TopologicalSorter(needs).static_order())
        except CycleError as error:
            raise ValueError(f"the graph has a cycle through {', '.join(sorted(set(error.args[1])))}") from error

    def ordered(self) -> Iterator[Table | Model]:
        """Definitions such that inputs come before their readers."""
        for layer in self.layers:
            yield from layer
