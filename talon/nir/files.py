"""NIR graphs in HDF5 files.

``/version``, and ``/node`` with ``type``, ``nodes`` and ``edges``; a node is a group with ``type``
and its fields. Files are read and written by :mod:`talon.ir.hdf5`, which follows no link, runs
nothing, and bounds the depth, the size and the time of a damaged or hostile file.
"""

import os
import secrets
from pathlib import Path
from typing import Any, cast

import numpy as np

from talon.errors import T1CFormatError
from talon.ir.hdf5 import SIGNATURE, Dataset, Emitter, Group, encode_key, read_tree, write_value
from talon.ir.types import Edges
from talon.nir.errors import NIRError
from talon.nir.model import GraphRecord, NodeRecord, plain

MAX_BYTES = 1 << 32
"""The largest file that is read."""
FORMAT_VERSION = "1.0.8"
"""The version of NIR whose layout and types are written."""

_GZIP_LEVEL = 4
_PARTS = frozenset({"type", "nodes", "edges", "metadata", "version"})


def read_file(path: str | os.PathLike[str]) -> GraphRecord:
    """Return what a file holds.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    NIRError
        It is damaged, hostile, or no NIR file.
    """
    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"NIR file not found: {source}")
    try:
        root = read_tree(_content(source))
        node = _group(root, "node")
        version = root.children.get("version")
        found = _record("node", node)
    except (T1CFormatError, NIRError) as error:
        raise NIRError(f"Cannot read NIR file {source}: {error}") from error
    except Exception as error:
        # A damaged file makes NumPy and zlib raise errors of any class.
        cause = str(error) or type(error).__name__
        raise NIRError(f"Cannot read NIR file {source}: {cause}") from error
    graph = found if isinstance(found, GraphRecord) else _alone(found)
    graph.version = str(version.value) if isinstance(version, Dataset) else None
    return graph


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            raise NIRError("it does not begin as an HDF5 file")
        n_bytes = os.fstat(file.fileno()).st_size
        if n_bytes > MAX_BYTES:
            raise NIRError(f"it has {n_bytes} bytes, more than {MAX_BYTES}")
        file.seek(0)
        return file.read(n_bytes)


def _alone(node: NodeRecord) -> GraphRecord:
    """Return a graph for a file whose root is a node."""
    return GraphRecord(nodes={node.type.lower(): node}, edges=[])


def _record(where: str, group: Group) -> NodeRecord | GraphRecord:
    kind = group.children.get("type")
    if not isinstance(kind, Dataset) or not isinstance(kind.value, str):
        raise NIRError(f"{group.path} has no type")
    metadata = group.children.get("metadata")
    notes = plain(_tree(metadata)) if isinstance(metadata, Group) else {}
    if kind.value == "NIRGraph":
        nodes = _group(group, "nodes").children
        return GraphRecord(
            nodes={name: _record(name, _group_of(name, child)) for name, child in nodes.items()},
            edges=_edges(group),
            metadata=notes,
        )
    fields = {
        name: _field(where, name, child)
        for name, child in group.children.items()
        if name not in ("type", "metadata")
    }
    return NodeRecord(type=kind.value, fields=fields, metadata=notes)


def _field(where: str, name: str, found: Group | Dataset) -> Any:
    if not isinstance(found, Dataset):
        raise NIRError(f"Node {where!r}: {name} must be a dataset, not a group")
    return found.value


def _tree(found: Group | Dataset) -> Any:
    if isinstance(found, Dataset):
        return found.value
    return {name: _tree(child) for name, child in found.children.items()}


def _edges(group: Group) -> Edges:
    found = group.children.get("edges")
    if not isinstance(found, Dataset):
        raise NIRError(f"{group.path} has no edges")
    pairs = np.asarray(found.value)
    if not pairs.size:
        return []
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not all(isinstance(n, str) for n in pairs.flat):
        raise NIRError(f"{found.path} must be pairs of names, got shape {pairs.shape}")
    return [(str(src), str(dst)) for src, dst in pairs.tolist()]


def _group(parent: Group, name: str) -> Group:
    found = parent.children.get(name)
    if found is None:
        raise NIRError(f"{parent.path} lacks {name!r}")
    return _group_of(name, found)


def _group_of(name: str, found: Group | Dataset) -> Group:
    if not isinstance(found, Group):
        raise NIRError(f"{name!r} must be a group, not a dataset")
    return found


def write_file(path: str | os.PathLike[str], graph: GraphRecord) -> None:
    """Write a graph to a file, which is replaced in one step; folders are made as needed."""
    target = Path(path)
    if target.is_dir():
        raise ValueError(f"Path is a directory, not a file: {target}")
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    file = Emitter(_GZIP_LEVEL)
    version = file.texts([FORMAT_VERSION], ())
    root = file.group({b"version": version, b"node": _emit_graph(file, "/node", graph)})
    pieces = file.finish(root)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as out:
            for piece in pieces:
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _emit_graph(file: Emitter, path: str, graph: GraphRecord) -> int:
    nodes: dict[bytes, int] = {}
    for name, node in graph.nodes.items():
        below = f"{path}/nodes/{name}"
        emit = _emit_graph if isinstance(node, GraphRecord) else _emit_node
        nodes[encode_key(f"{path}/nodes", name)] = emit(file, below, cast("Any", node))
    ends = [name for edge in graph.edges for name in edge]
    children = {
        b"type": file.texts(["NIRGraph"], ()),
        b"nodes": file.group(nodes),
        b"edges": file.texts(ends, (len(graph.edges), 2)),
    }
    return file.group(children | _emit_metadata(file, path, graph.metadata))


def _emit_node(file: Emitter, path: str, node: NodeRecord) -> int:
    children = {b"type": file.texts([node.type], ())}
    for name, value in node.fields.items():
        stored = np.array(value, np.int64) if isinstance(value, tuple) else value
        children[encode_key(path, name)] = write_value(file, f"{path}/{name}", stored)
    return file.group(children | _emit_metadata(file, path, node.metadata))


def _emit_metadata(file: Emitter, path: str, metadata: dict[str, Any]) -> dict[bytes, int]:
    if not metadata:
        return {}
    return {b"metadata": write_value(file, f"{path}/metadata", metadata)}
