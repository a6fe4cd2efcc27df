"""What the values between nodes are: spikes or graded values, and how many are not zero."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from talon.ir import (
    ELU,
    GELU,
    AvgPool2d,
    ChannelSplit,
    Concat,
    Delay,
    Dropout,
    Flatten,
    Graph,
    HardSwish,
    HybridRegion,
    Input,
    MaxPool2d,
    Neuron,
    Node,
    Output,
    PReLU,
    ReLU,
    Scale,
    SiLU,
    Skip,
    SumPool2d,
    Tanh,
    Threshold,
    Upsample,
)
from talon.ir.types import Dims

_MAX_PASSES = 64


@dataclass(frozen=True, kw_only=True)
class Signal:
    """Values that a node gives or takes.

    Parameters
    ----------
    density
        Share of the values that are not zero, expected.
    is_binary
        Whether every value is 0 or 1, so that a synapse adds its weight and multiplies nothing.
    """

    density: float = 1.0
    is_binary: bool = False


GRADED = Signal()
_SILENT = Signal(density=0.0, is_binary=True)


def input_signals(
    graph: Graph, sources: Mapping[str, Signal], spike_rate: float
) -> dict[str, Signal]:
    """Return what arrives at each node, several inputs joined.

    Neurons and thresholds fire at ``spike_rate``; layers give graded values, none of them zero.
    Spikes stay spikes where values are only moved, and in a MaxPool2d, whose window is silent if
    all of it is. Sums of spikes are graded.

    Parameters
    ----------
    graph
        The network.
    sources
        What each input node gives.
    spike_rate
        Spikes of a neuron in a timestep, 0 to 1.
    """
    shapes = graph.infer_shapes()
    feeds: dict[str, list[tuple[str, int]]] = {name: [] for name in graph.nodes}
    for (src, dst), port in zip(graph.edges, graph.ports(), strict=True):
        size = math.prod(graph.nodes[src].edge_shape(shapes[src], port))
        feeds[dst].append((src, size))
    order = graph.topological_order()
    given = {
        name: sources[name] if isinstance(node, Input) else _SILENT
        for name, node in graph.nodes.items()
    }
    taken: dict[str, Signal] = {}
    for _ in range(_MAX_PASSES):  # one more than needed without cycles; densities only grow
        changed = False
        for name in order:
            node = graph.nodes[name]
            if isinstance(node, Input):
                continue
            parts = [(given[src], size) for src, size in feeds[name]]
            taken[name] = _join(node, parts)
            gives = _emit(node, taken[name], spike_rate)
            changed |= gives != given[name]
            given[name] = gives
        if not changed:
            break
    return taken


def _join(node: Node, parts: Sequence[tuple[Signal, int]]) -> Signal:
    if len(parts) == 1:
        return parts[0][0]
    if node.sums_inputs:
        silent = math.prod(1 - signal.density for signal, _ in parts)
        return Signal(density=1 - silent)
    total = sum(size for _, size in parts)
    return Signal(
        density=sum(signal.density * size for signal, size in parts) / total,
        is_binary=all(signal.is_binary for signal, _ in parts),
    )


def _emit(node: Node, taken: Signal, spike_rate: float) -> Signal:
    match node:
        case Neuron() | Threshold():
            return Signal(density=spike_rate, is_binary=getattr(node, "max_spikes", 1) == 1)
        case Flatten() | Skip() | Concat() | ChannelSplit() | Dropout() | HybridRegion() | Output():
            return taken
        case ReLU() | Delay():
            return taken
        case MaxPool2d():
            density = _any_of(taken.density, node.kernel_size)
            return Signal(density=density, is_binary=taken.is_binary)
        case AvgPool2d() | SumPool2d():
            return Signal(density=_any_of(taken.density, node.kernel_size))
        case Upsample():
            return taken if node.mode == "nearest" else Signal(density=taken.density)
        case Tanh() | GELU() | ELU() | PReLU() | SiLU() | HardSwish() | Scale():  # zero stays zero
            return Signal(density=taken.density)
        case _:
            return GRADED


def _any_of(density: float, window: Dims) -> float:
    return 1 - (1 - density) ** math.prod(window)
