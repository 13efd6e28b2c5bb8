"""The key of a step: a digest of everything its output depends on, and of nothing else.

In the key: code closure (with the libraries it reaches), semantic digests of the inputs, settings, interpreter.
Not in the key: worker count, machine, price, number of trials, budget, worth, descriptions. Those update a record
and re-run nothing. Source of the frame: Mokhov, Mitchell, Peyton Jones, "Build systems a la carte" (2018), shallow
constructive traces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from filiera.core.asset import Graph, Model, Table
from filiera.digest import digest, digest_json


def interpreter(graph: Graph) -> dict[str, Any]:
    """The part of the runtime that every step depends on: Python's minor version and the platform."""
    return {name: graph.runtime_manifest.get(name) for name in ("python", "platform")}


def settings_of(asset: Table | Model) -> dict[str, Any]:
    """The model dimension of an asset: what its author set, as data."""
    if isinstance(asset, Table):
        return {
            "settings": dict(asset.settings),
            "lookback_us": asset.lookback_us,
            "partitioned": asset.partition is not None,
            "key": list(asset.key) if asset.key else None,
        } | ({"columns": _listed(asset.columns)} if asset.columns else {})
    return {
        "predicts": asset.predicts,
        "features": list(asset.features),
        "split": asset.split.to_json(),
        "space": [parameter.to_json() for parameter in asset.space],
        "form": asset.form,
        "score": asset.score,
        "seed": asset.seed,
    }


def definition_digest(asset: Table | Model, graph: Graph) -> str:
    """Everything of a key but the inputs: code, settings, interpreter."""
    kind = "table" if isinstance(asset, Table) else "model"
    record = {
        "kind": kind,
        "code": asset.code.digest,
        "settings": settings_of(asset),
        "interpreter": interpreter(graph),
    }
    return digest_json("definition", 1, record)


def with_digests(graph: Graph) -> Graph:
    """The graph with the digest of every definition, so that keys cost one short hash each."""
    return replace(graph, digests={asset.name: definition_digest(asset, graph) for asset in graph.definitions})


def step_key(asset: Table | Model, inputs: Mapping[str, str], graph: Graph) -> str:
    """The key under which a trace of `asset` answers.

    Args:
        asset: the definition.
        inputs: semantic digest of what each port reads, by asset name.
        graph: for the interpreter.
    """
    definition = graph.digests.get(asset.name) or definition_digest(asset, graph)
    parts = [asset.name, definition, *(f"{name}={inputs[name]}" for name in sorted(inputs))]
    return digest("key", 2, "\n".join(parts).encode())


def columns_read(asset: Table | Model, port: str, key: tuple[str, ...], time: str | None) -> tuple[str, ...] | None:
    """The columns of one input that an asset can notice, or None for all of them.

    A model reads what it names, a table function what it declares, or whole rows.

    Args:
        asset: the definition.
        port: name of the input.
        key: of the input.
        time: of the input.
    """
    named = (*asset.features, asset.predicts) if isinstance(asset, Model) else asset.columns.get(port)
    if named is None:
        return None
    return tuple(dict.fromkeys((*key, *((time,) if time else ()), *named)))


def _listed(columns: Mapping[str, tuple[str, ...]]) -> list[str]:
    return sorted(f"{port}.{name}" for port, names in columns.items() for name in names)
