"""Which network is this: a hash of everything that it means, and a stamp of where it is from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from talon.ir.graph import Graph
from talon.sdk.content import canonical, put_edges, put_nodes, put_text
from talon.sdk.convert import copied
from talon.sdk.sources import GraphSource, as_graph

STAMP = "provenance"
"""Key of the stamp in the metadata of a graph."""


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
    digest = hashlib.sha256(b"talon graph 3\0")
    order = put_nodes(digest.update, source, include_weights)
    put_edges(digest.update, source, order)
    if include_metadata:
        kept = {k: v for k, v in source.metadata.items() if k != STAMP}
        put_text(digest.update, canonical(kept).encode())
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
