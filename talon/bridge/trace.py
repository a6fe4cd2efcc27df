# pyright: reportMissingImports=false
"""The data flow of a PyTorch module, found by torch.fx without running it."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Sequence
from typing import Any

from talon.bridge.errors import BridgeError

_SETTLED = (bool, int, float, str, type(None))
"""Types of defaults that an argument keeps."""


def is_check(call: Any) -> bool:
    """Tell whether a call of a trace is fx's own check that an argument has its default."""
    import torch

    name = getattr(call.target, "__name__", "")
    return name == "_assert_is_none" or call.target is torch._assert or _is_compared(call)


def is_settled(placeholder: Any) -> bool:
    """Tell whether an argument has kept its default."""
    return any(is_check(user) for user in placeholder.users)


def _is_compared(call: Any) -> bool:
    import torch

    return call.target is operator.eq and any(user.target is torch._assert for user in call.users)


def trace_module(model: Any, leaf_modules: Sequence[type] = ()) -> Any:
    """Return the ``torch.fx.Graph`` of a module.

    Layers of PyTorch, neurons of snnTorch and modules of ``leaf_modules`` are not looked into.
    Arguments whose default is None, a number, a bool or a text keep it: None is a state, which
    begins at zero. The module is not changed.

    Raises
    ------
    BridgeError
        Its data flow depends on data, so that it cannot be found without running it.
    """
    from torch import fx

    from talon.bridge.tracer import TALONTracer

    settled = {
        name: parameter.default
        for name, parameter in inspect.signature(model.forward).parameters.items()
        if isinstance(parameter.default, _SETTLED)
    }
    try:
        return TALONTracer(leaf_modules).trace(model, concrete_args=settled or None)
    except (fx.proxy.TraceError, TypeError, RuntimeError) as error:
        raise BridgeError(
            f"{type(model).__name__} cannot be traced: {error}. Its data flow must not depend on "
            "the data: move loops over timesteps and branches on values out of forward()"
        ) from error
