"""The ``.t1c`` format: one graph in one HDF5 file.

The layout is documented in ``docs/reference/t1c.md``. A file is written beside its place and
then moved there, so it is either the old one or the new one. It ends with a checksum, which a
reader of plain HDF5 does not see.
"""

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
from talon.ir.checks import check_dims
from talon.ir.graph import Graph
from talon.ir.hdf5 import TreeReader, plain, write_value
from talon.ir.node import Node, str_to_node
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
_READ_BYTES = 1 << 20


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
    with _opened(path) as (file, reader):
        _read_version(file, reader)
        return _read_graph(file, reader)


def read_version(path: str | os.PathLike[str]) -> str:
    """Return the version of a file's format; raises as :func:`read` does."""
    with _opened(path) as (file, reader):
        return _read_version(file, reader)


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
        group = nodes.create_group(name)
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
    n_bytes = path.stat().st_size
    with path.open("r+b") as file:
        crc = _crc(file, n_bytes)
        file.seek(0, os.SEEK_END)
        file.write(_TRAILER.pack(_MAGIC, n_bytes, crc))
        file.flush()
        os.fsync(file.fileno())


def _check_seal(path: Path) -> int:
    """Compare a file with its checksum, if it has one; return the size without it."""
    n_bytes = path.stat().st_size - _TRAILER.size
    if n_bytes < 0:
        return n_bytes + _TRAILER.size
    with path.open("rb") as file:
        file.seek(n_bytes)
        magic, n_sealed, crc = _TRAILER.unpack(file.read(_TRAILER.size))
        if magic != _MAGIC:
            return n_bytes + _TRAILER.size
        file.seek(0)
        if n_sealed != n_bytes or _crc(file, n_bytes) != crc:
            raise T1CFormatError(f"{path}: the checksum does not match; the file was changed")
    return n_bytes


def _crc(file: Any, n_bytes: int) -> int:
    crc = 0
    while n_bytes > 0 and (block := file.read(min(n_bytes, _READ_BYTES))):
        crc = zlib.crc32(block, crc)
        n_bytes -= len(block)
    return crc


@contextmanager
def _opened(path: object) -> Iterator[tuple[h5py.File, TreeReader]]:
    """Open a file; whatever goes wrong inside is its fault and is reported with its path."""
    source = _as_path(path)
    if not source.exists():
        raise FileNotFoundError(f"TALON IR file not found: {source}")
    if not source.is_file():
        raise ValueError(f"Path is not a file: {source}")
    n_bytes = _check_seal(source)
    try:
        file = h5py.File(source, "r")
    except (OSError, RuntimeError, ValueError, MemoryError) as exc:
        raise T1CFormatError(f"Cannot read file as HDF5: {source} ({exc})") from exc
    try:
        with file:
            yield file, TreeReader(n_bytes)
    except Exception as exc:
        # HDF5 and the constructors of nodes raise errors of many classes over a damaged file.
        raise T1CFormatError(
            f"Invalid TALON IR file {source}: {exc or type(exc).__name__}"
        ) from exc


def _read_version(file: h5py.File, reader: TreeReader) -> str:
    version = reader.read_dataset(_dataset(reader, file, "version"))
    if version not in VERSIONS:
        raise T1CFormatError(f"version {version!r} is unknown; {', '.join(VERSIONS)} can be read")
    return version


def _read_graph(file: h5py.File, reader: TreeReader) -> Graph:
    root = _group(reader.child(file, "graph"))
    fields: dict[str, Any] = {}
    for name, child in reader.children(root):
        if name == "nodes":
            fields[name] = _read_nodes(_group(child), reader)
        elif name == "edges":
            fields[name], fields["delays"] = _read_edges(reader.read_group(_group(child)))
        else:
            fields[name] = plain(reader.read(child, 1))
    if fields.get("type") != "Graph":
        raise T1CFormatError(f"/graph/type must be 'Graph', got {fields.get('type')!r}")
    for name in ("nodes", "edges"):
        if name not in fields:
            raise T1CFormatError(f"missing '/graph/{name}'")
    return Graph.from_dict(fields)


def _read_nodes(group: h5py.Group, reader: TreeReader) -> dict[str, Node]:
    found: list[tuple[int, str, Node]] = []
    for position, (name, found_child) in enumerate(reader.children(group)):
        child = _group(found_child)
        attributes = child.attrs
        data = {key: _unnest(value) for key, value in reader.read_group(child, 1).items()}
        for field in _PORTS:
            ports = {
                key.partition(":")[2]: check_dims(key, attributes[key])
                for key in attributes
                if key.startswith(f"{field}:")
            }
            data.update({field: ports} if ports else {})
        order = attributes.get(_ORDER, position)
        found.append((int(order), name, _build_node(name, data)))
    return {name: node for _, name, node in sorted(found, key=lambda entry: entry[0])}


def _unnest(value: Any) -> Any:
    return plain(value) if isinstance(value, Mapping) else value


def _build_node(name: str, data: Mapping[str, Any]) -> Node:
    kind = data.get("type")
    if not isinstance(kind, str):
        raise T1CFormatError(f"node {name!r} has no type")
    try:
        return str_to_node(kind).from_dict(data)
    except (TypeError, ValueError, KeyError) as exc:
        raise T1CFormatError(f"node {name!r}: {exc}") from exc


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


def _group(found: h5py.Group | h5py.Dataset) -> h5py.Group:
    if not isinstance(found, h5py.Group):
        raise T1CFormatError(f"{found.name} must be a group")
    return found


def _dataset(reader: TreeReader, group: h5py.Group, name: str) -> h5py.Dataset:
    found = reader.child(group, name)
    if not isinstance(found, h5py.Dataset):
        raise T1CFormatError(f"{found.name} must be a dataset")
    return found
