"""Where a cycle gets its delay of one timestep.

NIR knows no timestep, so its cycles have no delay; a timestep needs one on each. The edges that get
it are those that close a cycle for a search in depth, which enters each strongly connected part
where the outside leads into it, at neurons first, and goes by the names of the nodes. For a neuron
with a recurrent weight that is the edge from the weight back into the neuron.
"""

from collections.abc import Collection, Mapping, Sequence

from talon.ir.topology import strongly_connected_components
from talon.ir.types import Edge


def feedback_edges(
    names: Collection[str], edges: Sequence[Edge], stateful: Collection[str]
) -> list[Edge]:
    """Return the edges that are to have a delay, in the order of ``edges``.

    Parameters
    ----------
    names, edges
        The graph; the result does not depend on their order.
    stateful
        The nodes that are neurons.
    """
    found: set[Edge] = set()
    for part in strongly_connected_components(sorted(names), sorted(edges)):
        members = set(part)
        inner = [edge for edge in sorted(edges) if members.issuperset(edge)]
        if not inner:
            continue
        entered = {dst for src, dst in edges if dst in members and src not in members}
        order = sorted(part, key=lambda n: (n not in entered, n not in stateful, n))
        successors: dict[str, list[str]] = {name: [] for name in part}
        for src, dst in inner:
            successors[src].append(dst)
        found |= _closing(order, successors)
    return [edge for edge in edges if edge in found]


def _closing(order: Sequence[str], successors: Mapping[str, Sequence[str]]) -> set[Edge]:
    """Return the edges that lead back to a node on the way to them."""
    found: set[Edge] = set()
    done: set[str] = set()
    for start in order:
        if start in done:
            continue
        way, open_names = [(start, iter(successors[start]))], {start}
        while way:
            name, rest = way[-1]
            following = next(rest, None)
            if following is None:
                way.pop()
                open_names.discard(name)
                done.add(name)
            elif following in open_names:
                found.add((name, following))
            elif following not in done:
                open_names.add(following)
                way.append((following, iter(successors[following])))
    return found
