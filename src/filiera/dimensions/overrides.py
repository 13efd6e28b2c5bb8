"""Settings of one run: `power.max_leaf_nodes=64` instead of what the pipeline says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from filiera.core.asset import Graph, Model, Parameter, Table
from filiera.core.key import with_digests
from filiera.errors import UsageError, nearest

Overrides = Mapping[str, Any]  #: "asset.setting" -> value


def parse_overrides(texts: Sequence[str]) -> dict[str, Any]:
    """Read `asset.setting=value`; a value that is no JSON is taken as text.

    Raises:
        UsageError: a text has another form.

    >>> parse_overrides(["power.leaves=64", "features.zone=north"])
    {'power.leaves': 64, 'features.zone': 'north'}
    """
    found: dict[str, Any] = {}
    for text in texts:
        place, equals, value = text.partition("=")
        if not equals or "." not in place:
            raise UsageError(
                "set.form", f"`{text}` sets nothing", expected="ASSET.SETTING=VALUE, such as power.max_leaf_nodes=64"
            )
        found[place.strip()] = _value(value.strip())
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def override(graph: Graph, overrides: Overrides) -> Graph:
    """The graph with these settings; a parameter of a search becomes one fixed value.

    Raises:
        UsageError: no such asset or setting, or no plain value.
    """
    tables = {table.name: table for table in graph.tables}
    models = {model.name: model for model in graph.models}
    for place, value in overrides.items():
        name, _, setting = place.partition(".")
        if name in tables:
            tables[name] = _set_table(tables[name], setting, value)
        elif name in models:
            models[name] = _set_model(models[name], setting, value)
        else:
            known = [*tables, *models]
            raise UsageError("set.asset", f"no table or model {name}", next=nearest(name, known))
    return with_digests(replace(graph, tables=tuple(tables.values()), models=tuple(models.values())))


def _set_table(table: Table, setting: str, value: Any) -> Table:
    _refuse_unknown(table.name, setting, list(table.settings))
    return replace(table, settings={**table.settings, setting: value})


def _set_model(model: Model, setting: str, value: Any) -> Model:
    _refuse_unknown(model.name, setting, [parameter.name for parameter in model.space])
    before = next(item for item in model.space if item.name == setting)
    if before.kind in ("float", "integer") and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise UsageError(
            "set.value", f"{model.name}.{setting} is a number", expected="such as 64 or 0.1", found=json.dumps(value)
        )
    fixed = Parameter(name=setting, kind="fixed", choices=(value,))
    return replace(model, space=tuple(fixed if item.name == setting else item for item in model.space))


def _refuse_unknown(asset: str, setting: str, known: Sequence[str]) -> None:
    if setting not in known:
        way = nearest(setting, known) if known else "a keyword parameter of its function makes one"
        raise UsageError("set.setting", f"{asset} has no setting {setting}", next=way)
