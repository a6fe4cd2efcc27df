"""Which network is this: a hash of everything that it means, and a stamp of where it is from."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import datetime, timezone
from typing import Any

import numpy as np

from talon.ir.graph import Graph
from talon.ir.node import ARRAY, Node
from talon.ir.ports import Input, Output
from talon.sdk.convert import copied
from talon.sdk.sources import GraphSource, as_graph

STAMP = "provenance"
"""Key of the stamp in the metadata of a graph."""

_NOT_SEMANTIC = frozenset(
    {
        # where a node runs and how it is stored
        *("precision", "weight_t", "bias_t", "accum_t", "result_t", "reuse_factor", "core_id"),
        *("hardware_hints", "metadata"),
        # what follows from the other fields and the graph
        *("input_type", "output_type"),
    }
)


def fingerprint_graph(
    graph: GraphSource, include_weights: bool = True, include_metadata: bool = False
) -> str:
    """Return the SHA-256 of what a network means, as 64 hexadecimal digits.

    Every field of every node counts, arrays with dtype, shape and the bits of each value, and the
    edges with their delays. The order of edges counts where it tells which is which: into a
    concatenation, and out of a node of several outputs. What does not count is where a node is to
    run, how it is to be stored, and what a file leaves out. So the hash is the same in every
    process, after a round trip through a file, and after a mapping.

    Parameters
    ----------
    graph
        The network, or the path of its file.
    include_weights
        Whether the values of arrays count; without them, their dtypes and shapes do.
    include_metadata
        Whether the metadata of the graph counts, but for the stamp.
    """
    source = as_graph(graph)
    digest = hashlib.sha256(b"talon graph 1\0")
    for name in sorted(source.nodes):
        _put(digest, name)
        for part in _node_parts(source.nodes[name], include_weights):
            _put(digest, part)
    for part in _edge_parts(source):
        _put(digest, part)
    if include_metadata:
        _put(digest, _canonical({k: v for k, v in source.metadata.items() if k != STAMP}))
    return digest.hexdigest()


def fingerprint_graph_dual(graph: GraphSource) -> tuple[str, str]:
    """Return the fingerprint of the structure alone and that of the whole network."""
    source = as_graph(graph)
    return fingerprint_graph(source, include_weights=False), fingerprint_graph(source)


def verify_fingerprint(graph: GraphSource, expected: str, include_weights: bool = True) -> bool:
    """Tell whether a network has a fingerprint."""
    return fingerprint_graph(graph, include_weights=include_weights) == expected.lower()


def stamp_graph(
    graph: GraphSource,
    notes: str | None = None,
    git_commit: str | None = None,
    training_run_id: str | None = None,
    calibration_config: Mapping[str, Any] | None = None,
    quantization_config: Mapping[str, Any] | None = None,
) -> Graph:
    """Return a copy that tells in its metadata what it is and where it is from.

    The stamp has the time in UTC, the versions of Talon, both fingerprints, and what is given here.
    """
    from talon.sdk.version import get_versions

    stamped = copied(as_graph(graph))
    structure, full = fingerprint_graph_dual(stamped)
    given = {
        "notes": notes,
        "git_commit": git_commit,
        "training_run_id": training_run_id,
        "calibration_config": None if calibration_config is None else dict(calibration_config),
        "quantization_config": None if quantization_config is None else dict(quantization_config),
    }
    stamped.metadata[STAMP] = {
        "timestamp": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "sdk_versions": get_versions(),
        "fingerprint_structure": structure,
        "fingerprint_full": full,
        **{key: value for key, value in given.items() if value is not None},
    }
    return stamped


def get_stamp(graph: GraphSource) -> dict[str, Any] | None:
    """Return the stamp of a network, or None if it has none."""
    stamp = as_graph(graph).metadata.get(STAMP)
    return None if stamp is None else dict(stamp)


def _node_parts(node: Node, include_weights: bool) -> Iterator[str | bytes | memoryview]:
    yield type(node).__name__
    if isinstance(node, Input | Output):
        yield str(node.shape)
        return
    for f in sorted(fields(node), key=lambda f: f.name):
        name = f.name
        if name in _NOT_SEMANTIC:
            continue
        value = getattr(node, name)
        if f.metadata == ARRAY and value is not None:
            array = np.asarray(value)
            yield f"{name}:{array.dtype.newbyteorder('<').str}{array.shape}"
            if include_weights:
                yield _bytes_of(array)
        else:
            yield f"{name}={_canonical(value)}"


def _bytes_of(array: np.ndarray) -> memoryview:
    """Return the bytes of an array in its logical order, little-endian, copied only if need be."""
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return (
        memoryview(np.ascontiguousarray(little).view(np.uint8).data)
        if array.size
        else memoryview(b"")
    )


def _edge_parts(graph: Graph) -> Iterator[str]:
    """Give the edges by destination, in their order there, with delay and port."""
    feeds: dict[str, list[str]] = {}
    for (src, dst), port in zip(graph.edges, graph.ports(), strict=True):
        feed = json.dumps([src, port, graph.delay(src, dst)])
        feeds.setdefault(dst, []).append(feed)
    for dst in sorted(feeds):
        ordered = not graph.nodes[dst].sums_inputs
        yield json.dumps([dst, feeds[dst] if ordered else sorted(feeds[dst])])


def _canonical(value: Any) -> str:
    """Return one text for equal values, whatever containers and NumPy types hold them."""
    return json.dumps(value, sort_keys=True, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return str(value)


def _put(digest: Any, part: str | bytes | memoryview) -> None:
    data = part.encode() if isinstance(part, str) else part
    digest.update(struct.pack("<Q", len(data)))
    digest.update(data)
