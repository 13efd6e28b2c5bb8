"""What polars makes of a query, asked on tables without rows: its plan, the columns it gives, and what it refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from filiera.errors import CodeError, nearest
from filiera.runner.query import Query, place
from filiera.runner.sql import bound

Schema = Mapping[str, Any]  #: type of polars by column
#: Stand for the types of an input that is not known before it is computed.
_GUESSES = ("Float64", "String", "Datetime")
_ADVICE = "mend the query, or write the table in Python"


@dataclass(frozen=True)
class Check:
    """One query with the inputs that it will read."""

    query: Query
    settings: Mapping[str, Any]
    schemas: Mapping[str, Schema | None]  #: of each input; None = not known before it is computed

    def is_same_for(self, columns: Mapping[str, Sequence[str]]) -> bool:
        """Whether the query gives the same columns from these of its inputs; True where it cannot be told."""
        fewer = self._only(columns)
        if self.plan(self.query.exact) is None:
            return True
        return fewer.plan(self.query.exact) is not None and fewer.result() == self.result()

    def _only(self, columns: Mapping[str, Sequence[str]]) -> Check:
        fewer = {
            asset: {c: kind for c, kind in schema.items() if c in columns.get(asset, schema)} if schema else schema
            for asset, schema in self.schemas.items()
        }
        return replace(self, schemas=fewer)

    def plan(self, text: Sequence[str]) -> tuple[str | None, ...] | None:
        """What polars would do for a text, once for every guess; None where it cannot be told."""
        found = tuple(self._try(text, guess)[0] for guess in self._guesses)
        return found if any(found) else None

    def result(self) -> dict[str, Any] | None:
        """Columns of the result, in types of the lake; None where an input is not known.

        Raises:
            CodeError: polars refuses the query, whatever comes in; with its place where that is known.
        """
        from polars.exceptions import SQLInterfaceError, SQLSyntaxError

        errors = [self._try(self.query.exact, guess)[1] for guess in self._guesses]
        known = None not in self.schemas.values()
        if all(errors) and (known or all(isinstance(e, SQLInterfaceError | SQLSyntaxError) for e in errors)):
            raise self._refused(errors[0]) from errors[0]
        if not known:
            return None
        frame = self._frame(self.query.exact, _GUESSES[0])
        return {column: _in_lake(kind) for column, kind in frame.collect_schema().items()}

    @property
    def _guesses(self) -> Sequence[str]:
        return _GUESSES if None in self.schemas.values() else _GUESSES[:1]

    def _try(self, text: Sequence[str], guess: str) -> tuple[str | None, Exception | None]:
        from polars.exceptions import PolarsError

        try:
            return _numbered(self._frame(text, guess).explain(optimized=False)), None
        except PolarsError as error:
            return None, error

    def _frame(self, text: Sequence[str], guess: str) -> Any:
        import polars as pl

        guessed = dict.fromkeys(self.query.named, getattr(pl, guess))
        frames = {
            asset: pl.DataFrame(schema=guessed if schema is None else dict(schema))
            for asset, schema in self.schemas.items()
        }
        return pl.SQLContext(frames).execute(bound(text, self.settings), eager=False)

    def _refused(self, error: Exception | None) -> CodeError:
        message = str(error).splitlines()[0]
        column = re.match(r'unable to find column "([^"]*)"', message)
        if column is None:
            return CodeError("code.sql", f"polars refuses the query: {message}", where=self.query.where, next=_ADVICE)
        starts = [word.start for word in self.query.words if word.text.strip('"') == column[1]]
        where = f"{self.query.where}, {place(self.query.text, starts[0])}" if starts else self.query.where
        known = [name for schema in self.schemas.values() for name in schema or ()]
        return CodeError(
            "code.sql_column", f"no input has a column `{column[1]}`", where=where, next=nearest(column[1], known)
        )


def _numbered(plan: str) -> str:
    """A plan with names of its own that do not count on from query to query."""
    found: dict[str, str] = {}
    return re.sub(r"_POLARS_\w+", lambda match: found.setdefault(match[0], f"own{len(found)}"), plan)


def source_schema(types: Mapping[str, str]) -> dict[str, Any]:
    """The columns of a source as a query sees them: categories are texts."""
    import polars as pl

    kinds = {"time": pl.Datetime("us", "UTC"), "float": pl.Float64, "integer": pl.Int64, "boolean": pl.Boolean}
    return {column: kinds.get(kind, pl.String) for column, kind in types.items()}


def _in_lake(kind: Any) -> Any:
    import polars as pl

    if kind in (pl.Date, pl.Datetime):
        return pl.Datetime("us", "UTC")
    if kind.is_integer():
        return pl.Int64
    return pl.Float64 if kind.is_float() or kind.is_decimal() else kind
