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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields as fields_of
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from talon.errors import T1CFormatError
from talon.ir.checks import check_int
from talon.ir.graph import Graph
from talon.ir.hdf5 import (
    KIND,
    SIGNATURE,
    Dataset,
    Emitter,
    Group,
    encode_key,
    pack_attribute,
    read_tree,
    write_value,
)
from talon.ir.hdf5.emit import Piece
from talon.ir.integers import FLOATS, Codes, floats_of, integers_of, scales_of
from talon.ir.node import Node, list_primitives, str_to_node
from talon.ir.types import Edge

VERSION = "0.0.1"
"""Written for graphs that the documented format can express."""
EXTENDED_VERSION = "0.1.0"
"""Written for graphs with delays, integer weights, or nodes beyond the documented ones."""
VERSIONS = (VERSION, EXTENDED_VERSION)

_ORDER = "talon_order"
_PORTS = ("input_type", "output_type")
_FORMAT, _DTYPE, _SHAPE = "talon_format", "talon_dtype", "talon_shape"
_MIN_UNPACKED = 64 << 20
_MAX_EXPANSION = 16  # a float64 for every code of 4 bits
_NUMBERS = (int, float, bool, int | None, float | None, Any)
_GZIP_LEVEL = 4
_BLOCK_BYTES = 1 << 18
_TRAILER = struct.Struct("<8sQI")
_MAGIC = b"T1C\0CRC\n"


def write(path: str | os.PathLike[str], graph: Graph, *, compression: str | None = None) -> None:
    """Write a graph to a file, which is replaced in one step; folders are made as needed.

    Parameters
    ----------
    path
        The file, by custom with the suffix ``.t1c``.
    graph
        The graph.
    compression
        ``"gzip"`` to compress the arrays, which original readers understand too; None not to.

    Raises
    ------
    ValueError, TypeError
        If the graph holds something that a file cannot, or the compression is another.
    """
    target = _as_path(path)
    if not isinstance(graph, Graph):
        raise TypeError(
            f"graph must be a TALON IR Graph, got {type(graph).__name__}. "
            "Note: write(path, graph) -- path is the first argument."
        )
    if target.is_dir():
        raise ValueError(f"Path is a directory, not a file: {target}")
    if compression not in (None, "gzip"):
        raise ValueError(f"compression must be 'gzip' or None, got {compression!r}")
    graph.check_structure()
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        _write_sealed(temporary, _emit(graph, Emitter(_GZIP_LEVEL if compression else None)))
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> Graph:
    """Read a graph from a file.

    Parameters
    ----------
    path
        The file.
    max_bytes
        The most bytes that the file may have, and that all its data may unpack to. If it is not
        given, data may unpack to 64 MiB and 8 times the size of the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    T1CFormatError
        If the file is damaged, is something else, is of an unknown version or is too large.
    """
    source = _as_source(path)
    if max_bytes is not None:
        max_bytes = check_int("max_bytes", max_bytes, 1)
    with _blaming(source):
        return _read_content(_read_sealed(source, max_bytes), max_bytes)


def _read_content(content: memoryview, max_bytes: int | None) -> Graph:
    root = read_tree(content, max_bytes)
    _version(root)
    limit = _MIN_UNPACKED + _MAX_EXPANSION * len(content) if max_bytes is None else max_bytes
    graph = _group(root, "graph")
    _check_unpacked(_group(graph, "nodes"), limit)
    return _read_graph(graph)


def to_bytes(graph: Graph) -> bytes:
    """Return what :func:`write` would write to a file; raises as it does."""
    graph.check_structure()
    content = b"".join(_emit(graph, Emitter(None)))
    return content + _TRAILER.pack(_MAGIC, len(content), zlib.crc32(content))


def from_bytes(data: bytes, *, name: str = "data", max_bytes: int | None = None) -> Graph:
    """Read a graph from the bytes of a file; raises as :func:`read` does, of ``name``."""
    with _blaming(name):
        return _read_content(_unsealed(memoryview(data)), max_bytes)


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


