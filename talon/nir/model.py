"""A NIR graph as plain data, between files, objects of the ``nir`` package and our graphs."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from talon.ir.types import Edge, Edges

Fields: TypeAlias = dict[str, Any]

MAX_ELEMENTS = 1 << 24
"""The most elements that a feature shape may have: a file of a few bytes can name any size."""


@dataclass(kw_only=True)
class NodeRecord:
    """A node: the name of its type, and its fields by the names that NIR gives them."""

    type: str
    fields: Fields
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class GraphRecord:
    """A graph: nodes by name, some of which may be graphs, and edges."""

    nodes: "dict[str, NodeRecord | GraphRecord]"
    edges: Edges
    metadata: dict[str, Any] = field(default_factory=dict)
    version: str | None = None


@dataclass(kw_only=True)
class FlatGraph:
    """A graph without graphs in it.

    ``ports`` has the inputs and outputs that inner graphs had, and the nodes whose values they
    passed on.
    """

    nodes: dict[str, NodeRecord]
    edges: Edges
    metadata: dict[str, Any] = field(default_factory=dict)
    ports: dict[str, tuple[NodeRecord, list[str]]] = field(default_factory=dict)

    def sources(self, name: str) -> list[str]:
        """Return where the edges into a node come from."""
        return [src for src, dst in self.edges if dst == name]


def is_same(a: object, b: object) -> bool:
    """Tell whether two values of fields are equal in type, shape and every bit."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return type(a) is type(b) and bool(np.all(a == b))


def digest_of(record: NodeRecord) -> str:
    """Return a short hash of the type and the fields of a node."""
    made = hashlib.sha256(record.type.encode())
    for name, value in sorted(record.fields.items()):
        array = np.asarray(value)
        made.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        made.update(array.tobytes() if array.dtype.kind != "U" else str(value).encode())
    return made.hexdigest()[:16]


def structure_digest(names: Iterable[str], edges: Iterable[Edge]) -> str:
    """Return a short hash of names and edges, whatever their order."""
    text = json.dumps([sorted(names), sorted(edges)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def walk(graph: GraphRecord, path: str = "") -> Iterator[tuple[str, NodeRecord]]:
    """Give all nodes of a graph and of the graphs in it, with their paths."""
    for name, node in graph.nodes.items():
        where = f"{path}{name}"
        if isinstance(node, GraphRecord):
            yield from walk(node, f"{where}.")
        else:
            yield where, node


def plain(value: Any) -> Any:
    """Return a tree with NumPy's scalars as Python's and 0-d arrays as they are."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return value.item() if isinstance(value, np.generic) else value
