"""The graph for people: every asset with what a plan would do to it, as data, text and SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from filiera.core.asset import Graph, Table
from filiera.core.plan import Plan
from filiera.core.text_table import text_table

BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, MARGIN = 168, 44, 64, 26, 16
DROP = 56
#: Fill, stroke and dashes by action; as attributes, since a page that forbids inline styles must show them too.
_LOOK = {
    "run": ("#fde2c4", "#9a5b00", "none"),
    "maybe": ("#fff4dc", "#9a5b00", "5 4"),
    "hold": ("#eceff2", "#5b6875", "2 3"),
    "restore": ("#dcebf7", "#2f6f9f", "none"),
    "reuse": ("#dff1ee", "#0b6e6e", "none"),
}
_LINE = 'fill="none" stroke="#9aa7b4" stroke-width="1.5"'
_FONT = 'font-family="system-ui, sans-serif"'


def graph_view(graph: Graph, plan: Plan) -> dict[str, Any]:
    """`filiera.graph_view/1`: assets by layer, each with its inputs and the action of the plan."""
    actions = {step.asset: step.action.value for step in plan.steps}
    layers = [[_node(name, "source", (), actions) for name in graph.sources]]
    for layer in graph.layers:
        kinds = {asset.name: "table" if isinstance(asset, Table) else "model" for asset in layer}
        layers.append([_node(a.name, kinds[a.name], tuple(port.asset for port in a.inputs), actions) for a in layer])
    return {"schema": "filiera.graph_view/1", "environment": plan.environment, "layers": layers}


def _node(name: str, kind: str, reads: Sequence[str], actions: Mapping[str, str]) -> dict[str, Any]:
    return {"asset": name, "kind": kind, "reads": list(reads), "action": actions[name]}


def graph_text(view: Mapping[str, Any]) -> str:
    """A line an asset, inputs before their readers."""
    rows = [
        (node["asset"], node["kind"], node["action"], ", ".join(node["reads"]))
        for layer in view["layers"]
        for node in layer
    ]
    return text_table(rows, ("asset", "kind", "plan", "reads"))


def graph_svg(view: Mapping[str, Any]) -> str:
    """A picture from left to right, coloured by what the plan would do; stands alone as a file."""
    layers = _fewer_crossings(view["layers"])
    place = {
        node["asset"]: (MARGIN + x * (BOX_WIDTH + GAP_X), MARGIN + y * (BOX_HEIGHT + GAP_Y))
        for x, layer in enumerate(layers)
        for y, node in enumerate(layer)
    }
    nodes = [node for layer in layers for node in layer]
    lines = [_line(place[name], place[node["asset"]]) for node in nodes for name in node["reads"]]
    boxes = [_box(node, *place[node["asset"]]) for node in nodes]
    width = 2 * MARGIN + len(layers) * (BOX_WIDTH + GAP_X) - GAP_X
    height = 2 * MARGIN + max((len(layer) for layer in layers), default=1) * (BOX_HEIGHT + GAP_Y)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="the graph of the project">{"".join(lines + boxes)}</svg>'
    )


def _fewer_crossings(layers: Sequence[Sequence[Mapping[str, Any]]]) -> list[list[Mapping[str, Any]]]:
    """Each layer ordered by the mean height of what its assets read."""
    height: dict[str, float] = {}
    found = []
    for layer in layers:
        ordered = sorted(layer, key=lambda node: _mean([height[name] for name in node["reads"]]))
        height |= {node["asset"]: float(place) for place, node in enumerate(ordered)}
        found.append(ordered)
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _line(start: tuple[int, int], end: tuple[int, int]) -> str:
    x0, y0, x1, y1 = start[0] + BOX_WIDTH, start[1] + BOX_HEIGHT // 2, end[0], end[1] + BOX_HEIGHT // 2
    if x1 - x0 <= GAP_X:
        middle = (x0 + x1) // 2
        return f'<path {_LINE} d="M{x0} {y0} C{middle} {y0} {middle} {y1} {x1} {y1}"/>'
    low = max(y0, y1) + DROP  # passes below the boxes between them
    return f'<path {_LINE} d="M{x0} {y0} C{x0 + GAP_X} {low} {x1 - GAP_X} {low} {x1} {y1}"/>'


def _box(node: Mapping[str, Any], x: int, y: int) -> str:
    name, kind, action = (escape(str(node[field])) for field in ("asset", "kind", "action"))
    shown = name if len(name) <= 20 else f"{name[:19]}…"
    fill, stroke, dashes = _LOOK[node["action"]]
    return (
        f'<g class="{action}"><title>{name}: {kind}, {action}</title>'
        f'<rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" fill="{fill}" stroke="{stroke}" '
        f'stroke-width="1.5" stroke-dasharray="{dashes}"/>'
        f'<text x="{x + 10}" y="{y + 19}" {_FONT} font-size="14" font-weight="600" fill="#17202a">{shown}</text>'
        f'<text x="{x + 10}" y="{y + 36}" {_FONT} font-size="12" fill="#5b6875">{kind}, {action}</text></g>'
    )
