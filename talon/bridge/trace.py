# pyright: reportMissingImports=false
"""The data flow of a PyTorch module, found by torch.fx without running it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from talon.bridge.errors import BridgeError
from talon.bridge.layers import is_stateful


def constant(shape: Any) -> Any:
    """Stand for a tensor that a module made itself, such as the first state of its neurons."""
    raise NotImplementedError(shape)


def trace_module(model: Any, leaf_types: Sequence[type] = ()) -> Any:
    """Return the ``torch.fx.Graph`` of a module.

    Layers of PyTorch, neurons of snnTorch and modules of ``leaf_types`` are not looked into.
    Arguments whose default is None stay None: they are states, which begin at zero. The module is
    not changed.

    Raises
    ------
    BridgeError
        Its data flow depends on data, so that it cannot be found without running it.
    """
    import torch
    from torch import fx

    class Tracer(fx.Tracer):
        def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
            if isinstance(m, tuple(leaf_types)) or is_stateful(m):
                return True
            return super().is_leaf_module(m, module_qualified_name)

        def create_arg(self, a: Any) -> Any:
            # fx itself would hang the tensor onto the module.
            if isinstance(a, torch.Tensor) and not isinstance(a, torch.nn.Parameter):
                return self.create_node("call_function", constant, (tuple(a.shape),), {})
            return super().create_arg(a)

    states = {
        name: None
        for name, parameter in inspect.signature(model.forward).parameters.items()
        if parameter.default is None
    }
    try:
        return Tracer().trace(model, concrete_args=states or None)
    except (fx.proxy.TraceError, TypeError, RuntimeError) as error:
        raise BridgeError(
            f"{type(model).__name__} cannot be traced: {error}. Its data flow must not depend on "
            "the data: move loops over timesteps and branches on values out of forward()"
        ) from error