def _emit(graph: Graph, file: Emitter) -> list[Piece]:
    """Return the content of a file, see ``docs/reference/t1c.md``."""
    stored = graph.to_dict()
    root = {
        encode_key("/graph", name): write_value(file, f"/graph/{name}", value)
        for name, value in stored.items()
        if name not in {"nodes", "edges", "delays"}
    }
    names = [_names(graph, column) for column in (0, 1)]
    edges = {key: file.texts(n, (len(n),)) for key, n in zip((b"src", b"dst"), names, strict=True)}
    if graph.delays:
        delays = [graph.delay(*edge) for edge in graph.edges]
        edges[b"delay"] = file.array(np.array(delays, np.int64))
    root[b"edges"] = file.group(edges)
    codes = integers_of(graph)
    nodes: dict[bytes, int] = {}
    for order, (name, node) in enumerate(graph.nodes.items()):
        key = encode_key("/graph/nodes", name)
        attributes = [pack_attribute(_ORDER, order), *_port_attributes(node)]
        nodes[key] = _emit_node(file, name, stored["nodes"][name], attributes, codes.get(name, {}))
    root[b"nodes"] = file.group(nodes)
    extended = bool(codes) or _is_extended(graph, stored["nodes"])
    version = write_value(file, "/version", EXTENDED_VERSION if extended else VERSION)
    return file.finish(file.group({b"version": version, b"graph": file.group(root)}))


def _names(graph: Graph, column: int) -> list[str]:
    return [edge[column] for edge in graph.edges]


def _emit_node(
    file: Emitter,
    name: str,
    stored: Mapping[str, Any],
    attributes: Sequence[bytes],
    codes: Mapping[str, Codes],
) -> int:
    path = f"/graph/nodes/{name}"
    children = {
        encode_key(path, field): _emit_codes(file, codes[field])
        if field in codes
        else write_value(file, f"{path}/{field}", value)
        for field, value in stored.items()
    }
    return file.group(children, b"".join(attributes), len(attributes))


def _port_attributes(node: Node) -> Iterator[bytes]:
    for field in _PORTS:
        for port, dims in (getattr(node, field, None) or {}).items():
            yield pack_attribute(f"{field}:{port}", np.asarray(dims, np.int64))


def _emit_codes(file: Emitter, codes: Codes) -> int:
    attributes = [pack_attribute(_FORMAT, codes.number_format), pack_attribute(_DTYPE, codes.dtype)]
    if codes.values.shape != codes.shape:
        attributes.append(pack_attribute(_SHAPE, np.asarray(codes.shape, np.int64)))
    return file.array(codes.values, b"".join(attributes), len(attributes))


def is_extended(graph: Graph) -> bool:
    """Return whether a graph says something that the original format cannot say."""
    return _is_extended(graph, {name: node.to_dict() for name, node in graph.nodes.items()})


def _is_extended(graph: Graph, stored: Mapping[str, Mapping[str, Any]]) -> bool:
    return bool(graph.delays) or any(
        node.is_extension or not node.extension_fields.isdisjoint(stored[name])
        for name, node in graph.nodes.items()
    )


def _write_sealed(path: Path, pieces: list[Piece]) -> None:
    """Write a new file, with length and CRC-32 at its end, and force it to the disk."""
    n_bytes = crc = 0
    with path.open("xb") as file:
        for piece in _joined(pieces):
            file.write(piece)
            n_bytes += len(piece)
            crc = zlib.crc32(piece, crc)
        file.write(_TRAILER.pack(_MAGIC, n_bytes, crc))
        file.flush()
        os.fsync(file.fileno())


def _joined(pieces: list[Piece]) -> Iterator[Piece]:
    """Give the pieces, small ones joined to blocks, which are quicker to write one by one."""
    start = n_bytes = 0
    for k, piece in enumerate(pieces):
        if len(piece) > _BLOCK_BYTES:
            yield b"".join(pieces[start:k])
            yield piece
            start, n_bytes = k + 1, 0
            continue
        n_bytes += len(piece)
        if n_bytes > _BLOCK_BYTES:
            yield b"".join(pieces[start : k + 1])
            start, n_bytes = k + 1, 0
    yield b"".join(pieces[start:])


