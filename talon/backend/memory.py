"""What executing a graph takes in memory, worked out from the graph alone."""

import math
from dataclasses import dataclass

from talon.ir import Graph
from talon.ir.costs import count_state, stored_bytes

_VALUE_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes that one sample needs.

    Parameters
    ----------
    weight_bytes
        Arrays of all nodes as they are stored.
    state_bytes
        Membrane potentials, 4 bytes each.
    value_bytes
        Most values that are alive at once while a timestep is executed node after node, 4 bytes
        each. A value is alive from its node until its last use, and for as many timesteps more as
        the longest delay behind it.
    """

    weight_bytes: int
    state_bytes: int
    value_bytes: int

    @property
    def peak_bytes(self) -> int:
        """All of it."""
        return self.weight_bytes + self.state_bytes + self.value_bytes


def memory_of(graph: Graph) -> Memory:
    """Return what executing a valid graph takes."""
    shapes = graph.infer_shapes()
    return Memory(
        weight_bytes=sum(stored_bytes(node) for node in graph.nodes.values()),
        state_bytes=_VALUE_BYTES
        * sum(count_state(node, shapes[name]) for name, node in graph.nodes.items()),
        value_bytes=_VALUE_BYTES
        * _peak_values(graph, {name: math.prod(shape) for name, shape in shapes.items()}),
    )


def _peak_values(graph: Graph, sizes: dict[str, int]) -> int:
    order = graph.topological_order()
    place = {name: i for i, name in enumerate(order)}
    last_use = dict(place)
    history = dict.fromkeys(order, 0)
    for src, dst in graph.edges:
        delay = graph.delay(src, dst)
        history[src] = max(history[src], delay)
        if not delay:
            last_use[src] = max(last_use[src], place[dst])
    changes = [0] * (len(order) + 1)
    for name in order:
        changes[place[name]] += sizes[name]
        changes[last_use[name] + 1] -= sizes[name]
    alive = peak = 0
    for change in changes:
        alive += change
        peak = max(peak, alive)
    return peak + sum(sizes[name] * history[name] for name in order)
