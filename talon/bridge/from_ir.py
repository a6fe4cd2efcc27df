# pyright: reportMissingImports=false
"""From a graph to PyTorch modules. PyTorch is imported when a function is called."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeAlias

from talon import ir
from talon.bridge.errors import BridgeError
from talon.bridge.validation import validate_graph

NodeMap: TypeAlias = "Mapping[type[ir.Node], Callable[[Any], Any]] | Callable[[ir.Node], Any]"
GraphSource: TypeAlias = "ir.Graph | str | os.PathLike[str]"

CLASSES = {
    "detect_modules": ("SDDetectModule", "DFLDecodeModule", "Dist2BBoxModule", "NMSModule"),
    "executor": ("CyclicGraphExecutor", "ExecutorRun", "GraphExecutor"),
    "ghost_modules": (
        *("SepConv2dModule", "SGhostConvModule", "SGhostEncoderLiteModule"),
        *("GhostBasicBlock1Module", "GhostBasicBlock2Module"),
    ),
    "layer_modules": (
        *("ChannelSplitModule", "ConcatModule", "DelayModule", "ScaleModule", "SkipModule"),
        *("SumPool2dModule", "ThresholdModule"),
    ),
    "neuron_modules": (
        *("CubaLIFModule", "CubaLIModule", "IFModule", "IModule", "LIFModule", "LIModule"),
    ),
    "precision": ("QuantizationConfig", "get_precision_map", "quantize"),
    "quantized": ("QuantizedExecutor", "quantize_aware_training"),
    "surrogate": ("SpikeFunction",),
    "tracer": ("TALONTracer",),
}
"""What imports PyTorch, by the module of this room that has it."""
_HOMES = {name: module for module, names in CLASSES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a class or function when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"talon.bridge.{_HOMES[name]}"), name)


def ir_to_torch(
    graph: GraphSource,
    node_map: NodeMap | None = None,
    return_state: bool = False,
    validate: bool = True,
) -> Any:
    """Return a graph as a module, :class:`~talon.bridge.executor.GraphExecutor`.

    Parameters
    ----------
    graph
        The network, or the path of its ``.t1c`` file. Its arrays are copied.
    node_map
        What makes modules of nodes before all else: functions by type of node, or one function,
        which may return None for a node that it leaves to the usual way.
    return_state
        Whether a call returns the state as well.
    validate
        Whether to check the graph first.

    Raises
    ------
    BridgeError
        A node has no module; the message names all of them.
    talon.bridge.validation.GraphValidationError
        The graph cannot be executed.
    """
    from talon.bridge.executor import GraphExecutor

    source = as_graph(graph)
    if validate:
        validate_graph(source)
    modules = from_ir(source, node_map)
    return GraphExecutor(modules, source.edges, return_state, delays=source.delays, graph=source)


def load(path: str | os.PathLike[str], **options: Any) -> Any:
    """Return :func:`ir_to_torch` of a file."""
    return ir_to_torch(path, **options)


def from_ir(graph: GraphSource, custom_map: NodeMap | None = None) -> dict[str, Any]:
    """Return a module for each node, by name; the parameters are as in :func:`ir_to_torch`."""
    return nodes_to_modules(as_graph(graph).nodes, custom_map)


def nodes_to_modules(
    nodes: Mapping[str, ir.Node], custom_map: NodeMap | None = None
) -> dict[str, Any]:
    """Return a module for each node, by name.

    Raises
    ------
    BridgeError
        A node has none; the message names all of them.
    """
    found = {name: node_to_module(node, custom_map) for name, node in nodes.items()}
    lacking = [
        f"{n!r} ({type(nodes[n]).__name__})" for n, module in found.items() if module is None
    ]
    if lacking:
        raise BridgeError(
            f"No module for {', '.join(lacking)}; give node_map={{NodeType: function}} that makes "
            "one of it"
        )
    return found


def node_to_module(node: ir.Node, custom_map: NodeMap | None = None) -> Any:
    """Return the module of a node, or None if there is none."""
    from talon.bridge.build import build_module

    make = custom_map.get(type(node)) if isinstance(custom_map, Mapping) else custom_map
    made = make(node) if make is not None else None
    return build_module(node) if made is None else made


def as_graph(graph: GraphSource) -> ir.Graph:
    """Return the graph, or that of the file at a path."""
    if isinstance(graph, ir.Graph):
        return graph
    if isinstance(graph, str | os.PathLike):
        return ir.read(graph)
    raise TypeError(f"graph must be a talon.ir.Graph or a path, got {type(graph).__name__}")
