"""A graph as plain data: everything that a drawing or another tool needs, without its weights."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.errors import ModelError
from talon.ir import Graph, __version__, read
from talon.ir.costs import parameters
from talon.ir.node import Node
from talon.viz.constants import category_of

_BINS = 16
_HIDDEN = frozenset({"input_type", "output_type", "metadata", "hardware_hints", "type"})
_SAMPLE = 65_536  # values of a histogram; larger arrays are taken in even steps


def graph_to_dict(graph: Graph | str | os.PathLike[str]) -> dict[str, Any]:
    """Return a graph as data that JSON can hold.

    Returns
    -------
    dict
        ``version``; ``nodes``, each with ``id``, ``type``, ``category``, ``input_shape``,
        ``output_shape`` (None where not known), ``params`` (for each array shape, dtype, size,
        ``stats`` and a ``histogram``), ``param_count``, ``config`` and, if it is on one, ``core``;
        ``edges`` with ``source``, ``target`` and ``delay``; ``metadata``; and a ``summary``.
    """
    source = graph if isinstance(graph, Graph) else read(graph)
    try:
        shapes: dict[str, tuple[int, ...]] = source.infer_shapes()
    except ModelError:
        shapes = {}
    taken = _input_shapes(source, shapes)
    nodes = [
        _node(name, node, taken.get(name), shapes.get(name)) for name, node in source.nodes.items()
    ]
    return {
        "version": __version__,
        "nodes": nodes,
        "edges": [
            {"source": src, "target": dst, "delay": source.delay(src, dst)}
            for src, dst in source.edges
        ],
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
    name: str, node: Node, taken: list[int] | None, given: tuple[int, ...] | None
) -> dict[str, Any]:
    declared = node.required_shape()
    arrays = parameters(node)
    found: dict[str, Any] = {
        "id": name,
        "type": type(node).__name__,
        "category": category_of(type(node).__name__),
        "input_shape": list(declared) if taken is None and declared is not None else taken,
        "output_shape": None if given is None else list(given),
        "params": {field: _array(array) for field, array in arrays.items()},
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


def _array(array: NDArray[Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "size": int(array.size),
    }
    flat = array.reshape(-1)[:: max(1, array.size // _SAMPLE)].astype(np.float64)
    finite = flat[np.isfinite(flat)]
    if finite.size:
        low, high = float(finite.min()), float(finite.max())
        counts, _ = np.histogram(finite, bins=_BINS, range=(low, high if high > low else low + 1))
        facts["stats"] = {
            "min": low,
            "max": high,
            "mean": float(finite.mean()),
            "std": float(finite.std()),
        }
        facts["histogram"] = counts.tolist()
    return facts


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
