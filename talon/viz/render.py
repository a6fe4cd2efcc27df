"""A graph as one HTML page: no network, no other file, every text escaped."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from talon.viz import svg
from talon.viz.constants import CATEGORY_NAMES, N_CORE_COLORS
from talon.viz.layout import arrange

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 190, 54, 34, 40, 24
_LETTERS = 24  # of a name that fit a box


def environment() -> Environment:
    """Return the templates, which escape everything."""
    return Environment(
        loader=PackageLoader("talon.viz"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_html(data: dict[str, Any], title: str = "talon.viz") -> str:
    """Return the page of a graph.

    Parameters
    ----------
    data
        What :func:`talon.viz.graph_to_dict` gives; a node with ``cores`` has their outlines, an
        edge with ``crosses`` is dashed.
    title
        Heading of the page.
    """
    nodes = data["nodes"]
    places = _positions(data)
    cores = sorted({core for node in nodes for core in _cores_of(node)})
    used = {node["category"] for node in nodes}
    return (
        environment()
        .get_template("graph.html.j2")
        .render(
            title=title,
            data=data,
            drawing=_drawing(data, places),
            legend=[(c, name) for c, name in CATEGORY_NAMES.items() if c in used],
            cores=cores,
            color_of=lambda core: core % N_CORE_COLORS,
            summary=data["summary"],
            mapping=data.get("mapping"),
        )
    )


def _cores_of(node: dict[str, Any]) -> list[int]:
    return node.get("cores") or ([node["core"]] if "core" in node else [])


def _positions(data: dict[str, Any]) -> dict[str, tuple[float, float]]:
    names = [node["id"] for node in data["nodes"]]
    edges = [(edge["source"], edge["target"]) for edge in data["edges"] if not edge["delay"]]
    placed = arrange(names, edges)
    low = min((x for _, x in placed.values()), default=0.0)
    return {
        name: (
            _MARGIN + (x - low) * (_WIDTH + _GAP_X),
            float(_MARGIN + level * (_HEIGHT + _GAP_Y)),
        )
        for name, (level, x) in placed.items()
    }


def _drawing(data: dict[str, Any], places: dict[str, tuple[float, float]]) -> Markup:
    width = max((x for x, _ in places.values()), default=0) + _WIDTH + _MARGIN
    height = max((y for _, y in places.values()), default=0) + _HEIGHT + _MARGIN
    edges = [_edge(edge, places) for edge in data["edges"]]
    boxes = [_box(node, k, places[node["id"]]) for k, node in enumerate(data["nodes"])]
    label = f"graph of {len(boxes)} nodes and {len(edges)} edges"
    return svg.drawing(float(width), float(height), *edges, *boxes, label=label)


def _edge(edge: dict[str, Any], places: dict[str, tuple[float, float]]) -> Markup:
    (x0, y0), (x1, y1) = places[edge["source"]], places[edge["target"]]
    x0, y0, x1 = x0 + _WIDTH / 2, y0 + _HEIGHT, x1 + _WIDTH / 2
    kind = "edge" + " delayed" * bool(edge["delay"]) + " crossing" * edge.get("crosses", False)
    if y1 < y0:  # back up: around the side
        side = max(x0, x1) + _WIDTH * 0.65
        path = f"M{x0:.1f} {y0:.1f}C{side:.1f} {y0 + 40:.1f} {side:.1f} {y1 - 40:.1f} "
    else:
        bend = max(18.0, (y1 - y0) / 2)
        path = f"M{x0:.1f} {y0:.1f}C{x0:.1f} {y0 + bend:.1f} {x1:.1f} {y1 - bend:.1f} "
    line = svg.element("path", d=f"{path}{x1:.1f} {y1 - 2:.1f}", class_=kind)
    if not edge["delay"]:
        return line
    text = svg.text((x0 + x1) / 2 + 8, (y0 + y1) / 2, f"delay {edge['delay']}", kind="tick")
    return svg.element("g", line, text)


def _box(node: dict[str, Any], k: int, place: tuple[float, float]) -> Markup:
    x, y = place
    shape = node["output_shape"]
    name = node["id"] if len(node["id"]) <= _LETTERS else node["id"][: _LETTERS - 1] + "…"
    size = " x ".join(map(str, shape)) if shape else "shape not known"
    counted = f" · {node['param_count']:,} parameters" if node["param_count"] else ""
    cores = _cores_of(node)
    outline = [
        svg.element(
            "rect", x=x - 4, y=y - 4, width=_WIDTH + 8, height=_HEIGHT + 8, rx=10,
            class_=f"core k{cores[0] % N_CORE_COLORS}",
        )
    ] if cores else []  # fmt: skip
    where = [svg.text(x + _WIDTH - 8, y + 18, _core_label(cores), anchor="end", kind="tick")]
    return svg.element(
        "g",
        svg.element("title", node["id"]),
        *outline,
        svg.element(
            "rect", x=x, y=y, width=_WIDTH, height=_HEIGHT, rx=7,
            class_=f"box {node['category']}",
        ),
        svg.text(x + 10, y + 18, name, kind="strong"),
        svg.text(x + 10, y + 33, node["type"], kind="label"),
        svg.text(x + 10, y + 47, size + counted, kind="tick"),
        *(where if cores else []),
        class_="node",
        data_n=k,
        tabindex=0,
        role="button",
    )  # fmt: skip


def _core_label(cores: list[int]) -> str:
    if len(cores) == 1:
        return f"core {cores[0]}"
    return f"{len(cores)} cores" if cores else ""
