"""What a file holds of a graph, see ``docs/reference/t1c.md``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from talon.ir.graph import Graph
from talon.ir.hdf5 import Emitter, encode_key, pack_attribute, write_value
from talon.ir.hdf5.emit import Piece
from talon.ir.integers import Codes, integers_of
from talon.ir.node import Node

VERSION = "0.0.1"
"""Written for graphs that the documented format can express."""
EXTENDED_VERSION = "0.1.0"
"""Written for graphs with delays, integer weights, or nodes beyond the documented ones."""
VERSIONS = (VERSION, EXTENDED_VERSION)

ORDER = "talon_order"
"""Attribute of a node: its place among the nodes."""
PORTS = ("input_type", "output_type")
"""What the names of attributes with the shape of a port begin with."""
FORMAT, DTYPE, SHAPE = "talon_format", "talon_dtype", "talon_shape"
"""Attributes of integers that stand for floats."""


def emit_graph(graph: Graph, file: Emitter) -> list[Piece]:
    """Return the content of a file, without its checksum."""
    stored = graph.to_dict()
    root = {
        encode_key("/graph", name): write_value(file, f"/graph/{name}", value)
        for name, value in stored.items()
        if name not in {"nodes", "edges", "delays"}
    }
    names = [_names(graph, column) for column in (0, 1)]
    edges = {key: file.texts(n, (len(n),)) for key, n in zip((b"src", b"dst"), names, strict=True)}
    if graph.delays:
        delays = [graph.delay(*edge) for edge in graph.edges]
        edges[b"delay"] = file.array(np.array(delays, np.int64))
    root[b"edges"] = file.group(edges)
    codes = integers_of(graph)
    nodes: dict[bytes, int] = {}
    for order, (name, node) in enumerate(graph.nodes.items()):
        key = encode_key("/graph/nodes", name)
        attributes = [pack_attribute(ORDER, order), *_port_attributes(node)]
        nodes[key] = _emit_node(file, name, stored["nodes"][name], attributes, codes.get(name, {}))
    root[b"nodes"] = file.group(nodes)
    extended = bool(codes) or _is_extended(graph, stored["nodes"])
    version = write_value(file, "/version", EXTENDED_VERSION if extended else VERSION)
    return file.finish(file.group({b"version": version, b"graph": file.group(root)}))


def _names(graph: Graph, column: int) -> list[str]:
    return [edge[column] for edge in graph.edges]


def _emit_node(
    file: Emitter,
    name: str,
    stored: Mapping[str, Any],
    attributes: Sequence[bytes],
    codes: Mapping[str, Codes],
) -> int:
    path = f"/graph/nodes/{name}"
    children = {
        encode_key(path, field): _emit_codes(file, codes[field])
        if field in codes
        else write_value(file, f"{path}/{field}", value)
        for field, value in stored.items()
    }
    return file.group(children, b"".join(attributes), len(attributes))


def _port_attributes(node: Node) -> Iterator[bytes]:
    for field in PORTS:
        for port, dims in (getattr(node, field, None) or {}).items():
            yield pack_attribute(f"{field}:{port}", np.asarray(dims, np.int64))


def _emit_codes(file: Emitter, codes: Codes) -> int:
    attributes = [pack_attribute(FORMAT, codes.number_format), pack_attribute(DTYPE, codes.dtype)]
    if codes.values.shape != codes.shape:
        attributes.append(pack_attribute(SHAPE, np.asarray(codes.shape, np.int64)))
    return file.array(codes.values, b"".join(attributes), len(attributes))


def is_extended(graph: Graph) -> bool:
    """Return whether a graph says something that the original format cannot say."""
    return _is_extended(graph, {name: node.to_dict() for name, node in graph.nodes.items()})


def _is_extended(graph: Graph, stored: Mapping[str, Mapping[str, Any]]) -> bool:
    return bool(graph.delays) or any(
        node.is_extension or not node.extension_fields.isdisjoint(stored[name])
        for name, node in graph.nodes.items()
    )
