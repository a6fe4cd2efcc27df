"""Order and cycles of a directed graph, given as names, edges and delays.

An edge with a delay of one timestep or more carries an older value, so it orders nothing inside a
timestep: the zero-delay graph is what must be free of cycles.
"""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

import rustworkx as rx

from talon.ir.types import Edge


def zero_delay_edges(edges: Iterable[Edge], delays: Mapping[Edge, int]) -> list[Edge]:
    """Return the edges that act inside a timestep."""
    return [edge for edge in edges if not delays.get(edge)]


def partial_order(names: Iterable[str], edges: Iterable[Edge]) -> tuple[list[str], set[str]]:
    """Return the names in topological order, as far as there is one, and the rest.

    Among nodes that are ready the one that was ready first comes first, so the order depends on
    nothing but the order of ``names`` and ``edges``.
    """
    n_waiting = dict.fromkeys(names, 0)
    successors: dict[str, list[str]] = {name: [] for name in n_waiting}
    for src, dst in edges:
        successors[src].append(dst)
        n_waiting[dst] += 1
    ready = deque(name for name, n in n_waiting.items() if n == 0)
    order: list[str] = []
    while ready:
        name = ready.popleft()
        order.append(name)
        for successor in successors[name]:
            n_waiting[successor] -= 1
            if n_waiting[successor] == 0:
                ready.append(successor)
    return order, set(n_waiting) - set(order)


def order_of(sources: Mapping[str, Sequence[str]]) -> list[str] | None:
    """Return the names so that each comes after its sources, or None if there is a cycle.

    Quicker than :func:`partial_order` where names mostly stand behind their sources already, since
    those are taken as they come; the order is another one.

    Parameters
    ----------
    sources
        The predecessors of every name, themselves among the names.
    """
    order: dict[str, None] = {}
    waiting: dict[str, list[tuple[str, Iterator[str]]]] = {}  # by the source that is missing

    def is_ready(name: str, rest: Iterator[str]) -> bool:
        """Place a name if none of its other sources is missing, or else let it wait for one."""
        for src in rest:
            if src not in order:
                waiting.setdefault(src, []).append((name, rest))
                return False
        order[name] = None
        return True

    for wanted, given in sources.items():
        rest = iter(given)
        for src in rest:
            if src not in order:
                waiting.setdefault(src, []).append((wanted, rest))
                break
        else:
            order[wanted] = None
            ready = [wanted] if wanted in waiting else []
            while ready:
                released = waiting.pop(ready.pop(), ())
                ready += [name for name, rest in released if is_ready(name, rest)]
    return None if waiting else list(order)


def find_cycle(names: Iterable[str], edges: Iterable[Edge]) -> list[str] | None:
    """Return the names along one cycle, from the one that comes first in ``names``, or ``None``."""
    edges = list(edges)
    names = list(names)
    _, rest = partial_order(names, edges)
    if not rest:
        return None
    # Every node of the rest has a predecessor in the rest, so walking back must come round.
    predecessor = {dst: src for src, dst in edges if src in rest and dst in rest}
    walk = [next(name for name in names if name in rest)]
    seen = {walk[0]: 0}
    while True:
        name = predecessor[walk[-1]]
        if name in seen:
            cycle = walk[seen[name] :][::-1]
            start = cycle.index(min(cycle, key=names.index))
            return cycle[start:] + cycle[:start]
        seen[name] = len(walk)
        walk.append(name)


def find_cycles(names: Iterable[str], edges: Iterable[Edge], limit: int) -> list[list[str]]:
    """Return simple cycles, up to ``limit`` of them; there may be exponentially many."""
    ordered = list(names)
    index = {name: i for i, name in enumerate(ordered)}
    graph: rx.PyDiGraph[str, None] = rx.PyDiGraph(multigraph=False)
    graph.add_nodes_from(ordered)
    graph.add_edges_from_no_data([(index[src], index[dst]) for src, dst in edges])
    found = itertools.islice(rx.simple_cycles(graph), limit)
    return [[ordered[i] for i in cycle] for cycle in found]


def strongly_connected_components(names: Iterable[str], edges: Iterable[Edge]) -> list[list[str]]:
    """Return the components in topological order, each with its names in the given order.

    Parameters
    ----------
    names, edges
        The graph.

    Returns
    -------
    list
        Every name is in exactly one component; a component of one name is not on a cycle unless
        it has an edge to itself.
    """
    ordered = list(names)
    index = {name: i for i, name in enumerate(ordered)}
    pairs = [(index[src], index[dst]) for src, dst in edges]
    graph: rx.PyDiGraph[str, None] = rx.PyDiGraph()
    graph.add_nodes_from(ordered)
    graph.add_edges_from_no_data(pairs)
    members = sorted(sorted(component) for component in rx.strongly_connected_components(graph))
    home = {i: str(c) for c, component in enumerate(members) for i in component}
    crossing = [(home[s], home[d]) for s, d in pairs if home[s] != home[d]]
    order, _ = partial_order([str(c) for c in range(len(members))], crossing)
    return [[ordered[i] for i in members[int(c)]] for c in order]


def reachable(starts: Iterable[str], edges: Iterable[Edge]) -> set[str]:
    """Return the starts and everything that a path leads to from them."""
    successors: dict[str, list[str]] = {}
    for src, dst in edges:
        successors.setdefault(src, []).append(dst)
    found = set(starts)
    pending = list(found)
    while pending:
        for name in successors.get(pending.pop(), ()):
            if name not in found:
                found.add(name)
                pending.append(name)
    return found
