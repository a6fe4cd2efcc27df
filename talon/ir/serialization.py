"""The ``.t1c`` format: one graph in one HDF5 file.

The layout is documented in ``docs/reference/t1c.md``. A file is written beside its place and
then moved there, so it is either the old one or the new one. It ends with a checksum, which a
reader of plain HDF5 does not see.
"""

import os
import secrets
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from talon.errors import T1CFormatError
from talon.ir.checks import check_int
from talon.ir.decoding import read_graph, version_of
from talon.ir.encoding import emit_graph
from talon.ir.graph import Graph
from talon.ir.hdf5 import Emitter, read_tree
from talon.ir.sealing import read_sealed, trailer, unsealed, write_sealed

_MIN_UNPACKED = 64 << 20
_MAX_EXPANSION = 16  # a float64 for every code of 4 bits
_GZIP_LEVEL = 4


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
        write_sealed(temporary, emit_graph(graph, Emitter(_GZIP_LEVEL if compression else None)))
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
        return _read_content(read_sealed(source, max_bytes), max_bytes)


def to_bytes(graph: Graph) -> bytes:
    """Return what :func:`write` would write to a file; raises as it does."""
    graph.check_structure()
    content = b"".join(emit_graph(graph, Emitter(None)))
    return content + trailer(len(content), zlib.crc32(content))


def from_bytes(data: bytes, *, name: str = "data", max_bytes: int | None = None) -> Graph:
    """Read a graph from the bytes of a file; raises as :func:`read` does, of ``name``."""
    with _blaming(name):
        return _read_content(unsealed(memoryview(data)), max_bytes)


def read_version(path: str | os.PathLike[str]) -> str:
    """Return the version of a file's format; raises as :func:`read` does."""
    source = _as_source(path)
    with _blaming(source):
        return version_of(read_tree(read_sealed(source)))


def _read_content(content: memoryview, max_bytes: int | None) -> Graph:
    limit = _MIN_UNPACKED + _MAX_EXPANSION * len(content) if max_bytes is None else max_bytes
    return read_graph(read_tree(content, max_bytes), limit)


def _as_path(path: object) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"path must be str or Path, got {type(path).__name__}. "
            "Note: write(path, graph) -- path is the first argument."
        )
    return Path(cast("str", path))


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
