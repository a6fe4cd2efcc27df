"""The hash of a graph: equal networks have equal hashes, whatever file they came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from talon.ir import Graph


def graph_hash(graph: Graph) -> bytes:
    """Return the SHA-256 of nodes, edges and delays; notes (metadata) do not count."""
    nodes = [(name, _plain(node.to_dict())) for name, node in graph.nodes.items()]
    delays = sorted([src, dst, delay] for (src, dst), delay in graph.delays.items())
    facts = {"nodes": nodes, "edges": [list(edge) for edge in graph.edges], "delays": delays}
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold; an array becomes its shape, type and hash."""
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        data = array.astype(array.dtype.newbyteorder("<")).tobytes()
        return [list(array.shape), array.dtype.str[1:], hashlib.sha256(data).hexdigest()]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items() if key != "metadata"}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else repr(value)
