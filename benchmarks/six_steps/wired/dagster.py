"""Dagster: assets with a version of their code; its own rules say which are stale, and those are made."""

import hashlib
import inspect
from pathlib import Path

import dagster as dg
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.definitions.observe import observe
from dagster._core.loader import LoadingContextForTest
from steps import clean, evaluate, features, load, package, train
from steps.files import reference

OUT, RIDGE = "out", float(Path("ridge.txt").read_text())


def version(*parts):
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def asset_of(module, inputs, *rest):
    name = module.__name__.split(".")[-1]
    function = getattr(module, name)

    @dg.asset(
        name=name,
        ins={each: dg.AssetIn() for each in inputs},
        deps=[] if inputs else [raw],
        code_version=version(inspect.getsource(function), rest),
    )
    def made(**given):
        return function(*(given[each] for each in inputs) if inputs else ["raw.parquet"], OUT, *rest)

    return made


@dg.observable_source_asset
def raw():
    return dg.DataVersion(reference(Path("raw.parquet")).split("#")[1])


ALL = [
    asset_of(load, ()),
    asset_of(clean, ("load",)),
    asset_of(features, ("clean",)),
    asset_of(train, ("features",), RIDGE),
    asset_of(evaluate, ("train", "features")),
    asset_of(package, ("train", "evaluate")),
]

if __name__ == "__main__":
    instance = dg.DagsterInstance.get()
    observe([raw], instance=instance)
    graph = dg.Definitions(assets=[raw, *ALL]).resolve_asset_graph()
    for asset in ALL:  # its command line cannot say "what is stale"; this asks what its pages ask
        state = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        if state.get_status(asset.key) != StaleStatus.FRESH:
            assert dg.materialize([raw, *ALL], selection=[asset.key], instance=instance).success
