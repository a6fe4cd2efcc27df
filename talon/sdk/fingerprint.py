"""Which network is this: a hash of everything that it means, and a stamp of where it is from."""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime, timezone
from functools import cache, lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any

import numpy as np

from talon.ir.graph import Graph
from talon.ir.node import ARRAY, Node
from talon.ir.ports import Input, Output
from talon.sdk.convert import copied
from talon.sdk.sources import GraphSource, as_graph

_SMALL = 1 << 16  # bytes of an array that is copied to be hashed with its neighbours
_MANY = 1000
_LITTLE = sys.byteorder == "little"

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
    waiting: list[bytes] = []
    for name in sorted(source.nodes):
        header, arrays = _describe(name, source.nodes[name])
        waiting.append(header)
        if include_weights:
            for array in arrays:
                if array.nbytes <= _SMALL:
                    waiting.append(_small(array))
                else:
                    digest.update(b"".join(waiting))
                    waiting = []
                    digest.update(_bytes_of(array))
        if len(waiting) > _MANY:
            digest.update(b"".join(waiting))
            waiting = []
    digest.update(b"".join(waiting))
    _put(digest, _edges(source))
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


def _describe(name: str, node: Node) -> tuple[bytes, list[np.ndarray]]:
    """Return all of a node but the values of its arrays, and the arrays.

    The text has its length before it and tells the size of the arrays, so that no two networks
    give the same bytes.
    """
    array_fields, others = _plan(type(node))
    arrays: list[np.ndarray] = []
    texts = [type(node).__name__]
    for field_name in array_fields:
        value = getattr(node, field_name)
        if value is None:
            texts.append(field_name)
        else:
            array = np.asarray(value)
            arrays.append(array)
            texts.append(field_name + _layout(array.dtype, array.shape))
    if isinstance(node, Input | Output):
        texts.append(str(node.shape))
    else:
        texts += [f"{field_name}={_canonical(getattr(node, field_name))}" for field_name in others]
    text = "\0".join([json.dumps(name), *texts]).encode()
    return b"%d:%b" % (len(text), text), arrays


@cache
def _plan(kind: type[Node]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the fields of a type that count: arrays, and others."""
    if issubclass(kind, Input | Output):
        return (), ()
    counting = sorted((f for f in fields(kind) if f.name not in _NOT_SEMANTIC), key=_name_of)
    arrays = tuple(f.name for f in counting if f.metadata == ARRAY)
    return arrays, tuple(f.name for f in counting if f.metadata != ARRAY)


def _name_of(f: Any) -> str:
    return f.name


@lru_cache(maxsize=4096)
def _layout(dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    return f":{dtype.newbyteorder('<').str}{shape}"


def _small(array: np.ndarray) -> bytes:
    """Return the bytes of a small array, or those of one value that all of it has."""
    native = array.dtype.isnative and _LITTLE
    data = array.tobytes() if native else bytes(_bytes_of(array))
    first = data[: array.dtype.itemsize]
    return b"=" + first if first * array.size == data else b"#" + data


def _bytes_of(array: np.ndarray) -> memoryview:
    """Return the bytes of an array in its logical order, little-endian, copied only if need be."""
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return (
        memoryview(np.ascontiguousarray(little).view(np.uint8).data)
        if array.size
        else memoryview(b"")
    )


def _edges(graph: Graph) -> str:
    """Return the edges by destination, in their order there, with delay and port."""
    feeds: dict[str, list[tuple[str, int, int]]] = {}
    delays = graph.delays
    for edge, port in zip(graph.edges, graph.ports(), strict=True):
        feeds.setdefault(edge[1], []).append((edge[0], port, delays.get(edge, 0)))
    for dst, feed in feeds.items():
        if len(feed) > 1 and graph.nodes[dst].sums_inputs:
            feed.sort()
    return json.dumps(feeds, sort_keys=True)


def _canonical(value: Any) -> str:
    """Return one text for equal values, whatever containers and NumPy types hold them."""
    kind = type(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is str:
        return encode_basestring_ascii(value)
    if kind is tuple and len(value) == 2 and type(value[0]) is int and type(value[1]) is int:
        return f"[{value[0]}, {value[1]}]"
    return _encode(value)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return str(value)


_encode = json.JSONEncoder(sort_keys=True, default=_plain).encode


def _put(digest: Any, part: str | bytes | memoryview) -> None:
    data = part.encode() if isinstance(part, str) else part
    digest.update(struct.pack("<Q", len(data)))
    digest.update(data)
