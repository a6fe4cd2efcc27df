"""What a network needs of hardware: memory by kind, operations, and what might be better."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from talon.ir.conv import SepConv2d
from talon.ir.costs import count_neurons, count_state
from talon.ir.linear import SpikingAffine
from talon.ir.neurons import Neuron
from talon.ir.pooling import AvgPool2d, MaxPool2d, SumPool2d
from talon.ir.skip import Skip
from talon.ir.upsample import Upsample
from talon.sdk.analyze import analyze_graph
from talon.sdk.formatting import format_bytes, format_number
from talon.sdk.sources import GraphSource, as_graph

_FLOAT = 4  # bytes of an activation and of a membrane potential
_MIB = 1 << 20


@dataclass(kw_only=True)
class HardwareProfile:
    """Needs of a network, for one timestep of one sample.

    Parameters
    ----------
    weight_memory
        Bytes of all parameters, those of neurons included, as they are stored.
    activation_memory
        Bytes of the largest output of a node, in 32 bits.
    state_memory
        Bytes of membrane potentials, synaptic currents and delayed features, in 32 bits.
    total_memory
        The three together.
    estimated_quantized_memory
        The same with a quarter of the weight memory.
    mac_ops
        Multiply-accumulates, convolutions at every output pixel.
    spike_ops
        Neurons, each with its membrane potential.
    total_ops
        FLOPs: two for each multiply-accumulate.
    conv_layers, fc_layers, lif_layers, pooling_layers, upsample_layers
        Numbers of layers; all spiking neurons count as LIF.
    uses_spiking_affine, uses_skip, uses_sepconv
        Whether there are such nodes.
    weight_dtype
        Format of most bytes of the weights.
    largest_layer, largest_layer_memory
        The node with most bytes of parameters.
    warnings, recommendations
        Texts.
    """

    weight_memory: int
    activation_memory: int
    state_memory: int
    total_memory: int
    estimated_quantized_memory: int
    mac_ops: int
    spike_ops: int
    total_ops: int
    conv_layers: int
    fc_layers: int
    lif_layers: int
    pooling_layers: int
    upsample_layers: int
    uses_spiking_affine: bool
    uses_skip: bool
    uses_sepconv: bool
    weight_dtype: str
    largest_layer: str | None
    largest_layer_memory: int
    warnings: list[str] = field(default_factory=list)
    recommendations: list[str] = field(default_factory=list)


def profile_graph(graph: GraphSource) -> HardwareProfile:
    """Return what a network needs of memory and operations.

    Parameters
    ----------
    graph
        The network, or the path of its file.
    """
    source = as_graph(graph)
    stats = analyze_graph(source)
    nodes = source.nodes
    outputs = [layer.output_shape for layer in stats.layers if layer.output_shape is not None]
    known = [
        (nodes[layer.name], layer.output_shape)
        for layer in stats.layers
        if layer.output_shape is not None
    ]
    weight = stats.total_bytes
    activation = _FLOAT * max((math.prod(shape) for shape in outputs), default=0)
    state = _FLOAT * sum(count_state(node, shape) for node, shape in known)
    largest = max(stats.layers, key=lambda layer: layer.bytes, default=None)
    has_weights = largest is not None and largest.bytes > 0
    profile = HardwareProfile(
        weight_memory=weight,
        activation_memory=activation,
        state_memory=state,
        total_memory=weight + activation + state,
        estimated_quantized_memory=weight // 4 + activation + state,
        mac_ops=stats.total_flops // 2,
        spike_ops=sum(count_neurons(node, shape) for node, shape in known),
        total_ops=stats.total_flops,
        conv_layers=stats.conv_count,
        fc_layers=stats.affine_count,
        lif_layers=sum(isinstance(node, Neuron) for node in nodes.values()),
        pooling_layers=sum(
            isinstance(node, MaxPool2d | AvgPool2d | SumPool2d) for node in nodes.values()
        ),
        upsample_layers=sum(isinstance(node, Upsample) for node in nodes.values()),
        uses_spiking_affine=any(isinstance(node, SpikingAffine) for node in nodes.values()),
        uses_skip=any(isinstance(node, Skip) for node in nodes.values()),
        uses_sepconv=any(isinstance(node, SepConv2d) for node in nodes.values()),
        weight_dtype=_weight_format(source),
        largest_layer=largest.name if largest is not None and has_weights else None,
        largest_layer_memory=largest.bytes if largest is not None else 0,
    )
    profile.warnings += _warnings(profile, stats.depth)
    profile.recommendations += _recommendations(profile)
    return profile


def format_profile(profile: HardwareProfile) -> str:
    """Return a profile as a text."""
    p = profile
    lines = [
        f"Weight memory:     {format_bytes(p.weight_memory)} ({p.weight_dtype})",
        f"Activation memory: {format_bytes(p.activation_memory)} (largest output)",
        f"State memory:      {format_bytes(p.state_memory)}",
        f"Total memory:      {format_bytes(p.total_memory)}",
        f"With 8-bit weights: {format_bytes(p.estimated_quantized_memory)}",
        f"MACs a timestep:   {format_number(p.mac_ops)}",
        f"Neurons:           {format_number(p.spike_ops)}",
        f"Layers:            {p.conv_layers} conv, {p.fc_layers} dense, {p.lif_layers} neurons",
        f"                   {p.pooling_layers} pooling, {p.upsample_layers} upsample",
    ]
    if p.largest_layer is not None:
        lines.append(
            f"Largest layer:     {p.largest_layer} ({format_bytes(p.largest_layer_memory)})"
        )
    lines += [f"warning: {text}" for text in p.warnings]
    lines += [f"recommended: {text}" for text in p.recommendations]
    return "\n".join(lines)


def _weight_format(graph: object) -> str:
    from talon.ir.costs import parameters
    from talon.ir.graph import Graph

    assert isinstance(graph, Graph)
    sizes: dict[str, int] = {}
    for node in graph.nodes.values():
        for name, array in parameters(node).items():
            named = node.bias_t if "bias" in name else node.weight_t
            kind = named or str(array.dtype)
            sizes[kind] = sizes.get(kind, 0) + int(array.size)
    return max(sizes, key=lambda kind: sizes[kind]) if sizes else "float32"


def _warnings(profile: HardwareProfile, depth: int | None) -> list[str]:
    found: list[str] = []
    if profile.lif_layers == 0:
        found.append("No LIF layers detected - the network does not spike")
    if profile.total_memory > 100 * _MIB:
        found.append(f"Large model ({format_bytes(profile.total_memory)}) may not fit on-chip")
    if profile.largest_layer_memory > 10 * _MIB:
        found.append(
            f"Layer {profile.largest_layer!r} is very large "
            f"({format_bytes(profile.largest_layer_memory)})"
        )
    if depth is not None and depth > 20:
        found.append(f"Deep model ({depth} layers): latency is the sum over its layers")
    return found


def _recommendations(profile: HardwareProfile) -> list[str]:
    found: list[str] = []
    if profile.fc_layers and not profile.uses_spiking_affine:
        found.append(
            "Consider using SpikingAffine for FC layers to enable hardware-optimized quantization"
        )
    if profile.conv_layers >= 3 and not profile.uses_sepconv:
        found.append("Consider SepConv2d for convolutions: fewer weights and operations")
    if profile.weight_memory > _MIB:
        saved = 1 - profile.estimated_quantized_memory / profile.total_memory
        found.append(f"8-bit quantization could reduce memory by ~{int(100 * saved)}%")
    return found
