"""Networks as the functions of the SDK take them: a graph, or the path of its file."""

from __future__ import annotations

import os
from typing import TypeAlias

from talon.ir.graph import Graph

GraphSource: TypeAlias = "Graph | str | os.PathLike[str]"


def is_nir(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file is a NIR file by its name."""
    return os.fspath(path).endswith(".nir")


def as_graph(source: GraphSource) -> Graph:
    """Return the graph itself, or that of the ``.t1c`` file at a path.

    Raises
    ------
    TypeError
        It is neither.
    FileNotFoundError, talon.errors.T1CFormatError
        There is no such file, or it cannot be read.
    """
    if isinstance(source, Graph):
        return source
    if isinstance(source, str | os.PathLike):
        from talon.ir.serialization import read

        return read(source)
    raise TypeError(f"graph must be a talon.ir.Graph or a path, got {type(source).__name__}")
