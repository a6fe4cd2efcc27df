"""Which nodes the array executes, and where; what can be done about others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from talon.arch.params import PRESETS, ArrayParams
from talon.ir import (
    ELU,
    GELU,
    IF,
    LIF,
    Affine,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    ChannelSplit,
    Concat,
    Conv1d,
    Conv2d,
    CubaLIF,
    Delay,
    Dropout,
    Flatten,
    GhostBasicBlock1,
    GhostBasicBlock2,
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
    SConv,
    SDConv,
    SDDetect,
    SepConv2d,
    SGhostConv,
    SGhostEncoderLite,
    Sigmoid,
    SiLU,
    Skip,
    Softplus,
    SpikingAffine,
    SumPool2d,
    Tanh,
    Threshold,
    Upsample,
)
from talon.ir.integrators import Integrator

PASSING = (Flatten, Skip, Dropout, HybridRegion)
"""Nodes that leave values as they are, where they have one input."""

_CONVOLUTIONS = (
    *(Conv1d, Conv2d, SConv, SDConv, SepConv2d),
    *(SGhostConv, SGhostEncoderLite, GhostBasicBlock1, GhostBasicBlock2, SDDetect),
)
WEIGHTED = (Affine, SpikingAffine, *_CONVOLUTIONS)
"""Linear nodes that have weights of their own."""

OVER_MAPS = (*_CONVOLUTIONS, AvgPool2d, SumPool2d, Upsample)
"""Linear nodes that are kernels over feature maps."""

LINEAR = (
    *(Affine, SpikingAffine, *PASSING, Scale, Delay, Concat, ChannelSplit),
    *(BatchNorm1d, BatchNorm2d, *OVER_MAPS),
)
"""Nodes that become part of the synapses behind them."""

FIRING = (LIF, IF, CubaLIF, Threshold)
"""Nodes that become populations that send spikes."""

_CURVED = (Sigmoid, Tanh, GELU, ELU, PReLU, SiLU, HardSwish, Softplus)
GRADED = (ReLU, *_CURVED)
"""Nodes that become populations that send graded values, but for ReLU by a table."""

_NEED_MAPS = (*_CONVOLUTIONS, AvgPool2d, Upsample, BatchNorm2d, MaxPool2d, ReLU)
_MAPPED = (*LINEAR, MaxPool2d, *GRADED, *FIRING, *Integrator.__subclasses__(), Input, Output)
_REFERENCE = "run the graph on the target 'reference'"
_ELSEWHERE = (
    "let it stand at the beginning or the end of the graph, where the host computes it",
    _REFERENCE,
)


@dataclass(frozen=True, kw_only=True)
class Unmapped:
    """A node that the array cannot execute, why, and what can be done about it."""

    node: str
    type: str
    reason: str
    ways: tuple[str, ...]
    on_host: bool = True
    """Whether the host computes it, where it stands before the array or behind it.

    That is not so of what another array computes.
    """

    def __str__(self) -> str:
        return (
            f"Node {self.node!r} ({self.type}) cannot be mapped: {self.reason}; "
            f"{' or '.join(self.ways)}"
        )


def mapped_types(*, tables: bool = True) -> tuple[type[Node], ...]:
    """Return the types of the nodes that an array, with or without tables, can execute."""
    return tuple(kind for kind in _MAPPED if tables or kind not in _CURVED)


class Abilities(TypedDict):
    """What the cores of an array can do, as keywords."""

    maps: bool
    doubles: bool
    counts: bool
    tables: bool


def abilities(params: ArrayParams) -> Abilities:
    """Return the keywords of :func:`find_unmapped` for an array."""
    return {
        "maps": params.has_maps,
        "doubles": params.double_threshold,
        "counts": params.multi_spike,
        "tables": params.table_activation,
    }


def find_unmapped(
    graph: Graph,
    *,
    maps: bool = True,
    doubles: bool = True,
    counts: bool = True,
    tables: bool = True,
) -> list[Unmapped]:
    """Return the nodes that the array cannot execute, by their type or by where they stand.

    Parameters
    ----------
    graph
        The network.
    maps
        Whether the array has feature maps.
    doubles
        Whether its neurons may have the threshold doubled.
    counts
        Whether they may fire several times in a timestep.
    tables
        Whether graded groups may have tables.
    """
    found = [
        _judge_curve(name, node, tables=maps and tables)
        or _judge(graph, name, node, maps=maps)
        or _judge_neuron(name, node, doubles=doubles, counts=counts)
        for name, node in graph.nodes.items()
    ]
    return [unmapped for unmapped in found if unmapped is not None]


def _judge_curve(name: str, node: Node, *, tables: bool) -> Unmapped | None:
    """Judge a function of one value, which is a table or nothing."""
    is_leaky = isinstance(node, ReLU) and bool(node.negative_slope)
    if not isinstance(node, _CURVED) and not is_leaky:
        return None
    kind = type(node).__name__
    if not tables:
        able = ", ".join(repr(p.name) for p in PRESETS.values() if p.table_activation)
        what = "with a negative_slope " if is_leaky else ""
        return Unmapped(
            node=name,
            type=kind,
            reason=f"{what}it is a function that the array has not: graded values are rectified",
            ways=(
                f"use an array with table_activation=True (presets {able})",
                "train with ReLU in its place",
                *_ELSEWHERE,
            ),
        )
    if isinstance(node, PReLU) and node.weight.size > 1:
        return Unmapped(
            node=name,
            type=kind,
            reason=f"it has {node.weight.size} slopes, but all neurons of a group share one table",
            ways=("train with one slope (num_parameters=1)", *_ELSEWHERE),
        )
    return None


def _judge(graph: Graph, name: str, node: Node, *, maps: bool) -> Unmapped | None:
    kind = type(node).__name__
    if not isinstance(node, _MAPPED):
        known = ", ".join(sorted(kind.__name__ for kind in _MAPPED))
        ways = ("express it with these", *_ELSEWHERE)
        return Unmapped(node=name, type=kind, reason=f"the compiler lowers only {known}", ways=ways)
    if isinstance(node, _NEED_MAPS) and not maps:
        able = ", ".join(repr(p.name) for p in PRESETS.values() if p.has_maps)
        return Unmapped(
            node=name,
            type=kind,
            reason="the cores of the array hold no feature maps",
            ways=(f"use an array with n_axis > 0 (presets {able})", _REFERENCE),
            on_host=False,
        )
    if isinstance(node, MaxPool2d) and node.kernel_size != (1, 1):
        plain = node.stride == node.kernel_size and node.padding == (0, 0)
        if not (plain and node.dilation == (1, 1)) and not sends_spikes(graph, name):
            return Unmapped(
                node=name,
                type=kind,
                reason=(
                    "windows of graded values stand side by side, not "
                    f"kernel_size={node.kernel_size}, stride={node.stride}, "
                    f"padding={node.padding}, dilation={node.dilation}"
                ),
                ways=(
                    "train with stride=kernel_size, padding=0 and dilation=1",
                    "let it follow neurons that spike",
                    "take an AvgPool2d or a convolution with a stride",
                    *_ELSEWHERE,
                ),
            )
    if isinstance(node, Integrator) and not _is_read_out(graph, name):
        return Unmapped(
            node=name,
            type=kind,
            reason=(
                "neurons that do not spike send values, which the array takes to the host and "
                "nowhere else"
            ),
            ways=(
                "let it feed outputs alone, at once and as their only source",
                "put neurons that spike in its place",
                *_ELSEWHERE,
            ),
        )
    return None


def _judge_neuron(name: str, node: Node, *, doubles: bool, counts: bool) -> Unmapped | None:
    """Judge what a neuron does at its threshold."""
    kind = type(node).__name__
    if isinstance(node, Neuron) and node.double_threshold and not doubles:
        able = ", ".join(repr(p.name) for p in PRESETS.values() if p.double_threshold)
        return Unmapped(
            node=name,
            type=kind,
            reason="double_threshold compares twice in a timestep, the array once",
            ways=(
                f"use an array with double_threshold=True (presets {able})",
                "train with reset_delay=True, which subtracts the threshold a timestep later",
                "set double_threshold=False, which differs where V is still above it after a reset",
                _REFERENCE,
            ),
            on_host=False,
        )
    if isinstance(node, Neuron) and node.max_spikes > 1 and not counts:
        able = ", ".join(repr(p.name) for p in PRESETS.values() if p.multi_spike)
        return Unmapped(
            node=name,
            type=kind,
            reason=f"max_spikes={node.max_spikes}, but the array fires once in a timestep",
            ways=(
                f"use an array with multi_spike=True (presets {able})",
                "train with max_spikes=1 and more timesteps",
                _REFERENCE,
            ),
            on_host=False,
        )
    if isinstance(node, CubaLIF) and node.max_spikes > 1 and (node.tau_syn > 1).any():
        return Unmapped(
            node=name,
            type=kind,
            reason=f"max_spikes={node.max_spikes} with a synaptic current, which no array has",
            ways=("take LIF or IF", "train with max_spikes=1", *_ELSEWHERE),
        )
    return None


def sends_spikes(graph: Graph, name: str) -> bool:
    """Tell whether all that a node sends are zeros and ones of neurons."""
    sources = graph.sources()
    pending, seen = [name], {name}
    while pending:
        current = pending.pop()
        node = graph.nodes[current]
        if isinstance(node, FIRING):
            if getattr(node, "max_spikes", 1) > 1:
                return False
            continue
        joins = isinstance(node, Concat) or (isinstance(node, Skip) and node.mode == "concatenate")
        moves = isinstance(node, (*PASSING, ChannelSplit, Delay, MaxPool2d)) or (
            isinstance(node, Upsample) and node.mode == "nearest"
        )
        if not (joins or (moves and len(sources[current]) == 1)):
            return False
        pending += [source for source in sources[current] if source not in seen]
        seen.update(sources[current])
    return True


def _is_read_out(graph: Graph, name: str) -> bool:
    """Tell whether all that takes a node's values is outputs that are nothing else."""
    sources, takers = graph.sources(), graph.successors(name)
    return bool(takers) and all(
        len(sources[taker]) == 1
        and graph.delay(name, taker) == 0
        and (
            isinstance(graph.nodes[taker], Output)
            or (isinstance(graph.nodes[taker], Flatten | Skip) and _is_read_out(graph, taker))
        )
        for taker in takers
    )
