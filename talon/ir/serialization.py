"""The ``.t1c`` format: one graph in one HDF5 file.

The layout is documented in ``docs/reference/t1c.md``. A file is written beside its place and
then moved there, so it is either the old one or the new one. It ends with a checksum, which a
reader of plain HDF5 does not see.
"""

import json
import os
import secrets
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np

from talon.errors import T1CFormatError
from talon.ir.graph import Graph
from talon.ir.hdf5 import KIND, SIGNATURE, Dataset, Group, create_group, read_tree, write_value
from talon.ir.node import Node, list_primitives, str_to_node
from talon.ir.types import Edge

VERSION = "0.0.1"
"""Written for graphs that the documented format can express."""
EXTENDED_VERSION = "0.1.0"
"""Written for graphs with delays or with neurons beyond the documented equation."""
VERSIONS = (VERSION, EXTENDED_VERSION)

_ORDER = "talon_order"
_PORTS = ("input_type", "output_type")
_TRAILER = struct.Struct("<8sQI")
_MAGIC = b"T1C\0CRC\n"


def write(path: str | os.PathLike[str], graph: Graph) -> None:
    """Write a graph to a file, which is replaced in one step; folders are made as needed.

    Parameters
    ----------
    path
        The file, by custom with the suffix ``.t1c``.
    graph
        The graph.
    """
    target = _as_path(path)
    if not isinstance(graph, Graph):
        raise TypeError(
            f"graph must be a TALON IR Graph, got {type(graph).__name__}. "
            "Note: write(path, graph) -- path is the first argument."
        )
    if target.is_dir():
        raise ValueError(f"Path is a directory, not a file: {target}")
    graph.check_structure()
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        with h5py.File(temporary, "x", libver="earliest") as file:
            _write_graph(file, graph)
        _seal(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: str | os.PathLike[str]) -> Graph:
    """Read a graph from a file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    T1CFormatError
        If the file is damaged, is something else, or is of an unknown version.
    """
    source = _as_source(path)
    with _blaming(source):
        root = read_tree(_read_sealed(source))
        _version(root)
        return _read_graph(_group(root, "graph"))


def read_version(path: str | os.PathLike[str]) -> str:
    """Return the version of a file's format; raises as :func:`read` does."""
    source = _as_source(path)
    with _blaming(source):
        return _version(read_tree(_read_sealed(source)))


def _as_path(path: object) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"path must be str or Path, got {type(path).__name__}. "
            "Note: write(path, graph) -- path is the first argument."
        )
    return Path(cast("str", path))


def _write_graph(file: h5py.File, graph: Graph) -> None:
    write_value(file, "version", EXTENDED_VERSION if _is_extended(graph) else VERSION)
    root = file.create_group("graph")
    fields = graph.to_dict()
    for name, value in fields.items():
        if name not in {"nodes", "edges", "delays"}:
            write_value(root, name, value)
    edges = root.create_group("edges")
    for name, column in (("src", 0), ("dst", 1)):
        names = np.array([edge[column] for edge in graph.edges], object)
        edges.create_dataset(name, data=names, dtype=h5py.string_dtype("utf-8"))
    if graph.delays:
        edges["delay"] = np.array([graph.delay(*edge) for edge in graph.edges], np.int64)
    nodes = root.create_group("nodes")
    for order, (name, node) in enumerate(graph.nodes.items()):
        group = create_group(nodes, name)
        for field, value in node.to_dict().items():
            write_value(group, field, value)
        group.attrs[_ORDER] = order
        for field in _PORTS:
            for port, dims in (getattr(node, field, None) or {}).items():
                group.attrs[f"{field}:{port}"] = np.asarray(dims, np.int64)


def _is_extended(graph: Graph) -> bool:
    return bool(graph.delays) or any(
        node.extension_fields & set(node.to_dict()) for node in graph.nodes.values()
    )


def _seal(path: Path) -> None:
    """Append length and CRC-32 of the file, and force it to the disk."""
    content = path.read_bytes()
    with path.open("ab") as file:
        file.write(_TRAILER.pack(_MAGIC, len(content), zlib.crc32(content)))
        file.flush()
        os.fsync(file.fileno())


def _read_sealed(path: Path) -> bytes:
    """Return a file's content; if it ends with a checksum, the content must agree with it."""
    with path.open("rb") as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            raise T1CFormatError("it does not begin as an HDF5 file")
        file.seek(0)
        content = file.read()
    if len(content) < _TRAILER.size:
        return content
    magic, n_bytes, crc = _TRAILER.unpack_from(content, len(content) - _TRAILER.size)
    if magic != _MAGIC:
        return content
    content = content[: -_TRAILER.size]
    if n_bytes != len(content) or zlib.crc32(content) != crc:
        raise T1CFormatError("its checksum does not match; it was changed after it was written")
    return content


def _as_source(path: object) -> Path:
    source = _as_path(path)
    if not source.exists():
        raise FileNotFoundError(f"TALON IR file not found: {source}")
    if not source.is_file():
        raise ValueError(f"Path is not a file: {source}")
    return source


@contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Report what goes wrong inside as an error of the file."""
    try:
        yield
    except Exception as exc:
        # A damaged file makes NumPy, zlib and the constructors of nodes raise errors of any class.
        cause = str(exc) or type(exc).__name__
        raise T1CFormatError(f"Cannot read TALON IR file {path}: {cause}") from exc


def _version(root: Group) -> str:
    version = _dataset(root, "version").value
    if version not in VERSIONS:
        raise T1CFormatError(f"version {version!r} is unknown; {', '.join(VERSIONS)} can be read")
    return version


def _read_graph(root: Group) -> Graph:
    fields = {name: _plain(_value(child)) for name, child in root.children.items()}
    if fields.get("type") != "Graph":
        raise T1CFormatError(f"/graph/type must be 'Graph', got {fields.get('type')!r}")
    fields["edges"], fields["delays"] = _read_edges(_value(_group(root, "edges")))
    fields["nodes"] = _read_nodes(_group(root, "nodes"))
    return Graph.from_dict(fields)


def _read_nodes(group: Group) -> dict[str, Node]:
    found: list[tuple[int, str, Node]] = []
    for position, name in enumerate(group.children):
        child = _group(group, name)
        order = int(child.attributes.get(_ORDER, position))
        found.append((order, name, _read_node(name, child)))
    return {name: node for _, name, node in sorted(found, key=lambda entry: entry[0])}


def _read_node(name: str, group: Group) -> Node:
    values = {key: _value(child) for key, child in group.children.items()}
    data = {key: _plain(v) if isinstance(v, dict) else v for key, v in values.items()}
    for field in _PORTS:
        ports = {
            key.partition(":")[2]: dims
            for key, dims in group.attributes.items()
            if key.startswith(f"{field}:")
        }
        data.update({field: ports} if ports else {})
    if not isinstance(data.get("type"), str):
        raise T1CFormatError(f"node {name!r} has no type")
    try:
        kind = str_to_node(data["type"])
    except ValueError as exc:
        raise T1CFormatError(
            f"node {name!r}: {exc}; known are {', '.join(list_primitives())}, "
            "and what talon.ir.register_node makes known"
        ) from exc
    try:
        return kind.from_dict(data)
    except (TypeError, ValueError, KeyError) as exc:
        raise T1CFormatError(f"node {name!r}: {exc}") from exc


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


def _read_edges(columns: Mapping[str, Any]) -> tuple[list[Edge], dict[Edge, int]]:
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
    edges = list(zip(src, dst, strict=True))
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