def _read_sealed(path: Path, max_bytes: int | None = None) -> memoryview:
    """Return a file's content; if it ends with a checksum, the content must agree with it.

    It is in memory of our own and not mapped: nobody can change it between the check and its use,
    and a file that is cut off meanwhile does not end the process.
    """
    with path.open("rb") as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            raise T1CFormatError("it does not begin as an HDF5 file")
        n_bytes = os.fstat(file.fileno()).st_size
        if max_bytes is not None and n_bytes > max_bytes:
            raise T1CFormatError(f"it has {n_bytes} bytes, more than max_bytes={max_bytes}")
        file.seek(0)
        whole = bytearray(n_bytes)
        return _unsealed(memoryview(whole)[: file.readinto(whole)])


def _unsealed(content: memoryview) -> memoryview:
    """Return a file's content without its checksum, if it has one; it must agree then."""
    if not content[: len(SIGNATURE)] == SIGNATURE:
        raise T1CFormatError("it does not begin as an HDF5 file")
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
def _blaming(path: Path | str) -> Iterator[None]:
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
    fields = {
        name: _plain(_value(child))
        for name, child in root.children.items()
        if name not in ("nodes", "edges")
    }
    if fields.get("type") != "Graph":
        raise T1CFormatError(f"/graph/type must be 'Graph', got {fields.get('type')!r}")
    fields["edges"], fields["delays"] = _read_edges(_value(_group(root, "edges")))
    scales = scales_of(fields.get("quantization_config"))
    fields["nodes"] = _read_nodes(_group(root, "nodes"), scales)
    return Graph.from_dict(fields)


def _check_unpacked(nodes: Group, limit: int) -> None:
    """Refuse integers that would become more than ``limit`` bytes of floats."""
    total = 0
    for node in nodes.children.values():
        for child in node.children.values() if isinstance(node, Group) else ():
            if isinstance(child, Dataset) and _FORMAT in child.attributes:
                n_codes = np.size(child.value) * (2 if child.attributes[_FORMAT] == "int4" else 1)
                total += n_codes * FLOATS.get(str(child.attributes.get(_DTYPE)), 8)
    if total > limit:
        raise T1CFormatError(
            f"its integers are {total} bytes as floats, more than {limit}; "
            "max_bytes sets another limit"
        )


def _read_nodes(group: Group, scales: Mapping[str, Mapping[str, Any]]) -> dict[str, Node]:
    found: list[tuple[int, str, Node]] = []
    for position, name in enumerate(group.children):
        child = _group(group, name)
        order = int(child.attributes.get(_ORDER, position))
        found.append((order, name, _read_node(name, child, scales.get(name, {}))))
    return {name: node for _, name, node in sorted(found, key=lambda entry: entry[0])}


def _read_node(name: str, group: Group, scales: Mapping[str, Any]) -> Node:
    data = {key: _field(child, scales.get(key)) for key, child in group.children.items()}
    ports: dict[str, dict[str, Any]] = {}
    for key, dims in group.attributes.items():
        field, _, port = key.partition(":")
        if field in _PORTS and field != key:
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
    if _FORMAT in found.attributes:
        return _read_codes(found, scale)
    return _value(found) if found.attributes else found.value


def _read_codes(found: Dataset, scale: object) -> Any:
    """Return the floats of a dataset of integers."""
    attributes, values = found.attributes, np.asarray(found.value)
    dims = np.asarray(attributes.get(_SHAPE, values.shape))
    if dims.ndim > 1 or (dims.size and (dims.dtype.kind not in "iu" or (dims < 0).any())):
        raise T1CFormatError(f"{found.path}: {_SHAPE} must be a list of sizes")
    shape = tuple(dims.reshape(-1).tolist())
    codes = Codes(values, str(attributes[_FORMAT]), str(attributes.get(_DTYPE)), shape)
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
