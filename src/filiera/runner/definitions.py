"""The pipeline's module, and the definitions of assets in it."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from filiera.authoring import ATTRIBUTE, Query
from filiera.code.notebook import place
from filiera.errors import CodeError

PIPELINE = "pipeline"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")


@dataclass(frozen=True, slots=True)
class Defined:
    """What defines an asset, and the module and name under which it is found again."""

    name: str  #: of the asset
    module: str
    attribute: str
    written: Callable[..., Any] | Query

    @property
    def query(self) -> Query | None:
        """What a table in SQL was told; None of a function."""
        return self.written if isinstance(self.written, Query) else None

    @property
    def function(self) -> Callable[..., Any]:
        """The function; a table in SQL has none."""
        assert not isinstance(self.written, Query)
        return self.written


def load_function(module: str, name: str) -> Callable[..., Any]:
    """The function of a definition; the pipeline is imported first, so that all see the same effects of imports."""
    if importlib.util.find_spec(PIPELINE) is not None:
        importlib.import_module(PIPELINE)
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


def load_pipeline(root: Path) -> ModuleType:
    """Import the pipeline of the bundle below `root`.

    Raises:
        CodeError: there is none, it is no Python, or its import fails; with file and line.
    """
    if not (root / f"{PIPELINE}.py").is_file() and not (root / PIPELINE / "__init__.py").is_file():
        raise CodeError(
            "code.no_pipeline", "the project has no pipeline.py or pipeline.ipynb",
            next="write one; see docs/quickstart.md",
        )  # fmt: skip
    try:
        return importlib.import_module(PIPELINE)
    except CodeError as error:
        raise CodeError(
            error.code,
            error.message,
            expected=error.expected,
            found=error.found,
            next=error.next,
            where=_place(root, error),
        ) from error
    except SyntaxError as error:
        where = place(root, error.filename or PIPELINE, error.lineno)
        raise CodeError("code.syntax_error", error.msg, where=where, next="mend the line and run again") from error
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        missing = isinstance(error, ModuleNotFoundError)
        raise CodeError(
            "code.import_failed", f"pipeline.py cannot be imported: {type(error).__name__}: {error}",
            where=_place(root, error),
            next="install it for the project's interpreter" if missing else "mend it; nothing ran and nothing changed",
        ) from error  # fmt: skip


def _place(root: Path, error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(root)]
    if not frames:
        return "pipeline.py"
    return place(root, frames[-1].filename, frames[-1].lineno)


def definitions(module: ModuleType, sources: Mapping[str, Any]) -> dict[str, Defined]:
    """The functions and queries of the pipeline that define an asset, by name.

    A function goes by its own name where its module has it under that name; else, as one that a factory made, by the
    name that the pipeline gave it.

    Raises:
        CodeError: a name that no asset can have, or that is taken.
    """
    found: dict[str, Defined] = {}
    for bound, written in vars(module).items():
        if not isinstance(written, Query) and not (inspect.isfunction(written) and hasattr(written, ATTRIBUTE)):
            continue
        own = "" if isinstance(written, Query) else written.__name__
        home = sys.modules.get(written.__module__)
        at_home = bool(own) and getattr(home, own, None) is written
        name = own if at_home else bound
        if not _NAME.match(name):
            raise CodeError(
                "code.name", f"`{name}` is no name of an asset", where=where_of(written),
                expected="small letters, digits and _, a letter first, at most 63",
            )  # fmt: skip
        if name in sources or (name in found and found[name].written is not written):
            other = "a source of filiera.toml" if name in sources else f"that of {where_of(found[name].written)}"
            raise CodeError(
                "code.name_taken", f"the name {name} is taken by {other}", where=where_of(written),
                next="choose another",
            )  # fmt: skip
        found[name] = Defined(name, written.__module__ if at_home else module.__name__, name, written)
    return found


def where_of(written: Callable[..., Any] | Query) -> str:
    """File and line of a definition."""
    if isinstance(written, Query):
        return place(Path(written.file).parent, written.file, written.line)
    path = inspect.getsourcefile(written) or PIPELINE
    return place(Path(path).parent, path, written.__code__.co_firstlineno)
