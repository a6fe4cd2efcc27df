"""Between graphs of the ``nir`` package in memory and plain data.

The package is imported on use.
"""

import importlib
from typing import Any

import numpy as np

from talon.ir.types import Edges
from talon.nir.errors import NIRError
from talon.nir.fields import RULES
from talon.nir.model import GraphRecord, NodeRecord

_INTS = ("stride", "padding", "dilation", "groups", "start_dim", "end_dim", "kernel_size")


def from_objects(graph: Any) -> GraphRecord | NodeRecord:
    """Return a graph or node of the ``nir`` package as plain data, with copies of all arrays."""
    kind = type(graph).__name__
    metadata = graph.metadata if isinstance(graph.metadata, dict) else {}
    if kind == "NIRGraph":
        edges: Edges = [(str(src), str(dst)) for src, dst in graph.edges]
        nodes = {str(name): from_objects(node) for name, node in graph.nodes.items()}
        return GraphRecord(nodes=nodes, edges=edges, metadata=dict(metadata))
    if kind not in RULES:
        raise NIRError(f"A node has the type {kind}, which NIR 1.0.8 does not have")
    fields = {name: _shape_of(graph, name) for name in RULES[kind]}
    given = {name: _copied(value) for name, value in fields.items() if value is not None}
    return NodeRecord(type=kind, fields=given, metadata=dict(metadata))


def _shape_of(node: Any, name: str) -> Any:
    """Return a field as a file has it: a shape where the object has shapes by port."""
    if name == "shape":
        ports = node.input_type if type(node).__name__ == "Input" else node.output_type
        return next(iter(ports.values()))
    if name == "input_type":
        return node.input_type["input"]
    return getattr(node, name, None)


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value


def to_objects(graph: GraphRecord | NodeRecord) -> Any:
    """Return a graph or node of the ``nir`` package, whose types were checked by it."""
    nir: Any = importlib.import_module("nir")

    if isinstance(graph, GraphRecord):
        nodes = {name: to_objects(node) for name, node in graph.nodes.items()}
        return nir.NIRGraph(nodes=nodes, edges=list(graph.edges), metadata=dict(graph.metadata))
    fields = {name: _object_field(name, value) for name, value in graph.fields.items()}
    if graph.type in ("Input", "Output"):
        port = graph.type.lower()
        fields = {f"{port}_type": {port: np.array(fields["shape"])}}
    elif graph.type == "Flatten":
        fields["input_type"] = {"input": np.array(fields["input_type"])}
    elif graph.type in ("Conv1d", "Conv2d"):
        fields.setdefault("input_shape", None)
    return getattr(nir, graph.type)(**fields, metadata=dict(graph.metadata))


def _object_field(name: str, value: Any) -> Any:
    if isinstance(value, tuple) and name in _INTS:
        return np.array(value, np.int64)
    return _copied(value)
