"""Asking a graph: one node, the paths between two, patterns, parts, statistics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from talon.ir.costs import parameters
from talon.ir.graph import Graph
from talon.ir.node import ARRAY, Node
from talon.sdk.analyze import feeds_of, input_shape_of, known_shapes
from talon.sdk.sources import GraphSource, as_graph

_OTHERS = frozenset({"input_type", "output_type"})


def inspect_node(graph: GraphSource, name: str) -> dict[str, Any]:
    """Return everything about one node.

    Returns
    -------
    dict
        ``name``, ``type``, ``inputs`` and ``outputs`` (names), ``parameters`` (for each array
        shape, dtype, size, mean, std, min and max), ``shapes`` (``input`` and ``output``, None
        where not known) and ``attributes`` (its other fields).

    Raises
    ------
    KeyError
        There is no such node.
    """
    source = as_graph(graph)
    inputs, outputs = source.predecessors(name), source.successors(name)
    node = source.nodes[name]
    shapes = known_shapes(source)
    return {
        "name": name,
        "type": type(node).__name__,
        "inputs": inputs,
        "outputs": outputs,
        "parameters": {field: statistics_of(array) for field, array in parameters(node).items()},
        "shapes": {
            "input": input_shape_of(source, name, shapes, feeds_of(source)),
            "output": shapes.get(name),
        },
        "attributes": {
            f.name: getattr(node, f.name)
            for f in fields(node)
            if f.metadata != ARRAY and f.name not in _OTHERS and getattr(node, f.name) is not None
        },
    }


def statistics_of(array: np.ndarray) -> dict[str, Any]:
    """Return shape, dtype, size, mean, standard deviation, least and largest value of an array."""
    facts: dict[str, Any] = {
        "shape": tuple(array.shape),
        "dtype": str(array.dtype),
        "size": int(array.size),
    }
    if array.size:
        facts |= {
            "mean": float(array.mean(dtype=np.float64)),
            "std": float(array.std(dtype=np.float64)),
            "min": float(array.min()),
            "max": float(array.max()),
        }
    return facts


def trace_path(graph: GraphSource, src: str, dst: str, max_paths: int = 100) -> list[list[str]]:
    """Return paths without repeated nodes from one node to another, at most ``max_paths``.

    Raises
    ------
    KeyError
        There is no node of one of the names.
    """
    source = as_graph(graph)
    for name in (src, dst):
        source.predecessors(name)  # a KeyError that names it
    successors: dict[str, list[str]] = {name: [] for name in source.nodes}
    sources: dict[str, list[str]] = {name: [] for name in source.nodes}
    for a, b in dict.fromkeys(source.edges):
        successors[a].append(b)
        sources[b].append(a)
    useful = _reaching(dst, sources)
    found: list[list[str]] = []
    for path in _paths(src, dst, successors, useful):
        found.append(path)
        if len(found) >= max_paths:
            break
    return found


def _reaching(dst: str, sources: dict[str, list[str]]) -> set[str]:
    """Return the nodes from which a path leads to ``dst``."""
    found, pending = {dst}, [dst]
    while pending:
        for name in sources[pending.pop()]:
            if name not in found:
                found.add(name)
                pending.append(name)
    return found


def _paths(
    src: str, dst: str, successors: dict[str, list[str]], useful: set[str]
) -> Iterator[list[str]]:
    """Give simple paths, depth first; the stack holds what is left to try behind each node."""
    if src not in useful:
        return
    path, stack = [src], [iter(successors[src])]
    if src == dst:
        yield [src]
        return
    while stack:
        name = next(stack[-1], None)
        if name is None:
            stack.pop()
            path.pop()
        elif name == dst:
            yield [*path, dst]
        elif name in useful and name not in path:
            path.append(name)
            stack.append(iter(successors[name]))


def find_pattern(graph: GraphSource, pattern: str) -> list[tuple[str, ...]]:
    """Return the chains of nodes whose types follow a pattern such as ``"Conv2d->LIF"``.

    Parameters
    ----------
    graph
        The network, or the path of its file.
    pattern
        Two types or more, joined by ``->``. A type also stands for its subclasses, so ``Conv2d``
        finds ``SConv``; ``*`` and ``?`` stand for any letters, so ``*Affine`` finds both.
    """
    kinds = [part.strip() for part in pattern.split("->")]
    if len(kinds) < 2 or not all(kinds):
        raise ValueError(f"pattern must be two types or more joined by '->', got {pattern!r}")
    source = as_graph(graph)
    successors: dict[str, list[str]] = {name: [] for name in source.nodes}
    for a, b in dict.fromkeys(source.edges):
        successors[a].append(b)
    found = [(name,) for name, node in source.nodes.items() if _matches(node, kinds[0])]
    for kind in kinds[1:]:
        found = [
            (*chain, name)
            for chain in found
            for name in successors[chain[-1]]
            if name not in chain and _matches(source.nodes[name], kind)
        ]
    return found


def _matches(node: Node, kind: str) -> bool:
    return any(fnmatchcase(base.__name__, kind) for base in type(node).__mro__[:-1])


def extract_subgraph(graph: GraphSource, names: Iterable[str]) -> Graph:
    """Return the nodes of these names with the edges between them; they share nothing."""
    return as_graph(graph).subgraph(names).copy()


def get_node_statistics(graph: GraphSource) -> dict[str, dict[str, Any]]:
    """Return ``count``, ``nodes`` (names) and ``total_params`` for each type."""
    found: dict[str, dict[str, Any]] = {}
    for name, node in as_graph(graph).nodes.items():
        entry = found.setdefault(type(node).__name__, {"count": 0, "nodes": [], "total_params": 0})
        entry["count"] += 1
        entry["nodes"].append(name)
        entry["total_params"] += sum(int(array.size) for array in parameters(node).values())
    return found
