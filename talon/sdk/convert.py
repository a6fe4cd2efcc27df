"""From one network to another: spiking dense layers, quantized weights.

Nothing here changes the graph that is given; the new one shares no array with it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from talon.errors import ModelError
from talon.ir.checks import check_choice, check_int
from talon.ir.graph import Graph
from talon.ir.linear import SPIKE_MODES, Affine, SpikingAffine
from talon.ir.node import ARRAY, Node, NodeT
from talon.sdk.sources import GraphSource, as_graph

Storage = Literal["float", "integer"]


def convert_to_spiking(
    graph: GraphSource,
    weight_bits: int = 8,
    accumulator_bits: int = 16,
    spike_mode: str = "binary",
) -> Graph:
    """Return a graph with a :class:`~talon.ir.SpikingAffine` for every :class:`~talon.ir.Affine`.

    The values of the weights stay as they are: the widths are hints for the compiler.

    Parameters
    ----------
    graph
        The network, or the path of its file.
    weight_bits, accumulator_bits, spike_mode
        Fields of the new nodes; ``spike_mode`` is ``"binary"``, ``"graded"`` or ``"rate"``.

    Returns
    -------
    Graph
        Its metadata name the layers (``converted_layers``) and the fields (``spiking_config``).
    """
    source = as_graph(graph)
    check_choice("spike_mode", spike_mode, SPIKE_MODES)
    config = {
        "weight_bits": weight_bits,
        "accumulator_bits": accumulator_bits,
        "spike_mode": spike_mode,
    }
    layers = [name for name, node in source.nodes.items() if type(node) is Affine]

    def convert(name: str, node: Node) -> Node:
        if name not in layers:
            return copied(node)
        shared = {f.name: copy.deepcopy(getattr(node, f.name)) for f in fields(node)}
        return SpikingAffine(**shared, **config)

    facts = {"converted_to_spiking": True, "spiking_config": config, "converted_layers": layers}
    return _rebuilt(source, convert, facts)


def quantize_weights(
    graph: GraphSource,
    bits: int = 8,
    per_channel: bool = True,
    *,
    storage: Storage = "float",
) -> Graph:
    """Return a graph whose weights and biases take no more than ``2**bits - 1`` values.

    Symmetric and uniform: ``w = s * round(w / s)``, to even at a tie, with
    ``s = max|w| / (2**(bits-1) - 1)`` over an output channel or over the whole array, for every
    weight of dense, convolution, Ghost and detection layers; biases have one scale an array.

    Parameters
    ----------
    graph
        The network, or the path of its file.
    bits
        Width of a weight, 2 to 16.
    per_channel
        Whether every output channel (dimension 0) has a scale of its own.
    storage
        ``"float"`` leaves arrays of their floating point type that hold the quantized values
        ("fake quantization"). ``"integer"``, for 8 bits and less, also keeps the scales in
        ``quantization_config`` and sets ``weight_t`` and ``bias_t`` of the nodes: memory figures
        count integers, and :func:`talon.ir.write` stores them, two 4-bit values in a byte.
        :func:`talon.ir.read` gives back the same floats, bit for bit.

    Returns
    -------
    Graph
        Its metadata hold ``quantized``, ``quantization_bits`` and ``per_channel``.

    Raises
    ------
    ModelError
        A weight is not finite.
    """
    source = as_graph(graph)
    bits = check_int("bits", bits, 2, 16)
    check_choice("storage", storage, ("float", "integer"))
    if storage == "integer" and bits > 8:
        raise ModelError(f"Integer storage has at most 8 bits, got {bits}; use storage='float'")
    number_format = "int4" if bits <= 4 else "int8"
    scales: dict[str, dict[str, Any]] = {}

    def quantize(name: str, node: Node) -> Node:
        made = copied(node)
        for field, is_weight in quantizable(made):
            array = getattr(made, field)
            try:
                values, scale = fake_quantize(array, bits, per_channel=per_channel and is_weight)
            except ValueError as error:
                raise ModelError(f"Node {name!r}: {field} {error}") from None
            setattr(made, field, values)
            scales.setdefault(name, {})[field] = scale if scale.ndim else float(scale)
        if storage == "integer" and name in scales:
            made.weight_t = made.bias_t = number_format
        return made

    facts = {"quantized": True, "quantization_bits": bits, "per_channel": bool(per_channel)}
    made = _rebuilt(source, quantize, facts)
    if storage == "integer":
        made.quantization_config = {
            "bits": bits,
            "per_channel": bool(per_channel),
            "scales": scales,
        }
    return made


def quantizable(node: Node) -> list[tuple[str, bool]]:
    """Return the arrays of a node that are quantized, and whether each is a weight (or a bias)."""
    if type(node).__name__ in _NOT_QUANTIZED:
        return []
    found = [
        f.name for f in fields(node) if f.metadata == ARRAY and getattr(node, f.name) is not None
    ]
    return [(name, not _is_bias(name)) for name in found if _is_bias(name) or _is_weight(name)]


_NOT_QUANTIZED = frozenset({"BatchNorm1d", "BatchNorm2d", "LayerNorm", "PReLU", "DFLDecode"})


def _is_weight(field: str) -> bool:
    return field == "weight" or field.endswith("_weight") or field[:-1].endswith("_w")


def _is_bias(field: str) -> bool:
    return field == "bias" or field.endswith("_bias") or field[:-1].endswith("_b")


def fake_quantize(
    array: NDArray[Any], bits: int, *, per_channel: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the nearest values on a symmetric grid, and the steps of the grid.

    Parameters
    ----------
    array
        Floating point numbers of any shape.
    bits
        Width: the grid has ``2**bits - 1`` points.
    per_channel
        Whether every index of dimension 0 has a grid of its own.

    Returns
    -------
    values, scale
        Of the dtype of ``array``; ``scale`` has shape ``(array.shape[0],)`` or ``()``, and is 1
        where everything is zero.
    """
    if not np.all(np.isfinite(array)):
        raise ValueError("must be finite to be quantized")
    top = (1 << (bits - 1)) - 1
    axes = tuple(range(1, array.ndim)) if per_channel else None
    scale = np.asarray(np.abs(array).max(axis=axes, initial=0) / top, array.dtype)
    scale = np.where(scale > 0, scale, np.ones_like(scale))
    step = scale.reshape(-1, *(1,) * (array.ndim - 1)) if per_channel else scale
    codes = np.clip(np.rint(array / step), -top, top) + 0.0  # no negative zero
    return (codes * step).astype(array.dtype, copy=False), scale


def copied(node: NodeT) -> NodeT:
    """Return a node, or a whole graph, that shares nothing with the given one."""
    return copy.deepcopy(node)


def _rebuilt(graph: Graph, change: Callable[[str, Node], Node], facts: dict[str, Any]) -> Graph:
    """Return a graph of changed nodes, with more metadata and all else copied."""
    others = {
        f.name: copy.deepcopy(getattr(graph, f.name))
        for f in fields(graph)
        if f.init and f.name not in ("nodes", "edges", "metadata")
    }
    return Graph(
        {name: change(name, node) for name, node in graph.nodes.items()},
        list(graph.edges),
        metadata={**copy.deepcopy(graph.metadata), **facts},
        **others,
    )
