# pyright: reportMissingImports=false
"""Calls in a trace that join, cut or measure tensors: what is more than one node of one input."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from talon import ir
from talon.bridge.errors import BridgeError
from talon.bridge.functions import ADDITIONS
from talon.bridge.layers import feature_dim
from talon.bridge.values import BATCH, Parts, Size, Spikes, State, Value, spikes_of

if TYPE_CHECKING:
    from talon.bridge.walk import Walk

Handler = Callable[["Walk", Any], Any]


def find_handler(target: Any) -> Handler | None:
    """Return what takes a call of a function, or of the method with that name, across."""
    import torch

    from talon.bridge.tracer import constant

    handlers: dict[Any, Handler] = {
        constant: lambda walk, call: State(is_zero=call.args[1]),
        operator.getitem: _item,
        getattr: _size,
        "size": _size,
        **dict.fromkeys((*ADDITIONS, torch.add), _join),
        **dict.fromkeys((torch.cat, torch.concat), _concatenate),
        **dict.fromkeys((torch.chunk, torch.split, "chunk", "split"), _split),
        **dict.fromkeys(("view", "reshape", torch.reshape), _reshape),
    }
    return handlers.get(target)


def _join(walk: Walk, call: Any) -> Any:
    sides = [walk.resolve(argument) for argument in call.args[:2]]
    if call.kwargs.get("alpha", 1) != 1:
        raise BridgeError("add with alpha has no counterpart in the IR")
    if not all(isinstance(spikes_of(side), Value) for side in sides):
        raise BridgeError(
            "Adding a number or a state has no counterpart in the IR; use the bias of a layer"
        )
    values = [walk.value(argument, call) for argument in call.args[:2]]
    if values[0].shape != values[1].shape:
        raise BridgeError(
            f"Adding values of shapes {values[0].shape} and {values[1].shape} would broadcast, "
            "which has no counterpart in the IR"
        )
    return walk.growth.add("add", ir.Skip("residual"), *values)


def _concatenate(walk: Walk, call: Any) -> Any:
    tensors = call.args[0] if call.args else call.kwargs["tensors"]
    dim = call.args[1] if len(call.args) > 1 else call.kwargs.get("dim", 0)
    values = [walk.value(tensor, call) for tensor in tensors]
    return walk.growth.add("cat", ir.Concat(len(values), feature_dim(dim, "cat")), *values)


def _split(walk: Walk, call: Any) -> Any:
    value = walk.value(call.args[0], call)
    how = call.args[1] if len(call.args) > 1 else next(iter(call.kwargs.values()))
    dim = call.args[2] if len(call.args) > 2 else call.kwargs.get("dim", 0)
    at = feature_dim(dim, "split")
    size = value.shape[at]
    is_chunk = "chunk" in getattr(call.target, "__name__", call.target)
    if isinstance(how, int):
        step = -(-size // how) if is_chunk else how
        how = [min(step, size - start) for start in range(0, size, step)]
    return walk.growth.split("split", ir.ChannelSplit(tuple(how), at), value)


def _reshape(walk: Walk, call: Any) -> Any:
    value = walk.value(call.args[0], call)
    rest = [walk.resolve(argument) for argument in call.args[1:]]
    if len(rest) == 1 and isinstance(rest[0], tuple | list):
        rest = list(rest[0])
    n = int(np.prod(value.shape))
    if len(rest) == 2 and rest[1] in (-1, n) and rest[0] in (BATCH, -1):
        return walk.growth.add("flatten", ir.Flatten(0), value)
    raise BridgeError(
        f"Reshaping {value.shape} to {rest} has no counterpart in the IR but "
        "x.view(x.size(0), -1); use torch.flatten(x, 1)"
    )


def _size(walk: Walk, call: Any) -> Any:
    if call.target is getattr and call.args[1] != "shape":
        raise BridgeError(f"Attribute {call.args[1]!r} of a tensor has no counterpart")
    value = walk.value(call.args[0], call)
    dims = (BATCH, *value.shape)
    if call.target == "size" and len(call.args) > 1:
        return dims[call.args[1]]
    return Size(dims)


def _item(walk: Walk, call: Any) -> Any:
    of, index = (walk.resolve(argument) for argument in call.args[:2])
    if isinstance(of, Spikes) and of.is_tuple:
        return of.value if index == 0 else State(origin=of.value.node)
    if isinstance(of, Parts):
        return of.values[index]
    if isinstance(of, Size):
        return of.dims[index]
    if isinstance(of, State):
        return of
    raise BridgeError(
        f"Indexing a tensor ({call.format_node()}) has no counterpart in the IR; use "
        "torch.split for channels"
    )
