"""The graph as layers and as pictures."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.asset import Code, Frame, Graph, Port, Table
from filiera.core.graph_view import graph_svg, graph_text, graph_view
from filiera.core.plan import Action, Plan, Step


def table(name: str, *reads: str) -> Table:
    code = Code(module="pipeline", name=name, digest=name, manifest={})
    ports = tuple(Port(other, Frame.PANDAS) for other in reads)
    return Table(name=name, inputs=ports, settings={}, partition=None, lookback_us=0, key=None, code=code)


def graph(*tables: Table) -> Graph:
    return Graph(sources=("raw",), tables=tables, models=(), runtime="r")


def names(found: Graph) -> list[list[str]]:
    return [[asset.name for asset in layer] for layer in found.layers]


def test_a_layer_reads_earlier_layers_only_in_whatever_order_the_file_has():
    given_graph = graph(table("d", "b", "c"), table("b", "a"), table("c", "raw"), table("a", "raw"))
    assert names(given_graph) == [["a", "c"], ["b"], ["d"]]


def test_a_graph_without_definitions_has_no_layer():
    assert names(graph()) == []


def test_a_circle_is_named():
    with pytest.raises(ValueError, match="cycle through a, b"):
        _ = graph(table("a", "b"), table("b", "a"), table("c", "raw")).layers


@given(st.data())
def test_inputs_come_before_their_readers(data: Any):
    tables = []
    for number in range(data.draw(st.integers(1, 15))):
        known = ["raw", *(item.name for item in tables)]
        tables.append(
            table(f"t{number}", *data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True)))
        )
    found = graph(*data.draw(st.permutations(tables)))
    depth = {asset.name: number for number, layer in enumerate(found.layers) for asset in layer}
    assert depth.keys() == {item.name for item in tables}
    for item in tables:
        reads = [depth[port.asset] for port in item.inputs if port.asset in depth]
        assert depth[item.name] == max(reads, default=-1) + 1
    again = replace(found)
    assert [item.name for item in again.ordered()] == [item.name for item in found.ordered()]


def test_the_picture_shows_every_asset_with_what_the_plan_would_do():
    found = graph(table("a", "raw"), table("b", "a", "raw"))
    steps = [("raw", "ingest", Action.REUSE), ("a", "compute", Action.RUN), ("b", "compute", Action.MAYBE)]
    plan = Plan(
        environment="dev",
        currency="EUR",
        steps=tuple(Step(asset=name, operation=operation, action=action) for name, operation, action in steps),
    )
    view = graph_view(found, plan)
    root = ET.fromstring(graph_svg(view))
    space = "{http://www.w3.org/2000/svg}"
    assert [group.get("class") for group in root.iter(f"{space}g")] == ["reuse", "run", "maybe"]
    assert len(list(root.iter(f"{space}path"))) == 3
    lines = graph_text(view).splitlines()
    assert lines[0].split() == ["asset", "kind", "plan", "reads"]
    assert lines[-1].split(maxsplit=3) == ["b", "table", "maybe", "a, raw"]
