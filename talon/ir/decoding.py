"""The graph that a file holds, see ``docs/reference/t1c.md``; nothing in it is trusted."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields as fields_of
from functools import lru_cache
from typing import Any

import numpy as np

from talon.errors import T1CFormatError
from talon.ir.encoding import DTYPE, FORMAT, ORDER, PORTS, SHAPE, VERSIONS
from talon.ir.graph import Graph
from talon.ir.hdf5 import KIND, Dataset, Group
from talon.ir.integers import FLOATS, Codes, floats_of, scales_of
from talon.ir.node import Node, list_primitives, str_to_node
from talon.ir.types import Edge

_NUMBERS = (int, float, bool, int | None, float | None, Any)


def read_graph(root: Group, limit: int) -> Graph:
    """Return the graph of a file.

    Parameters
    ----------
    root
        The group at the top.
    limit
        The most bytes that integers may become as floats.

    Raises
    ------
    T1CFormatError, ModelError, TypeError
        If the file does not hold what is documented, or nodes and edges make no graph.
    """
    version_of(root)
    graph = _group(root, "graph")
    _check_unpacked(_group(graph, "nodes"), limit)
    return _read_graph(graph)


def version_of(root: Group) -> str:
    """Return the version of a file's format, which must be known."""
    version = _dataset(root, "version").value
    if version not in VERSIONS:
        raise T1CFormatError(f"version {version!r} is unknown; {', '.join(VERSIONS)} can be read")
    return version


def _read_graph(root: Group) -> Graph:
    fields = {
        name: _plain(_value(child))
        for name, child in root.children.items()
        if name not in ("nodes", "edges")
    }
    if fields.get("type") != "Graph":
        raise T1CFormatError(f"/graph/type must be 'Graph', got {fields.get('type')!r}")
    scales = scales_of(fields.get("quantization_config"))
    nodes = fields["nodes"] = _read_nodes(_group(root, "nodes"), scales)
    fields["edges"], fields["delays"] = _read_edges(_value(_group(root, "edges")), nodes)
    return Graph.from_dict(fields)


def _check_unpacked(nodes: Group, limit: int) -> None:
    """Refuse integers that would become more than ``limit`` bytes of floats."""
    total = 0
    for node in nodes.children.values():
        for child in node.children.values() if isinstance(node, Group) else ():
            if isinstance(child, Dataset) and FORMAT in child.attributes:
                n_codes = np.size(child.value) * (2 if child.attributes[FORMAT] == "int4" else 1)
                total += n_codes * FLOATS.get(str(child.attributes.get(DTYPE)), 8)
    if total > limit:
        raise T1CFormatError(
            f"its integers are {total} bytes as floats, more than {limit}; "
            "max_bytes sets another limit"
        )


def _read_nodes(group: Group, scales: Mapping[str, Mapping[str, Any]]) -> dict[str, Node]:
    found: list[tuple[int, str, Node]] = []
    for position, name in enumerate(group.children):
        child = _group(group, name)
        order = int(child.attributes.get(ORDER, position))
        found.append((order, name, _read_node(name, child, scales.get(name, {}))))
    return {name: node for _, name, node in sorted(found, key=lambda entry: entry[0])}


def _read_node(name: str, group: Group, scales: Mapping[str, Any]) -> Node:
    data = {key: _field(child, scales.get(key)) for key, child in group.children.items()}
    ports: dict[str, dict[str, Any]] = {}
    for key, dims in group.attributes.items():
        field, _, port = key.partition(":")
        if field in PORTS and field != key:
            ports.setdefault(field, {})[port] = np.array(dims)  # others share the attribute
    data.update(ports)
    if not isinstance(data.get("type"), str):
        raise T1CFormatError(f"node {name!r} has no type")
    try:
        kind = str_to_node(data["type"])
    except ValueError as exc:
        raise T1CFormatError(
            f"node {name!r}: {exc}; known are {', '.join(list_primitives(extensions=True))}, "
            "and what talon.ir.register_node makes known"
        ) from exc
    for field in _number_fields(kind):
        if isinstance(data.get(field), str):
            data[field] = _number(data[field])
    try:
        return kind.from_dict(data)
    except (TypeError, ValueError, KeyError) as exc:
        raise T1CFormatError(f"node {name!r}: {exc}") from exc


