"""What is written down beside a network, in both directions.

``metadata/talon`` of a file is a JSON text: what NIR cannot say of a graph of ours. It has
``version``, ``dt``, ``nodes`` (notes and digests by name), ``structure`` (nodes, edges with delays
and a digest) and ``graph`` (the other fields of the graph). ``graph.metadata["nir"]`` is one as
well: what we do not say of a graph of NIR, with ``version``, ``dt``, ``nodes`` (memories),
``skeleton`` and ``structure`` (a digest), and ``metadata``.
"""

import math
from collections.abc import Mapping
from typing import Any

from talon.ir import Graph
from talon.nir import tagged
from talon.nir.errors import Judge, NIRError
from talon.nir.model import MAX_ELEMENTS

KEY = "talon"
"""The entry of a file's metadata."""
MEMORY = "nir"
"""The entry of a graph's metadata."""
VERSION = 1

GRAPH_FIELDS = (
    "metadata",
    "allow_cycles",
    "quantization_config",
    "partition_metadata",
    "target_hardware",
    "execution_schedule",
    "cyclic_config",
)

_NOTE_KINDS = {"type": str, "fields": dict, "like": dict, "digest": str, "form": dict}
_MEMORY_KINDS = {"type": str, "fields": dict, "like": dict, "absent": list, "metadata": dict}


def read_notes(metadata: Mapping[str, Any], judge: Judge) -> dict[str, Any] | None:
    """Return the notes in a file's metadata, checked; None if there are none."""
    text = metadata.get(KEY)
    if text is None:
        return None
    try:
        if not isinstance(text, str):
            raise NIRError("they are not a text")
        notes = tagged.from_text(text)
        _check(notes, {"dt": float, "nodes": dict, "structure": dict, "graph": dict})
        _check_nodes(notes["nodes"], _NOTE_KINDS)
        structure = notes["structure"]
        _check_kinds("structure", structure, {"digest": str, "nodes": list, "edges": list})
        if not all(isinstance(name, str) for name in structure["nodes"]):
            raise NIRError("structure.nodes must be names")
        for edge in structure["edges"]:
            _check_edge(edge)
        if not 0 < notes["dt"] < float("inf"):
            raise NIRError(f"dt must be positive and finite, got {notes['dt']}")
    except NIRError as error:
        judge.deviation(f"The talon notes of the file cannot be used: {error}", "they are left out")
        return None
    return notes


def read_memory(graph: Graph) -> dict[str, Any]:
    """Return what is remembered of the graph of NIR that a graph came from; nothing if unsound."""
    text = graph.metadata.get(MEMORY)
    if not isinstance(text, str):
        return {}
    try:
        memory = tagged.from_text(text)
        _check(memory, {"dt": float, "nodes": dict, "metadata": dict})
        _check_nodes(memory["nodes"], _MEMORY_KINDS)
        if not 0 < memory["dt"] < float("inf"):
            return {}
    except NIRError:
        return {}
    return memory


def _check(notes: object, kinds: Mapping[str, type]) -> None:
    if not isinstance(notes, dict):
        raise NIRError(f"they must be an object, got {type(notes).__name__}")
    version = notes.get("version")
    if version != VERSION or type(version) is not int:
        raise NIRError(f"their version is {version!r}; {VERSION} can be read")
    _check_kinds("notes", notes, kinds)


def _check_kinds(where: str, found: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    for name, kind in kinds.items():
        if not isinstance(found.get(name), kind):
            raise NIRError(f"{where}.{name} must be of type {kind.__name__}")


def _check_nodes(nodes: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    for name, note in nodes.items():
        if not isinstance(note, dict):
            raise NIRError(f"the note on {name!r} must be an object")
        for key, value in note.items():
            if key not in kinds or not isinstance(value, kinds[key]):
                raise NIRError(f"the note on {name!r} has a wrong {key!r}")
        for entry in note.get("like", {}).values():
            _check_like(name, entry)
        for value in note.get("form", {}).values():
            if not _is_sizes(value):
                raise NIRError(f"the note on {name!r} has a wrong 'form'")


def _check_like(name: str, entry: object) -> None:
    match entry:
        case [str(), list(shape)] if _is_sizes(shape) and math.prod(shape) <= MAX_ELEMENTS:
            return
        case _:
            raise NIRError(f"the note on {name!r} has a wrong 'like'")


def _is_sizes(value: object) -> bool:
    items = value if isinstance(value, list) else [value]
    return len(items) <= 32 and all(type(n) is int and 0 <= n < 2**31 for n in items)


def _check_edge(edge: object) -> None:
    match edge:
        case [str(), str(), int()]:
            return
        case _:
            raise NIRError(f"structure.edges must be names and a delay, got {edge!r}")
