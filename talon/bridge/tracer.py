# pyright: reportMissingImports=false
"""How torch.fx looks into a module: layers and neurons are not looked into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from talon.bridge.layers import is_own, is_stateful


def constant(shape: Any, is_zero: bool) -> Any:
    """Stand for a tensor that a module made itself, such as the first state of its neurons."""
    raise NotImplementedError(shape, is_zero)


class TALONTracer(fx.Tracer):
    """A tracer for which layers, neurons, modules of nodes and other classes are one call.

    Parameters
    ----------
    leaf_modules
        The other classes.
    """

    def __init__(self, leaf_modules: Sequence[type] = ()) -> None:
        super().__init__()
        self.leaf_modules = tuple(leaf_modules)

    def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
        """Tell whether a module is one call."""
        if isinstance(m, self.leaf_modules) or is_stateful(m) or is_own(m):
            return True
        return super().is_leaf_module(m, module_qualified_name)

    def create_arg(self, a: Any) -> Any:
        """Take a constant tensor as a call; fx itself would hang it onto the module."""
        if isinstance(a, torch.Tensor) and not isinstance(a, torch.nn.Parameter):
            facts = (tuple(a.shape), not bool(a.detach().any()))
            return self.create_node("call_function", constant, facts, {})
        return super().create_arg(a)
