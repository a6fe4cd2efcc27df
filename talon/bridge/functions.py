# pyright: reportMissingImports=false
"""From a function or a method of a tensor to a primitive.

``convert(arguments, shapes)`` gives the primitive for the shapes of its tensors; ``arguments`` are
those of the call without its tensors, by name.
"""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from talon import ir
from talon.bridge.errors import BridgeError
from talon.bridge.layers import feature_dim, flatten, softplus, upsample
from talon.ir.types import Dims

Rule = Callable[..., ir.Node]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """How a function is taken across.

    Parameters
    ----------
    name
        What the node is called.
    make
        Takes the shape of the first tensor, then the other arguments as the function names them.
    """

    name: str
    make: Rule


def _pool(kind: Any, shape: Dims, kernel_size: Any, stride: Any, **options: Any) -> ir.Node:
    del shape
    return kind(kernel_size, stride if stride not in ((), []) else None, **options)


def _max_pool(
    shape: Dims,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> ir.Node:
    if return_indices:
        raise BridgeError("max_pool2d with return_indices=True has no counterpart in the IR")
    return _pool(
        ir.MaxPool2d, shape, kernel_size, stride, padding=padding, dilation=dilation,
        ceil_mode=ceil_mode,
    )  # fmt: skip


def _average_pool(
    shape: Dims,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: Any = None,
) -> ir.Node:
    if divisor_override is not None:
        raise BridgeError("avg_pool2d with divisor_override has no counterpart in the IR")
    return _pool(
        ir.AvgPool2d, shape, kernel_size, stride, padding=padding, ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
    )  # fmt: skip


def _flatten(shape: Dims, start_dim: int = 0, end_dim: int = -1) -> ir.Node:
    return flatten(start_dim, end_dim, shape)


def _relu(shape: Dims, inplace: bool = False) -> ir.Node:
    del inplace
    return ir.ReLU(math.prod(shape))


def _leaky_relu(shape: Dims, negative_slope: float = 0.01, inplace: bool = False) -> ir.Node:
    del inplace
    return ir.ReLU(math.prod(shape), negative_slope)


def _elu(shape: Dims, alpha: float = 1.0, inplace: bool = False) -> ir.Node:
    del inplace
    return ir.ELU(math.prod(shape), alpha)


def _gelu(shape: Dims, approximate: str = "none") -> ir.Node:
    return ir.GELU(math.prod(shape), approximate == "tanh")


def _silu(shape: Dims, inplace: bool = False) -> ir.Node:
    del inplace
    return ir.SiLU(math.prod(shape))


def _hardswish(shape: Dims, inplace: bool = False) -> ir.Node:
    del inplace
    return ir.HardSwish(math.prod(shape))


def _softplus(shape: Dims, beta: float = 1.0, threshold: float = 20.0) -> ir.Node:
    return softplus(math.prod(shape), beta, threshold)


def _softmax(shape: Dims, dim: int | None = None, **rest: Any) -> ir.Node:
    if dim is None or any(value is not None for k, value in rest.items() if k != "_stacklevel"):
        raise BridgeError("softmax needs a dim, and no dtype")
    return ir.Softmax(math.prod(shape), feature_dim(dim, "softmax"))


def _dropout(shape: Dims, p: float = 0.5, training: bool = True, inplace: bool = False) -> ir.Node:
    del training, inplace  # nothing is dropped at inference
    return ir.Dropout(math.prod(shape), p)


def _interpolate(
    shape: Dims,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: Any = None,
    **rest: Any,
) -> ir.Node:
    if any(value not in (None, False) for value in rest.values()):
        raise BridgeError(f"interpolate with {rest} has no counterpart in the IR")
    return upsample(size, scale_factor, mode, align_corners, shape)


def _same(make: Callable[[int], ir.Node]) -> Rule:
    return lambda shape: make(math.prod(shape))


def _operations() -> dict[Any, Operation]:
    import torch
    from torch.nn import functional

    def table(name: str, make: Rule, *functions: Any) -> dict[Any, Operation]:
        return dict.fromkeys(functions, Operation(name=name, make=make))

    return {
        **table("relu", _relu, functional.relu, torch.relu, "relu", torch.relu_, "relu_"),
        **table("leaky_relu", _leaky_relu, functional.leaky_relu),
        **table("elu", _elu, functional.elu),
        **table("gelu", _gelu, functional.gelu),
        **table("silu", _silu, functional.silu),
        **table("hardswish", _hardswish, functional.hardswish),
        **table("softplus", _softplus, functional.softplus),
        **table("sigmoid", _same(ir.Sigmoid), torch.sigmoid, functional.sigmoid, "sigmoid"),
        **table("tanh", _same(ir.Tanh), torch.tanh, functional.tanh, "tanh"),
        **table("softmax", _softmax, functional.softmax, torch.softmax, "softmax"),
        **table("max_pool", _max_pool, functional.max_pool2d, torch.max_pool2d),
        **table("avg_pool", _average_pool, functional.avg_pool2d),
        **table("flatten", _flatten, torch.flatten, "flatten"),
        **table("dropout", _dropout, functional.dropout),
        **table("upsample", _interpolate, functional.interpolate),
        **table(
            "identity",
            lambda shape: ir.Skip("passthrough"),
            *("contiguous", "detach", "clone"),
            torch.clone,
        ),
    }


ADDITIONS = ("add", "add_", operator.add, operator.iadd)
"""Functions that add two tensors, with torch.add."""


def find_operation(target: Any) -> Operation | None:
    """Return how a function, or the method of a tensor with that name, is taken across."""
    return _operations().get(target)


def arguments_of(
    operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a call behind its tensor, by the names that the rule has."""
    names = [name for name in inspect.signature(operation.make).parameters if name != "shape"]
    given = dict(zip(names, args, strict=False))
    extra = {key: value for key, value in kwargs.items() if key != "input"}
    return {**given, **extra}