def _field(found: Group | Dataset, scale: object) -> Any:
    """Return the value of a node's field."""
    if not isinstance(found, Dataset):
        return _plain(_value(found))
    if FORMAT in found.attributes:
        return _read_codes(found, scale)
    return _value(found) if found.attributes else found.value


def _read_codes(found: Dataset, scale: object) -> Any:
    """Return the floats of a dataset of integers."""
    attributes, values = found.attributes, np.asarray(found.value)
    dims = np.asarray(attributes.get(SHAPE, values.shape))
    if dims.ndim > 1 or (dims.size and (dims.dtype.kind not in "iu" or (dims < 0).any())):
        raise T1CFormatError(f"{found.path}: {SHAPE} must be a list of sizes")
    shape = tuple(dims.reshape(-1).tolist())
    codes = Codes(values, str(attributes[FORMAT]), str(attributes.get(DTYPE)), shape)
    try:
        return floats_of(codes, scale)
    except T1CFormatError as exc:
        raise T1CFormatError(f"{found.path}: {exc}") from exc


@lru_cache(256)
def _number_fields(kind: type[Node]) -> tuple[str, ...]:
    return tuple(item.name for item in fields_of(kind) if item.type in _NUMBERS)


def _number(text: str) -> Any:
    """Return the number in a text: the original stores one so, once it has read it itself."""
    if text in ("True", "False"):
        return text == "True"
    for convert in (int, float):
        with suppress(ValueError):
            return convert(text)
    return text


def _value(found: Group | Dataset) -> Any:
    """Return what :func:`~talon.ir.hdf5.write_value` was given."""
    if isinstance(found, Group):
        return {name: _value(child) for name, child in found.children.items()}
    match found.attributes.get(KIND):
        case None:
            return found.value
        case "json":
            return json.loads(found.value)
        case "list":
            return found.value.tolist()
        case "tuple":
            return tuple(found.value.tolist())
        case kind:
            raise T1CFormatError(f"{found.path} has the unknown kind {kind!r}")


def _plain(value: Any) -> Any:
    """Return a tree with NumPy's scalars turned into Python's."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def _read_edges(
    columns: Mapping[str, Any], nodes: Mapping[str, Node]
) -> tuple[list[Edge], dict[Edge, int]]:
    for name in ("src", "dst"):
        if not isinstance(columns.get(name), np.ndarray) or columns[name].ndim != 1:
            raise T1CFormatError(f"/graph/edges/{name} must be a list of node names")
    src, dst = columns["src"].tolist(), columns["dst"].tolist()
    delay = np.asarray(columns.get("delay", np.zeros(len(src), np.int64)))
    if not len(src) == len(dst) == delay.size or delay.ndim != 1 or delay.dtype.kind not in "iu":
        raise T1CFormatError(
            f"/graph/edges must have one dst and one integer delay for each src, "
            f"got {len(src)} src, {len(dst)} dst, {delay.size} delays"
        )
    # The very names of the nodes are found at once wherever a node is looked up by an edge.
    names: dict[Any, Any] = dict(zip(nodes, nodes, strict=True))
    edges = [(names.get(a, a), names.get(b, b)) for a, b in zip(src, dst, strict=True)]
    return edges, {edge: d for edge, d in zip(edges, delay.tolist(), strict=True) if d != 0}


def _child(group: Group, name: str) -> Group | Dataset:
    if name not in group.children:
        raise T1CFormatError(f"missing {name!r} in {group.path}")
    return group.children[name]


def _group(parent: Group, name: str) -> Group:
    found = _child(parent, name)
    if not isinstance(found, Group):
        raise T1CFormatError(f"{found.path} must be a group")
    return found


def _dataset(parent: Group, name: str) -> Dataset:
    found = _child(parent, name)
    if not isinstance(found, Dataset):
        raise T1CFormatError(f"{found.path} must be a dataset")
    return found
