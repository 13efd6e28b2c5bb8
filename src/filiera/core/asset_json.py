"""The graph as JSON and back: what crosses from the describe child to the control plane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from filiera.core.asset import Code, Frame, Graph, Model, Parameter, Port, Split, Table


def graph_to_json(graph: Graph) -> dict[str, Any]:
    """`filiera.graph/1`."""
    return {
        "schema": "filiera.graph/1",
        "sources": list(graph.sources),
        "tables": [_table(table) for table in graph.tables],
        "models": [_model(model) for model in graph.models],
        "runtime": graph.runtime,
        "runtime_manifest": dict(graph.runtime_manifest),
        "warnings": list(graph.warnings),
        "digests": dict(graph.digests),
    }


def graph_from_json(value: Mapping[str, Any]) -> Graph:
    """The reverse of `graph_to_json`."""
    return Graph(
        sources=tuple(value["sources"]),
        tables=tuple(_read_table(item) for item in value["tables"]),
        models=tuple(_read_model(item) for item in value["models"]),
        runtime=value["runtime"],
        runtime_manifest=value["runtime_manifest"],
        warnings=tuple(value["warnings"]),
        digests=value["digests"],
    )


def _ports(ports: tuple[Port, ...]) -> list[list[str]]:
    return [[port.asset, port.frame.value] for port in ports]


def _read_ports(value: list[list[str]]) -> tuple[Port, ...]:
    return tuple(Port(asset, Frame(frame)) for asset, frame in value)


def _code(code: Code) -> dict[str, Any]:
    return {"module": code.module, "name": code.name, "digest": code.digest, "manifest": dict(code.manifest)}


def _table(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "inputs": _ports(table.inputs),
        "settings": dict(table.settings),
        "partition": table.partition,
        "lookback_us": table.lookback_us,
        "key": list(table.key) if table.key else None,
        "columns": {name: list(columns) for name, columns in table.columns.items()},
        "query": list(table.query),
        "code": _code(table.code),
    }


def _read_table(value: Mapping[str, Any]) -> Table:
    return Table(
        name=value["name"],
        inputs=_read_ports(value["inputs"]),
        settings=value["settings"],
        partition=value["partition"],
        lookback_us=value["lookback_us"],
        key=tuple(value["key"]) if value["key"] else None,
        columns={name: tuple(columns) for name, columns in value.get("columns", {}).items()},
        query=tuple(value.get("query", ())),
        code=Code(**value["code"]),
    )


def _model(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "inputs": _ports(model.inputs),
        "predicts": model.predicts,
        "features": list(model.features),
        "split": model.split.to_json(),
        "space": [parameter.to_json() for parameter in model.space],
        "trials": model.trials,
        "form": model.form,
        "score": model.score,
        "seed": model.seed,
        "order": model.order,
        "tolerance": model.tolerance,
        "code": _code(model.code),
    }


def _read_model(value: Mapping[str, Any]) -> Model:
    space = [Parameter(**(item | {"choices": tuple(item["choices"])})) for item in value["space"]]
    return Model(
        name=value["name"],
        inputs=_read_ports(value["inputs"]),
        predicts=value["predicts"],
        features=tuple(value["features"]),
        split=Split(**value["split"]),
        space=tuple(space),
        trials=value["trials"],
        form=value["form"],
        score=value["score"],
        seed=value["seed"],
        order=value.get("order", "fixed"),
        tolerance=value.get("tolerance"),
        code=Code(**value["code"]),
    )
