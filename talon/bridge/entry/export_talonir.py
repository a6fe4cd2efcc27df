"""From a module of snnTorch or PyTorch to a graph of Talon."""

from typing import Any

from talon.bridge import to_ir
from talon.ir import Graph

__all__ = ["export_to_ir"]


def export_to_ir(module: Any, sample: Any, **options: Any) -> Graph:
    """Return the graph of a module, see :func:`talon.bridge.to_ir`."""
    return to_ir(module, sample, **options)
