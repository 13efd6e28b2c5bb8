"""What a pipeline is written with: `table`, `model`, how to split rows, and what to search.

Decorated functions stay plain functions: they can be called in a test or a notebook. Only the standard library is
imported here, since every pipeline imports this.
"""

from __future__ import annotations

import inspect
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from filiera.core.asset import Parameter, Split
from filiera.errors import CodeError

F = TypeVar("F", bound=Callable[..., Any])

ATTRIBUTE = "__filiera__"  #: where a function carries its definition
PARTITIONS = ("day", "month")
SCORES = ("mae", "rmse")
ORDERS = ("fixed", "free")

_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(s|min|h|d|w)\s*$")
_US = {"s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDefinition:
    """What `@table` was told."""

    partition: str | None
    lookback_us: int
    key: tuple[str, ...] | None
    uses: tuple[str, ...] = ()  #: what dynamic code reaches; empty = anything
    columns: tuple[str, ...] | Mapping[str, tuple[str, ...]] | None = None  #: of its input, or by input; None = all
    files: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Query:
    """A table in SQL, as `sql` was told; its name is that of the variable."""

    text: str
    settings: Mapping[str, Any]
    definition: TableDefinition
    file: str  #: where it is written
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDefinition:
    """What `@model` was told."""

    predicts: str
    inputs: tuple[str, ...]
    split: Split
    trials: int
    score: str
    seed: int
    order: str
    uses: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    tolerance: float | None = None


class Model:
    """Annotation of a parameter that is a trained model; at run time it has `predict(frame)`.

    On rows a model was trained on, `predict` gives its out-of-window value, and null before the first window: no
    result is ever in-sample.
    """

    def predict(self, frame: Any) -> Any:
        """One prediction a row, in the target's unit; null where there is no honest one."""
        raise CodeError(
            "model.not_here",
            "fl.Model is filled in when filiera runs the pipeline",
            next="use `filiera.open().predict(...)` in a notebook",
        )


def duration_us(text: str) -> int:
    """Microseconds of `30d`, `1h`, `15min`, `10s` or `2w`.

    >>> duration_us("1h")
    3600000000

    Raises:
        CodeError: not a duration; months and years have no fixed length.
    """
    match = _DURATION.match(text) if isinstance(text, str) else None
    if not match:
        lengthless = isinstance(text, str) and re.search(r"\d\s*(mo|M|y|Y)", text)
        raise CodeError(
            "code.duration", f"`{text}` is no duration", expected="a number and s, min, h, d or w, such as 30d",
            next="months and years have no fixed length: write days" if lengthless else "",
        )  # fmt: skip
    return round(float(match[1]) * _US[match[2]])


def _length_us(name: str, text: str) -> int:
    length = duration_us(text)
    if length == 0:
        raise CodeError("code.duration", f"{name} has no length", expected="longer than 0", found=text)
    return length


def table(
    function: F | None = None,
    /,
    *,
    partition: str | None = None,
    lookback: str | None = None,
    key: Sequence[str] | None = None,
    uses: Sequence[str] = (),
    columns: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    files: Sequence[str] = (),
    variables: Sequence[str] = (),
) -> Any:
    """A derived table: its parameters name what it reads, its result is its rows.

    Args:
        function: the function, when used without brackets.
        partition: "day" or "month" = computed in parts; only new and changed days are computed again.
        lookback: rows handed over before a part, such as "1h"; only with `partition`.
        key: columns that identify a row; default: those of the first table it reads.
        uses: modules or functions of the project that code named by computed texts may reach, such as
            `["models.linear"]`; default: anything may be meant.
        columns: what it reads of its input besides key and time; with several inputs by their names, such as
            `{"scada": ["wind_ms"]}`. A change in another column computes nothing again. Default: all.
        files: files that the function reads, as paths or patterns relative to the project, written out as a list.
        variables: environment variables that the function reads, written out as a list; no secrets.

    Raises:
        CodeError: another partition, a lookback without one, or a list that is none.
    """
    definition = _table_definition(
        partition=partition,
        lookback=lookback,
        key=key,
        uses=_names("uses", uses) if uses else (),
        columns=_columns(columns),
        files=_texts("files", files),
        variables=_texts("variables", variables),
    )
    return _attach(function, definition)


def _table_definition(
    *, partition: str | None, lookback: str | None, key: Sequence[str] | None, **more: Any
) -> TableDefinition:
    if partition not in (None, *PARTITIONS):
        raise CodeError(
            "code.partition", f"`{partition}` is no partition", expected=" or ".join(PARTITIONS), found=repr(partition)
        )
    if lookback and partition is None:
        raise CodeError(
            "code.lookback", "a lookback without partition has no meaning", next='add partition="month" or drop it'
        )
    return TableDefinition(
        partition=partition,
        lookback_us=duration_us(lookback) if lookback else 0,
        key=_names("key", key) if key is not None else None,
        **more,
    )


def sql(
    text: str,
    /,
    *,
    partition: str | None = None,
    lookback: str | None = None,
    key: Sequence[str] | None = None,
    **settings: Any,
) -> Any:
    """A derived table written in SQL: `features = fl.sql("SELECT at, device, load FROM readings")`.

    The tables in FROM and JOIN are what it reads; the variable's name is its own.

    Args:
        text: one query that polars runs; `:least` stands for the setting `least`.
        partition: as of `table`.
        lookback: as of `table`.
        key: as of `table`.
        settings: values of the query's settings: texts, numbers, booleans, None, or lists of these for IN.

    Raises:
        CodeError: no text, or as of `table`.
    """
    if not isinstance(text, str) or not text.strip():
        raise CodeError("code.sql", "a table in SQL is a text", expected="SELECT ...", found=repr(text)[:80])
    caller = sys._getframe(1)
    return Query(
        text=text,
        settings=settings,
        definition=_table_definition(partition=partition, lookback=lookback, key=key),
        file=caller.f_code.co_filename,
        line=caller.f_lineno,
    )


def model(
    *,
    predicts: str,
    inputs: Sequence[str],
    split: Split | None = None,
    trials: int = 100,
    score: str = "mae",
    seed: int = 0,
    order: str = "fixed",
    uses: Sequence[str] = (),
    files: Sequence[str] = (),
    variables: Sequence[str] = (),
    tolerance: float | None = None,
) -> Any:
    """A model: the function gives an unfitted estimator for one setting of its parameters.

    With parameters named `train` and `valid` it fits by itself and gives the fitted model.

    Args:
        predicts: the target column.
        inputs: columns the model sees; never the target.
        split: how rows are divided for scoring; default `backtest()`.
        trials: upper limit; the search stops earlier where more accuracy no longer pays.
        score: "mae" or "rmse", in the target's unit.
        seed: of everything random.
        order: "fixed" = a study that was interrupted ends like one that was not, whatever order its trials end in;
            "free" = a trial is proposed from all that have ended, so no worker waits for a slow one.
        uses: as of `table`.
        files: files that the function reads, as paths or patterns relative to the project, written out as a list.
        variables: environment variables that the function reads, written out as a list; no secrets.
        tolerance: relative difference of the score that a repeated fit may show, where fits do not repeat bit by bit;
            `filiera reproduce` then compares scores, not packages.

    Raises:
        CodeError: no inputs, one twice, the target among them, an unknown score, fewer than one trial, or a tolerance
            that is none.
    """
    columns = _names("inputs", inputs)
    if predicts in columns:
        raise CodeError("code.target_input", f"the model sees its own target {predicts}", next="take it out of inputs")
    if score not in SCORES:
        raise CodeError("code.score", f"`{score}` is no score", expected=" or ".join(SCORES))
    if order not in ORDERS:
        raise CodeError("code.order", f"`{order}` is no order of trials", expected=" or ".join(ORDERS))
    if split is not None and not isinstance(split, Split):
        raise CodeError("code.split", f"`{split}` is no split", expected="fl.backtest(), fl.holdout() or fl.folds()")
    _at_least("trials", trials, 1)
    _at_least("seed", seed, 0)
    _share("tolerance", tolerance)
    definition = ModelDefinition(
        predicts=predicts, inputs=columns, split=split or backtest(), trials=trials, score=score, seed=seed,
        order=order, uses=_names("uses", uses) if uses else (), files=_texts("files", files),
        variables=_texts("variables", variables), tolerance=tolerance,
    )  # fmt: skip
    return _attach(None, definition)


def _columns(given: Any) -> tuple[str, ...] | dict[str, tuple[str, ...]] | None:
    """Columns of the one input, or by input."""
    if isinstance(given, Mapping) and given:
        return {str(name): _names("columns", columns) for name, columns in given.items()}
    return _names("columns", given) if given is not None else None


def _texts(word: str, given: Sequence[str]) -> tuple[str, ...]:
    """Texts, each once; none is fine."""
    if isinstance(given, str) or not all(isinstance(text, str) and text for text in given):
        raise CodeError(f"code.{word}", f"`{word}` is a list of texts", found=repr(given))
    return tuple(dict.fromkeys(given))


def _names(word: str, given: Sequence[str]) -> tuple[str, ...]:
    """Names of columns, or of code, each once."""
    if isinstance(given, str) or not given or not all(isinstance(name, str) and name for name in given):
        what, example = ("code", "models.linear") if word == "uses" else ("columns", "wind_ms")
        raise CodeError(
            f"code.{word}", f"`{word}` names {what}", expected=f'a list such as ["{example}"]', found=repr(given)
        )
    twice = sorted({name for name in given if list(given).count(name) > 1})
    if twice:
        raise CodeError(f"code.{word}", f"`{word}` names {', '.join(twice)} twice", expected="each once")
    return tuple(given)


def _at_least(word: str, given: int, least: int) -> None:
    if isinstance(given, bool) or not isinstance(given, int) or given < least:
        raise CodeError(f"code.{word}", f"`{word}` is a whole number", expected=f"{least} or more", found=repr(given))


def _share(word: str, given: float | None) -> None:
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if given is not None and not (number and 0 < given < 1):
        raise CodeError(f"code.{word}", f"`{word}` is a share", expected="above 0 and below 1", found=repr(given))


def _attach(function: F | None, definition: TableDefinition | ModelDefinition) -> Any:
    def decorate(decorated: F) -> F:
        if not inspect.isfunction(decorated):
            raise CodeError("code.decorated", "only a function becomes an asset", found=type(decorated).__name__)
        setattr(decorated, ATTRIBUTE, definition)
        return decorated

    return decorate if function is None else decorate(function)


def backtest(*, windows: int = 5, train: str | None = None, test: str = "30d", gap: str = "0d") -> Split:
    """Windows in time: train before, test after, never the other way round.

    Args:
        windows: how many, the newest last.
        train: length of training rows before each window; None = all earlier rows.
        test: length of a window; windows sit on a fixed calendar grid, so that new rows do not move old windows.
        gap: time between training and window.
    """
    _at_least("windows", windows, 1)
    return Split(
        kind="backtest",
        windows=windows,
        train_us=_length_us("train", train) if train is not None else None,
        test_us=_length_us("test", test),
        gap_us=duration_us(gap),
    )


def holdout(*, test: str = "30d", gap: str = "0d") -> Split:
    """One window: the newest rows; everything earlier is for training."""
    return Split(kind="holdout", windows=1, test_us=_length_us("test", test), gap_us=duration_us(gap))


def folds(count: int = 5) -> Split:
    """Folds by the hash of each row's key; only for rows without time, where no order can be violated."""
    _at_least("folds", count, 2)
    return Split(kind="folds", windows=count)


@dataclass(frozen=True, slots=True)
class Search:
    """One dimension of a search, before it has a name."""

    kind: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()

    def named(self, name: str) -> Parameter:
        """The parameter called `name`."""
        return Parameter(name=name, kind=self.kind, low=self.low, high=self.high, log=self.log, choices=self.choices)


def between(low: float, high: float, *, log: bool = False) -> Any:
    """A range to search; whole bounds give whole numbers.

    Raises:
        CodeError: the bounds are not in order, or a logarithmic range does not begin above zero.
    """
    numbers = all(isinstance(b, int | float) and not isinstance(b, bool) and math.isfinite(b) for b in (low, high))
    if not numbers or not low < high or (log and low <= 0):
        raise CodeError("code.between", f"between({low}, {high}) is no range", expected="low < high; above 0 with log")
    whole = isinstance(low, int) and isinstance(high, int)
    return Search("integer" if whole else "float", float(low), float(high), log)


def choice(*options: Any) -> Any:
    """Some values to choose from: texts, numbers, booleans or None.

    Raises:
        CodeError: none, or one that is no plain value.
    """
    plain = all(isinstance(option, str | int | float | bool | None) for option in options)
    finite = all(math.isfinite(option) for option in options if isinstance(option, float))
    if not options or not plain or not finite:
        raise CodeError("code.choice", "a choice is made of plain values", expected="texts, numbers, booleans, None")
    return Search("choice", choices=options)
