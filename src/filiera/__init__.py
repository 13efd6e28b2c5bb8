"""filiera: a controlled supply chain for machine learning.

A pipeline is plain functions and one settings file:

    import filiera as fl

    @fl.table(partition="month", lookback="1h")      # a derived table; its parameters name what it reads
    def features(scada): ...

    @fl.model(predicts="power_kw", inputs=["wind_ms"], split=fl.backtest(windows=5, train="91d"))
    def power(features, *, leaves=fl.between(4, 48)): ...

In a notebook, `fl.open()` is the project of this folder: `read`, `plan`, `apply`, `study`, `predict`. The same methods
stand behind the command line and the server. The rooms: `collect`, `ingest`, `lake`, `train`, `serve` are the five
phases; `dimensions` sees what changed and does what follows; `ledger` remembers; `govern` allows; `engine` runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from filiera.authoring import Model, backtest, between, choice, folds, holdout, model, sql, table
    from filiera.workspace import Workspace

__version__ = "0.1.0"
__all__ = ["Model", "backtest", "between", "choice", "folds", "holdout", "model", "open", "sql", "table"]


def __getattr__(name: str) -> Any:
    """The words of a pipeline, loaded when the first is used: the command line needs none of them."""
    if name not in __all__:
        raise AttributeError(f"module 'filiera' has no attribute '{name}'")
    from filiera import authoring

    return getattr(authoring, name)


def open(path: str | Path = ".") -> Workspace:
    """The project of this folder, or of the nearest one above that has a `filiera.toml`."""
    from pathlib import Path

    from filiera.places import find_root
    from filiera.workspace import Workspace

    return Workspace.open(find_root(Path(path).resolve()))
