"""The graph crosses a process boundary as JSON and comes back equal."""

import json

from hypothesis import given
from hypothesis import strategies as st

from filiera.core.asset import Code, Frame, Graph, Model, Parameter, Port, Split, Table
from filiera.core.asset_json import graph_from_json, graph_to_json

names = st.from_regex(r"[a-z][a-z0-9_]{0,10}", fullmatch=True)
finite = st.floats(allow_nan=False, allow_infinity=False)
plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | finite | st.text()
nested = st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
durations = st.integers(0, 10**15)
codes = st.builds(
    Code, module=names, name=names, digest=st.text(), manifest=st.dictionaries(st.text(), nested, max_size=3)
)
ports = st.lists(st.builds(Port, names, st.sampled_from(Frame)), min_size=1, max_size=3).map(tuple)
tables = st.builds(
    Table,
    name=names,
    inputs=ports,
    settings=st.dictionaries(names, nested, max_size=3),
    partition=st.sampled_from([None, "day", "month"]),
    lookback_us=durations,
    key=st.none() | st.lists(names, min_size=1, max_size=3).map(tuple),
    code=codes,
)
splits = st.builds(
    Split,
    kind=st.sampled_from(["backtest", "holdout", "folds"]),
    windows=st.integers(1, 20),
    train_us=st.none() | durations,
    test_us=st.none() | durations,
    gap_us=durations,
)
bounds = st.none() | finite
parameters = st.builds(
    Parameter,
    name=names,
    kind=st.sampled_from(["float", "integer", "choice", "fixed"]),
    low=bounds,
    high=bounds,
    log=st.booleans(),
    choices=st.lists(plain, max_size=3).map(tuple),
)
models = st.builds(
    Model,
    name=names,
    inputs=ports,
    predicts=names,
    features=st.lists(names, min_size=1, max_size=3).map(tuple),
    split=splits,
    space=st.lists(parameters, max_size=3).map(tuple),
    trials=st.integers(1, 1000),
    form=st.sampled_from(["estimator", "trainer"]),
    score=st.sampled_from(["mae", "rmse"]),
    seed=st.integers(0, 2**32),
    code=codes,
)
graphs = st.builds(
    Graph,
    sources=st.lists(names, max_size=3).map(tuple),
    tables=st.lists(tables, max_size=2).map(tuple),
    models=st.lists(models, max_size=2).map(tuple),
    runtime=st.text(),
    runtime_manifest=st.dictionaries(st.text(), nested, max_size=3),
    warnings=st.lists(st.text(), max_size=2).map(tuple),
)


@given(graphs)
def test_a_graph_comes_back_equal(graph):
    assert graph_from_json(json.loads(json.dumps(graph_to_json(graph)))) == graph
