"""Networks from and to PyTorch and snnTorch, which are imported when they are asked for.

``to_ir`` and ``from_ir`` name functions and, as in the documented API, hide the modules of these
names.
"""

from typing import Any

from talon.bridge.errors import BridgeError, BridgeWarning
from talon.bridge.from_ir import (
    CLASSES,
    from_ir,
    ir_to_torch,
    load,
    node_to_module,
    nodes_to_modules,
)
from talon.bridge.names import sanitize_module_name, to_tuple, validate_shape
from talon.bridge.to_ir import TALONExporter, to_ir, torch_to_ir
from talon.bridge.trace import trace_module
from talon.bridge.validation import (
    GraphValidationError,
    get_disconnected_nodes,
    get_input_nodes,
    get_output_nodes,
    get_topological_order,
    has_cycles,
    validate_graph,
)

LAZY = tuple(name for names in CLASSES.values() for name in names)
"""Names that import PyTorch when they are asked for; so ``import *`` leaves them out."""

__all__ = [
    "BridgeError",
    "BridgeWarning",
    "GraphValidationError",
    "TALONExporter",
    "from_ir",
    "get_disconnected_nodes",
    "get_input_nodes",
    "get_output_nodes",
    "get_topological_order",
    "has_cycles",
    "ir_to_torch",
    "load",
    "node_to_module",
    "nodes_to_modules",
    "sanitize_module_name",
    "to_ir",
    "to_tuple",
    "torch_to_ir",
    "trace_module",
    "validate_graph",
    "validate_shape",
]


def __getattr__(name: str) -> Any:
    """Import a name, and PyTorch with it, when it is first asked for."""
    if name in LAZY:
        from importlib import import_module

        return getattr(import_module("talon.bridge.from_ir"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
