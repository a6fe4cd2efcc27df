"""Which nodes stand before the array and which behind it, and why some can do neither."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from talon.compiler.unmapped import FIRING, GRADED, WEIGHTED, Unmapped
from talon.errors import MappingError
from talon.ir import Graph, Output
from talon.ir.integrators import Integrator


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Names of the nodes that the host computes before and behind the array."""

    before: frozenset[str]
    behind: frozenset[str]

    def of(self, name: str) -> str:
        """Return ``"before"``, ``"behind"`` or ``"chip"``."""
        if name in self.before:
            return "before"
        return "behind" if name in self.behind else "chip"


def sides_of(graph: Graph, unmapped: Mapping[str, Unmapped]) -> Sides:
    """Return where the nodes stand if the host computes those that are unmapped.

    One goes before the array with all that it depends on if there are no neurons in that, and
    behind it with all that depends on it if there are none in that. Where both could be, what the
    array can compute before it decides.

    Raises
    ------
    MappingError
        A node stands between neurons of the array; the message names the path.
    """
    neurons = {
        name
        for name, node in graph.nodes.items()
        if isinstance(node, FIRING) and name not in unmapped
    }
    onward, back = _neighbours(graph)
    before: set[str] = set()
    behind: set[str] = set()
    for name, why in unmapped.items():
        ancestors, descendants = _reached(name, back), _reached(name, onward)
        early, late = ancestors & neurons, descendants & neurons
        if early and late:
            path = [*_path(name, back, early)[::-1], *_path(name, onward, late)[1:]]
            shown = " -> ".join(repr(step) for step in path)
            raise MappingError(
                f"{why}. The host computes such nodes before the array or behind it, but this one "
                f"stands between neurons of the array: {shown}; give the host those before it or "
                "those behind it as well (host, --host)"
            )
        if early or (not late and _computes(graph, ancestors - set(unmapped))):
            behind |= {name, *descendants}
        else:
            before |= {name, *ancestors}
    sources = graph.sources()
    for name in graph.outputs:
        if sources[name] and before.union(behind).issuperset(sources[name]):
            behind.add(name)
    return Sides(before=frozenset(before), behind=frozenset(behind))


def _computes(graph: Graph, names: Collection[str]) -> bool:
    """Tell whether there is work for the array among some nodes."""
    working = (*WEIGHTED, *GRADED, Integrator)
    return any(isinstance(graph.nodes[name], working) for name in names)


def is_left(graph: Graph, sides: Sides) -> bool:
    """Tell whether something of a graph is left for the array."""
    nodes = [name for name in graph.nodes if sides.of(name) == "chip"]
    return any(not isinstance(graph.nodes[n], Output) for n in nodes if n not in graph.inputs)


def _neighbours(graph: Graph) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    onward: dict[str, list[str]] = {name: [] for name in graph.nodes}
    back: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for src, dst in graph.edges:
        onward[src].append(dst)
        back[dst].append(src)
    return onward, back


def _reached(start: str, edges: Mapping[str, list[str]]) -> set[str]:
    found: set[str] = set()
    pending = list(edges[start])
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += edges[name]
    return found


def _path(start: str, edges: Mapping[str, list[str]], ends: Collection[str]) -> list[str]:
    """Return a shortest path from a node to one of some others."""
    came: dict[str, str | None] = {start: None}
    pending = deque([start])
    while pending:
        name = pending.popleft()
        if name in ends and name != start:
            path = [name]
            while (last := came[path[-1]]) is not None:
                path.append(last)
            return path[::-1]
        for other in edges[name]:
            if other not in came:
                came[other] = name
                pending.append(other)
    raise AssertionError("one of the ends is reached")
