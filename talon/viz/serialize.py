"""A graph as plain data: everything that a drawing or another tool needs, without its weights."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.errors import ModelError
from talon.ir import Graph, __version__, read
from talon.ir.costs import parameters
from talon.ir.node import Node
from talon.viz.constants import category_of
from talon.viz.packing import pack
from talon.viz.patterns import detect_all_patterns

_BINS = 16
_HIDDEN = frozenset({"input_type", "output_type", "metadata", "hardware_hints", "type"})
_SAMPLE = 65_536  # values of a histogram; larger arrays are taken in even steps
_CHUNK = 1 << 20  # values that are looked at together
_THUMBNAILS = 600_000  # bytes that the thumbnails of a graph take together
_SIDES = (6, 40)  # least and most rows and columns of a thumbnail


def graph_to_dict(graph: Graph | str | os.PathLike[str]) -> dict[str, Any]:
    """Return a graph as data that JSON can hold.

    Returns
    -------
    dict
        ``version``; ``nodes``, each with ``id``, ``type``, ``category``, ``input_shape``,
        ``output_shape`` (None where not known), ``params`` (for each array shape, dtype, size,
        ``stats``, a ``histogram`` and a ``thumbnail``), ``param_count``, ``config`` and, if it is
        on one, ``core``; ``edges`` with ``source``, ``target`` and ``delay``; ``patterns``;
        ``metadata``; and a ``summary``.
    """
    source = graph if isinstance(graph, Graph) else read(graph)
    try:
        shapes: dict[str, tuple[int, ...]] = source.infer_shapes()
    except ModelError:
        shapes = {}
    taken = _input_shapes(source, shapes)
    arrays = {name: parameters(node) for name, node in source.nodes.items()}
    side = _side(sum(a.ndim > 1 for found in arrays.values() for a in found.values()))
    nodes = [
        _node(name, node, arrays[name], taken.get(name), shapes.get(name), side)
        for name, node in source.nodes.items()
    ]
    return {
        "version": __version__,
        "nodes": nodes,
        "edges": [
            {"source": src, "target": dst, "delay": source.delay(src, dst)}
            for src, dst in source.edges
        ],
        "patterns": [asdict(match) for match in detect_all_patterns(source)],
        "metadata": _plain(source.metadata),
        "summary": {
            "node_count": len(nodes),
            "edge_count": len(source.edges),
            "total_params": sum(node["param_count"] for node in nodes),
            "inputs": list(source.inputs),
            "outputs": list(source.outputs),
        },
    }


def _node(
    name: str,
    node: Node,
    arrays: Mapping[str, NDArray[Any]],
    taken: list[int] | None,
    given: tuple[int, ...] | None,
    side: int,
) -> dict[str, Any]:
    declared = node.required_shape()
    found: dict[str, Any] = {
        "id": name,
        "type": type(node).__name__,
        "category": category_of(type(node).__name__),
        "input_shape": list(declared) if taken is None and declared is not None else taken,
        "output_shape": None if given is None else list(given),
        "params": {field: _array(array, side) for field, array in arrays.items()},
        "param_count": sum(int(array.size) for array in arrays.values()),
        "config": {
            key: _plain(value)
            for key, value in node.to_dict().items()
            if key not in _HIDDEN and key not in arrays and not isinstance(value, np.ndarray)
        },
    }
    if node.core_id is not None:
        found["core"] = node.core_id
    return found


def _input_shapes(graph: Graph, shapes: dict[str, tuple[int, ...]]) -> dict[str, list[int]]:
    """Return what each node takes, its inputs merged."""
    if not shapes:
        return {}
    feeds: dict[str, list[tuple[int, ...]]] = {}
    for (src, dst), port in zip(graph.edges, graph.ports(), strict=True):
        feeds.setdefault(dst, []).append(graph.nodes[src].edge_shape(shapes[src], port))
    return {name: list(graph.nodes[name].merge_shape(given)) for name, given in feeds.items()}


def _array(array: NDArray[Any], side: int) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "size": int(array.size),
    }
    flat = array.reshape(-1)
    stats = _stats(flat)
    if stats is None:
        return facts
    facts["stats"] = stats
    sample = flat[:: max(1, array.size // _SAMPLE)].astype(np.float64)
    low, high = stats["min"], stats["max"]
    counts, _ = np.histogram(
        sample[np.isfinite(sample)], bins=_BINS, range=(low, high if high > low else low + 1)
    )
    facts["histogram"] = counts.tolist()
    if array.ndim > 1 and side:
        facts["thumbnail"] = _thumbnail(array, side, max(-low, high))
    return facts


def _stats(flat: NDArray[Any]) -> dict[str, float] | None:
    """Return least, most, mean and deviation of the finite values; None if there are none."""
    low, high, n, total, squares = np.inf, -np.inf, 0, 0.0, 0.0
    for first in range(0, flat.size, _CHUNK):
        values = flat[first : first + _CHUNK].astype(np.float64)
        if not np.isfinite(values).all():
            values = values[np.isfinite(values)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            n += values.size
            total += float(values.sum())
            squares += float(values @ values)
    if not n:
        return None
    mean = total / n
    return {"min": low, "max": high, "mean": mean, "std": max(0.0, squares / n - mean**2) ** 0.5}


def _side(n_arrays: int) -> int:
    """Return the rows and columns that a thumbnail may have, 0 if there are too many arrays."""
    side = int((_THUMBNAILS * 0.75 / max(1, n_arrays)) ** 0.5)
    return 0 if side < _SIDES[0] else min(side, _SIDES[1])


def _thumbnail(array: NDArray[Any], side: int, peak: float) -> dict[str, Any]:
    """Return even rows and columns of an array as bytes: -127 to 127 are its largest values."""
    rows = array.reshape(array.shape[0], -1)
    at = [np.unique(np.linspace(0, n - 1, min(n, side)).astype(np.intp)) for n in rows.shape]
    some = np.nan_to_num(rows[np.ix_(*at)].astype(np.float64), posinf=peak, neginf=-peak)
    scaled = np.rint(some * (127 / peak)) if peak > 0 else np.zeros(some.shape)
    return pack(np.clip(scaled, -127, 127).astype(np.int64))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist()) if value.size <= 64 else f"array {value.shape}"
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)
