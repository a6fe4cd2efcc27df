"""In what two networks differ."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.ir.graph import Graph
from talon.ir.node import ARRAY, Node
from talon.ir.ports import Input, Output
from talon.sdk.sources import GraphSource, as_graph

_DERIVED = frozenset({"input_type", "output_type"})


@dataclass(kw_only=True)
class NodeDiff:
    """One node that differs.

    Parameters
    ----------
    name
        Its name.
    status
        ``"added"``, ``"removed"`` or ``"modified"``.
    changes
        What differs, a text each.
    weight_diff
        Largest absolute difference of its arrays.
    shape_diff
        Whether an array has another shape.
    """

    name: str
    status: str
    changes: list[str] = field(default_factory=list)
    weight_diff: float = 0.0
    shape_diff: bool = False


@dataclass(kw_only=True)
class GraphDiff:
    """Two networks, compared.

    Parameters
    ----------
    identical
        Whether nothing differs.
    structural_match
        Whether nodes, types, fields that are no arrays, and edges are equal.
    numerical_match
        Whether all arrays are equal within the tolerances.
    nodes_added, nodes_removed, nodes_modified, nodes_unchanged
        Names.
    edges_added, edges_removed
        Edges, with their delay if it is not 0.
    max_weight_diff, mean_weight_diff
        Largest absolute difference of an array, and the mean of that over the nodes in both.
    node_diffs
        Every node that differs.
    """

    identical: bool
    structural_match: bool
    numerical_match: bool
    nodes_added: list[str]
    nodes_removed: list[str]
    nodes_modified: list[str]
    nodes_unchanged: list[str]
    edges_added: list[tuple[Any, ...]]
    edges_removed: list[tuple[Any, ...]]
    max_weight_diff: float
    mean_weight_diff: float
    node_diffs: list[NodeDiff]

    @property
    def summary(self) -> str:
        """A text of what differs."""
        if self.identical:
            return "The graphs are identical."
        nodes = {
            "added": self.nodes_added,
            "removed": self.nodes_removed,
            "modified": self.nodes_modified,
            "unchanged": self.nodes_unchanged,
        }
        lines = [
            "Nodes: " + ", ".join(f"{len(names)} {status}" for status, names in nodes.items()),
            f"Edges: {len(self.edges_added)} added, {len(self.edges_removed)} removed",
            f"Largest difference of a weight: {self.max_weight_diff:.6g}",
        ]
        lines += [
            f"  {diff.name}: {diff.status}" + "".join(f"\n    {text}" for text in diff.changes)
            for diff in self.node_diffs
        ]
        return "\n".join(lines)


def compare_graphs(
    first: GraphSource, second: GraphSource, atol: float = 1e-6, rtol: float = 1e-5
) -> GraphDiff:
    """Return in what a second network differs from a first.

    Parameters
    ----------
    first, second
        Networks, or paths of their files.
    atol, rtol
        Numbers are equal if they differ by at most ``atol + rtol * |number of the second|``.
    """
    one, two = as_graph(first), as_graph(second)
    common = [name for name in one.nodes if name in two.nodes]
    diffs = {
        name: compare_nodes(name, one.nodes[name], two.nodes[name], atol, rtol) for name in common
    }
    added = [name for name in two.nodes if name not in one.nodes]
    removed = [name for name in one.nodes if name not in two.nodes]
    modified = [name for name, diff in diffs.items() if diff.changes]
    edges_added, edges_removed = _compare_edges(one, two)
    structural = not (added or removed or edges_added or edges_removed) and not any(
        _is_structural(diff) for diff in diffs.values()
    )
    numerical = not (added or removed) and not any(
        text.startswith("array ") for diff in diffs.values() for text in diff.changes
    )
    distances = [diff.weight_diff for diff in diffs.values()]
    return GraphDiff(
        identical=structural and numerical,
        structural_match=structural,
        numerical_match=numerical,
        nodes_added=added,
        nodes_removed=removed,
        nodes_modified=modified,
        nodes_unchanged=[name for name in common if name not in set(modified)],
        edges_added=edges_added,
        edges_removed=edges_removed,
        max_weight_diff=max(distances, default=0.0),
        mean_weight_diff=float(np.mean(distances)) if distances else 0.0,
        node_diffs=[
            *(NodeDiff(name=name, status="added") for name in added),
            *(NodeDiff(name=name, status="removed") for name in removed),
            *(diffs[name] for name in modified),
        ],
    )


def compare_nodes(
    name: str, first: Node, second: Node, atol: float = 1e-6, rtol: float = 1e-5
) -> NodeDiff:
    """Return in what a second node differs from a first; without ``changes`` it does not."""
    found = NodeDiff(name=name, status="modified")
    if type(first) is not type(second):
        kinds = (type(first).__name__, type(second).__name__)
        found.changes.append(f"type is {kinds[1]}, not {kinds[0]}")
        return found
    if isinstance(first, Input | Output):
        assert isinstance(second, Input | Output)
        if first.shape != second.shape:
            found.changes.append(f"shape is {second.shape}, not {first.shape}")
    for f in fields(first):
        field_name = f.name
        if field_name in _DERIVED:
            continue
        one, two = getattr(first, field_name), getattr(second, field_name)
        if f.metadata == ARRAY and one is not None and two is not None:
            _compare_field(found, field_name, one, two, atol, rtol)
        elif not _equal(one, two):
            found.changes.append(f"{field_name} is {two!r}, not {one!r}")
    return found


def _compare_field(
    found: NodeDiff, name: str, one: Any, two: Any, atol: float, rtol: float
) -> None:
    if one.shape != two.shape:
        found.shape_diff = True
        found.changes.append(f"array {name} has shape {two.shape}, not {one.shape}")
        return
    equal, distance = compare_arrays(one, two, atol, rtol)
    found.weight_diff = max(found.weight_diff, distance)
    if not equal:
        found.changes.append(f"array {name} differs by up to {distance:.6g}")
    if one.dtype != two.dtype:
        found.changes.append(f"array {name} has dtype {two.dtype}, not {one.dtype}")


def compare_arrays(
    first: NDArray[Any], second: NDArray[Any], atol: float = 1e-6, rtol: float = 1e-5
) -> tuple[bool, float]:
    """Return whether two arrays of one shape are equal within tolerances, and how far they are.

    NaN equals NaN, and is infinitely far from a number.
    """
    if first.shape != second.shape:
        raise ValueError(f"Arrays must have one shape, got {first.shape} and {second.shape}")
    if first is second or np.array_equal(first, second):
        return True, 0.0
    one, two = first.astype(np.float64), second.astype(np.float64)
    equal = bool(np.allclose(one, two, atol=atol, rtol=rtol, equal_nan=True))
    with np.errstate(invalid="ignore"):
        distance = np.abs(one - two)
    both = (np.isnan(one) & np.isnan(two)) | (one == two)
    distance = np.where(both, 0, np.where(np.isnan(distance), np.inf, distance))
    return equal, float(distance.max(initial=0))


def assert_graphs_equal(
    first: GraphSource,
    second: GraphSource,
    atol: float = 1e-6,
    rtol: float = 1e-5,
    check_weights: bool = True,
) -> None:
    """Raise an AssertionError that tells in what two networks differ.

    Without ``check_weights`` the values of arrays may differ.
    """
    diff = compare_graphs(first, second, atol, rtol)
    if not diff.structural_match or (check_weights and not diff.numerical_match):
        raise AssertionError(diff.summary)


def _is_structural(diff: NodeDiff) -> bool:
    return diff.shape_diff or any(not text.startswith("array ") for text in diff.changes)


def _compare_edges(one: Graph, two: Graph) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    def listed(graph: Graph) -> list[tuple[Any, ...]]:
        return [(*edge, delay) if (delay := graph.delay(*edge)) else edge for edge in graph.edges]

    left, right = listed(one), listed(two)
    added = list((Counter(right) - Counter(left)).elements())
    removed = list((Counter(left) - Counter(right)).elements())
    if not added and not removed and _ordered(one) != _ordered(two):
        # the same edges, but a concatenation or a split takes them in another order
        return right, left
    return added, removed


def _ordered(graph: Graph) -> dict[str, list[tuple[str, int]]]:
    """Return the feeds of nodes for which their order matters, and ports."""
    found: dict[str, list[tuple[str, int]]] = {}
    for (src, dst), port in zip(graph.edges, graph.ports(), strict=True):
        found.setdefault(dst, []).append((src, port))
    return {
        dst: feeds if not graph.nodes[dst].sums_inputs else sorted(feeds)
        for dst, feeds in found.items()
    }


def _equal(one: Any, two: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(two, np.ndarray):
        return np.array_equal(one, two)
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(_equal(one[k], two[k]) for k in one)
    if isinstance(one, list | tuple) and isinstance(two, list | tuple):
        return len(one) == len(two) and all(map(_equal, one, two))
    return bool(one == two)
