"""What the host must know of feature maps, as ``docs/reference/image.md`` documents it."""

from __future__ import annotations

from typing import Any

from talon.compiler.network import InputPort, Population
from talon.compiler.schedule import Route
from talon.compiler.tiling.layout import Layout
from talon.compiler.wiring import Group


def group_item(group: Group) -> dict[str, Any]:
    """Return which neurons a group holds, and where."""
    tile = group.piece.tile
    assert tile is not None
    if group.piece.partial:
        return {"tile": None}
    packing = tile.packing
    return {
        "tile": {
            "channels": _inclusive(tile.channels),
            "rows": _inclusive(tile.rows),
            "columns": _inclusive(tile.columns),
            "row_start": group.row_start,
            "row_stride": tile.blocks * tile.width if tile.size[1] > 1 else 0,
            "column_stride": tile.blocks if tile.width > 1 else 0,
            **({} if packing is None else {"pixels": packing.pixels, "window": packing.window}),
        }
    }


def input_item(layout: Layout, port: InputPort) -> dict[str, Any]:
    """Return the further keys of an input: whether it is sent in the first timestep alone.

    A sequence (C, L) whose events name coordinates is a map of one row.
    """
    held = [p.hold for p in layout.projections if p.source == port.name]
    item: dict[str, Any] = {"once": True} if held and all(held) else {}
    if len(port.shape) == 2 and layout.is_map(port.name):
        item["shape"] = list(layout.sent_shape(port.name))
    return item


def route_item(layout: Layout, port: InputPort, route: Route) -> dict[str, Any]:
    """Return which lines of an input take a route, and how their events name them."""
    if route.region is None:
        return {"first": route.first, "last": route.last}
    code = layout.code(port.name)
    return {
        "channels": list(route.region.channels),
        "rows": list(route.region.rows),
        "columns": list(route.region.columns),
        "y_shift": code.shifts[0],
        "x_shift": code.shifts[1],
    }


def population_item(layout: Layout, population: Population) -> dict[str, Any]:
    """Return the keys of a population; a vector has one dimension."""
    shape = layout.shape(population.name)
    pool = population.pool
    return {
        "shape": list(shape) if layout.has_pixels(population.name) else [population.n],
        **({} if pool is None else {"pool": [pool.kind, *pool.size]}),
        **({"once": True} if population.once else {}),
    }


def _inclusive(span: tuple[int, int]) -> list[int]:
    return [span[0], span[1] - 1]
