"""From a graph of Talon to a module of PyTorch."""

import os
from typing import Any

from talon.bridge import ir_to_torch
from talon.ir import Graph

__all__ = ["import_from_ir"]


def import_from_ir(
    graph: Graph | str | os.PathLike[str], return_state: bool = True, **options: Any
) -> Any:
    """Return a graph, or that of a file, as a module, see :func:`talon.bridge.ir_to_torch`."""
    return ir_to_torch(graph, return_state=return_state, **options)
