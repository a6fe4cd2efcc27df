"""A graph as a drawing: boxes, edges, patterns, and what a box tells when it is chosen."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from talon.ir import Graph
from talon.viz import svg
from talon.viz.constants import CATEGORY_NAMES, N_CORE_COLORS
from talon.viz.layout import Layout, arrange
from talon.viz.page import HtmlPage, Section, environment
from talon.viz.serialize import graph_to_dict

_WIDTH, _HEIGHT, _MARGIN = 190.0, 54.0, 36.0
_LETTERS = 24  # of a name that fit a box
_OUTLINE = 9.0  # of patterns, outside the boxes


def network_page(graph: Graph | str | os.PathLike[str], title: str = "TALON graph") -> HtmlPage:
    """Return the page of a graph: layers, shapes, parameters and patterns.

    Parameters
    ----------
    graph
        The graph, or the path of its file.
    title
        Heading of the page.
    """
    return page_of(graph_to_dict(graph), title)


def render_html(data: dict[str, Any], title: str = "talon.viz") -> str:
    """Return the text of the page of a graph.

    Parameters
    ----------
    data
        What :func:`talon.viz.graph_to_dict` gives; a node with ``cores`` has their outlines, an
        edge with ``crosses`` is dashed.
    title
        Heading of the page.
    """
    return page_of(data, title).render()


def page_of(data: dict[str, Any], title: str) -> HtmlPage:
    """Return the page of a graph that is given as data."""
    summary = data["summary"]
    return HtmlPage(
        title=title,
        subtitle=f"{summary['node_count']:,} nodes, {summary['edge_count']:,} edges, "
        f"{summary['total_params']:,} parameters",
        sections=(network_section(data),),
    )


def network_section(data: dict[str, Any]) -> Section:
    """Return the drawing of a graph as a part of a page.

    Parameters
    ----------
    data
        As for :func:`render_html`.
    """
    layout = arrange(
        [node["id"] for node in data["nodes"]],
        [(edge["source"], edge["target"]) for edge in data["edges"] if not edge["delay"]],
    )
    patterns = data.get("patterns") or []
    used = {node["category"] for node in data["nodes"]}
    cores = any(_cores_of(node) for node in data["nodes"])
    legend = (
        environment()
        .get_template("network_legend.html.j2")
        .render(
            legend=[(c, name) for c, name in CATEGORY_NAMES.items() if c in used],
            cores=cores,
            delays=any(edge["delay"] for edge in data["edges"]),
            patterns=bool(patterns),
            mapping=data.get("mapping"),
        )
    )
    return Section(
        kind="network",
        heading="Network",
        data={
            "nodes": data["nodes"],
            "edges": _numbered(data),
            "patterns": [
                {"id": p["group_id"], "type": p["pattern_type"], "nodes": len(p["nodes"])}
                for p in patterns
            ],
        },
        body=_drawing(data, layout, patterns),
        after=Markup(legend),
    )


def _numbered(data: dict[str, Any]) -> list[list[int]]:
    number = {node["id"]: k for k, node in enumerate(data["nodes"])}
    return [[number[e["source"]], number[e["target"]], e["delay"]] for e in data["edges"]]


def _cores_of(node: dict[str, Any]) -> list[int]:
    return node.get("cores") or ([node["core"]] if "core" in node else [])


def _drawing(data: dict[str, Any], layout: Layout, patterns: Sequence[Mapping[str, Any]]) -> Markup:
    bends = bends_of(data["edges"], layout)
    edges = [_edge(edge, layout, points) for edge, points in zip(data["edges"], bends, strict=True)]
    boxes = [_box(node, k, layout.nodes[node["id"]]) for k, node in enumerate(data["nodes"])]
    outlines = [part for pattern in patterns for part in _outlines(pattern, layout)]
    width = max((right for _, right in layout.edges_of), default=0.0) + 2 * _MARGIN
    height = max((y for _, y, _ in layout.nodes.values()), default=0.0) + _HEIGHT + 2 * _MARGIN
    world = svg.element(
        "g",
        *outlines,
        *edges,
        *boxes,
        class_="world",
        data_margin=_MARGIN,
        transform=f"translate({_MARGIN} {_MARGIN})",
    )
    label = f"graph of {len(boxes)} nodes and {len(edges)} edges"
    return svg.drawing(width, height, world, label=label)


def bends_of(
    edges: Sequence[Mapping[str, Any]], layout: Layout
) -> list[list[tuple[float, float, int]]]:
    """Return the points that each edge passes; delayed edges were not laid out, so have none."""
    found: list[list[tuple[float, float, int]]] = []
    number = 0
    for edge in edges:
        found.append([] if edge["delay"] else layout.bends.get(number, []))
        number += not edge["delay"]
    return found


def _edge(
    edge: dict[str, Any], layout: Layout, bends: Sequence[tuple[float, float, int]]
) -> Markup:
    source, target = layout.nodes[edge["source"]], layout.nodes[edge["target"]]
    kind = "edge" + " delayed" * bool(edge["delay"]) + " crossing" * edge.get("crosses", False)
    back = (target[2], target[1]) <= (source[2], source[1])
    path = _around(source, target, layout) if back else _down(source, target, bends, layout)
    line = svg.element("path", d=path + "m-4 -7l4 7l4 -7", class_=kind)
    if not edge["delay"]:
        return line
    right = layout.edges_of[source[2]][1]
    text = svg.text(
        right - 6, (source[1] + target[1]) / 2, f"delay {edge['delay']}", anchor="end", kind="tick"
    )
    return svg.element("g", line, text)


def _down(
    source: tuple[float, float, int],
    target: tuple[float, float, int],
    bends: Sequence[tuple[float, float, int]],
    layout: Layout,
) -> str:
    """Return a line through the points between the levels; from column to column in the gap."""
    x, y, column = source[0], source[1] + _HEIGHT, source[2]
    path = f"M{x:.0f} {y:.0f}"
    for k, (to_x, to_y, to_column) in enumerate([*bends, target]):
        end = to_y - 2 if k == len(bends) else to_y
        if to_column != column:
            gap = layout.edges_of[column][1] + 22
            path += (
                f"C{x:.0f} {y + 22:.0f} {gap:.0f} {y + 26:.0f} {gap:.0f} {y:.0f}V{end - 10:.0f}"
                f"C{gap:.0f} {end - 34:.0f} {to_x:.0f} {end - 34:.0f} {to_x:.0f} {end:.0f}"
            )
        else:
            half = (end - y) / 2
            path += f"C{x:.0f} {y + half:.0f} {to_x:.0f} {end - half:.0f} {to_x:.0f} {end:.0f}"
        x, y, column = to_x, end, to_column
        if k < len(bends):
            y += _HEIGHT
            path += f"V{y:.0f}"
    return path


def _around(
    source: tuple[float, float, int], target: tuple[float, float, int], layout: Layout
) -> str:
    """Return a line back up, beside all boxes of the column."""
    (x, y, column), (to_x, to_y, to_column) = source, target
    y += _HEIGHT
    side = layout.edges_of[column][1] + 12
    path = f"M{x:.0f} {y:.0f}C{x:.0f} {y + 26:.0f} {side:.0f} {y + 26:.0f} {side:.0f} {y - 6:.0f}"
    if to_column != column:  # over the top
        path += "V-14"
        side = layout.edges_of[to_column][1] + 12
        path += f"H{side:.0f}"
    return path + (
        f"V{to_y + 2:.0f}C{side:.0f} {to_y - 30:.0f} {to_x:.0f} {to_y - 30:.0f} "
        f"{to_x:.0f} {to_y - 2:.0f}"
    )


def _outlines(pattern: Mapping[str, Any], layout: Layout) -> list[Markup]:
    """Return a frame around the nodes of a pattern in each column that it is in."""
    columns: dict[int, list[tuple[float, float]]] = {}
    for name in pattern["nodes"]:
        x, y, column = layout.nodes[name]
        columns.setdefault(column, []).append((x, y))
    found: list[Markup] = []
    for places in columns.values():
        left = min(x for x, _ in places) - _WIDTH / 2 - _OUTLINE
        right = max(x for x, _ in places) + _WIDTH / 2 + _OUTLINE
        top, bottom = min(y for _, y in places), max(y for _, y in places)
        found.append(
            svg.element(
                "rect", svg.element("title", pattern["pattern_type"]),
                x=left, y=top - _OUTLINE, width=right - left,
                height=bottom - top + _HEIGHT + 2 * _OUTLINE, rx=14,
                class_="pattern", data_p=pattern["group_id"],
            )
        )  # fmt: skip
    return found


def _box(node: dict[str, Any], k: int, place: tuple[float, float, int]) -> Markup:
    x, y = place[0] - _WIDTH / 2, place[1]
    shape = node["output_shape"]
    name = node["id"] if len(node["id"]) <= _LETTERS else node["id"][: _LETTERS - 1] + "…"
    size = " x ".join(map(str, shape)) if shape else "shape not known"
    counted = f" · {node['param_count']:,} parameters" if node["param_count"] else ""
    cores = _cores_of(node)
    outline = [
        svg.element(
            "rect", x=x - 4, y=y - 4, width=_WIDTH + 8, height=_HEIGHT + 8, rx=10,
            class_=f"home k{cores[0] % N_CORE_COLORS}",
        )
    ] if cores else []  # fmt: skip
    where = [svg.text(x + _WIDTH - 8, y + 33, _core_label(cores), anchor="end", kind="tick")]
    return svg.element(
        "g",
        svg.element("title", f"{node['id']}: {node['type']}"),
        *outline,
        svg.element(
            "rect", x=x, y=y, width=_WIDTH, height=_HEIGHT, rx=7,
            class_=f"box {node['category']}",
        ),
        svg.text(x + 10, y + 18, name, kind="strong" + " long" * (len(name) > _LETTERS * 2 // 3)),
        svg.text(x + 10, y + 33, node["type"], kind="label"),
        svg.text(x + 10, y + 47, size + counted, kind="tick"),
        *(where if cores else []),
        class_="node",
        data_n=k,
        tabindex=0 if k == 0 else -1,
        role="button",
    )  # fmt: skip


def _core_label(cores: list[int]) -> str:
    if len(cores) == 1:
        return f"core {cores[0]}"
    return f"{len(cores)} cores" if cores else ""
