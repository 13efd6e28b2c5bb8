"""Describe a table that is written in SQL: what it reads, and everything that it depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from filiera.code.closure import identity
from filiera.code.project import Project
from filiera.core.asset import Code, Frame, Port, Table
from filiera.digest import digest_json
from filiera.errors import CodeError, nearest
from filiera.runner.definitions import Defined, where_of
from filiera.runner.query import canonical, parse
from filiera.runner.queryreads import columns, tables
from filiera.runner.sql import literal
from filiera.runner.sqlcheck import Check, Schema, source_schema

MEANING = 1  #: of a query; raised when filiera would run the same text in another way


@dataclass(slots=True)
class Queries:
    """The tables in SQL of one pipeline; the columns that one gives are known to the next."""

    project: Project
    defined: Mapping[str, Defined]  #: every asset
    assets: Mapping[str, bool]  #: name of every asset, and whether it is a model
    sources: Mapping[str, Any]
    _schemas: dict[str, Schema | None] = field(default_factory=dict)
    _tables: dict[str, Table] = field(default_factory=dict)

    def table(self, name: str) -> Table:
        """The table called `name`.

        Raises:
            CodeError: its query is wrong; with its place.
        """
        if name not in self._tables:
            self._schemas[name] = None  # a circle of queries ends here, and is refused with the whole graph
            self._tables[name] = self._describe(name, self.defined[name])
        return self._tables[name]

    def _describe(self, name: str, defined: Defined) -> Table:
        written, where = defined.query, where_of(defined.written)
        assert written is not None, "only tables in SQL come here"
        definition, settings = written.definition, dict(written.settings)
        _require_plain(settings, where)
        query = parse(written.text, where, list(settings))
        inputs = tables(query, [asset for asset, is_model in self.assets.items() if not is_model and asset != name])
        if not inputs:
            raise CodeError("code.no_input", f"{name} reads nothing", where=where, expected="FROM and a table")
        schemas = {asset: self._schema(asset) for asset in inputs}
        check = Check(query, settings, schemas)
        self._schemas[name] = check.result()
        read = columns(query, {asset: list(schema) if schema else None for asset, schema in schemas.items()})
        if not check.is_same_for(read):
            read = {}  # it needs more than its text names
        source = self.sources.get(inputs[0], {"key": ()})
        self._require_key(name, definition.key or source["key"], where)
        text = canonical(query, check.plan)
        return Table(
            name=name,
            inputs=tuple(Port(asset, Frame.POLARS) for asset in inputs),
            settings=settings,
            partition=definition.partition,
            lookback_us=definition.lookback_us,
            key=definition.key,
            code=self._code(name, defined, text, query.moments),
            columns=read,
            query=text,
        )

    def _code(self, name: str, defined: Defined, text: Sequence[str], moments: Sequence[str]) -> Code:
        """No code of the project runs, so none of it counts: the query and polars are all there is."""
        manifest: dict[str, Any] = {
            "units": {f"query of {name}": digest_json("sql", MEANING, list(text))},
            "effects": {},
            "order": {},
            "libraries": self._libraries(),
            "flags": [f"nondeterministic:{word}" for word in moments],
            "variables": [],
            "modules": [],
        }
        return Code(module=defined.module, name=defined.attribute, digest=identity(manifest), manifest=manifest)

    def _libraries(self) -> dict[str, str]:
        found: dict[str, str] = {}
        waiting = ["polars"]
        while waiting:
            top = waiting.pop()
            version = self.project.version(top)
            if version is not None and version[0] not in found:
                found[version[0]] = version[1]
                waiting += self.project.requirements(top)
        return dict(sorted(found.items()))

    def _schema(self, asset: str) -> Schema | None:
        if asset in self.defined and self.defined[asset].query is not None:
            if asset not in self._schemas:
                self.table(asset)
            return self._schemas[asset]
        types = self.sources.get(asset, {}).get("types")
        return source_schema(types) if types else None

    def _require_key(self, name: str, key: Sequence[str], where: str) -> None:
        schema = self._schemas[name]
        missing = [column for column in key if schema is not None and column not in schema]
        if schema is not None and missing:
            raise CodeError(
                "code.no_key", f"the result of {name} lacks key column {missing[0]}", found=", ".join(schema),
                where=where, next=f"{nearest(missing[0], schema)} Keep the key columns, or declare key=[...]",
            )  # fmt: skip


def _require_plain(settings: Mapping[str, Any], where: str) -> None:
    for name, value in settings.items():
        try:
            literal(name, value)
            digest_json("setting", 1, value)
        except (CodeError, ValueError, TypeError) as error:
            raise CodeError(
                "code.setting", f"setting `{name}` cannot stand in SQL", found=repr(value)[:80], where=where,
                expected="a text, finite number, boolean, None, or a list of these that is not empty",
            ) from error  # fmt: skip
