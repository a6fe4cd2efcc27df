# pyright: reportMissingImports=false
"""From a layer of PyTorch or snnTorch to a primitive.

``convert(module, shape)`` gives the primitive for an input of a feature shape. Every array is a
copy: nothing that happens to the layer later changes the primitive.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from talon import ir
from talon.bridge.arrays import array_of
from talon.bridge.errors import BridgeError, refuse
from talon.bridge.spiking import lapicque, leaky, recurrent_leaky, recurrent_synaptic, synaptic
from talon.ir.types import Dims

if TYPE_CHECKING:
    from torch import nn

Converter = Callable[[Any, Dims], ir.Node]


def _weights(module: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    weight = array_of(module.weight)
    if module.bias is None:
        return weight, np.zeros(len(weight), weight.dtype)
    return weight, array_of(module.bias)


def _linear(module: Any, shape: Dims) -> ir.Node:
    del shape
    return ir.Affine(*_weights(module))


def _conv(module: Any, shape: Dims) -> ir.Node:
    if module.padding_mode != "zeros":
        raise refuse(module, f"padding_mode={module.padding_mode!r}")
    weight, bias = _weights(module)
    options = {
        "stride": module.stride,
        "padding": module.padding,
        "dilation": module.dilation,
        "groups": module.groups,
    }
    return (ir.Conv1d if len(shape) == 2 else ir.Conv2d)(weight, bias, **options)


def _max_pool(module: Any, shape: Dims) -> ir.Node:
    del shape
    if module.return_indices:
        raise refuse(module, "return_indices=True")
    return ir.MaxPool2d(
        module.kernel_size, module.stride, module.padding, module.dilation, module.ceil_mode
    )


def _average_pool(module: Any, shape: Dims) -> ir.Node:
    del shape
    if module.divisor_override is not None:
        raise refuse(module, f"divisor_override={module.divisor_override}")
    return ir.AvgPool2d(
        module.kernel_size,
        module.stride,
        module.padding,
        module.ceil_mode,
        module.count_include_pad,
    )


def flatten(start: int, end: int, shape: Dims) -> ir.Node:
    """Return what flattens the dimensions that PyTorch counts with the batch as 0."""
    rank = len(shape) + 1
    first, last = (dim + rank if dim < 0 else dim for dim in (start, end))
    if first < 1:
        raise BridgeError(
            f"Flatten from dimension {start} joins samples of a batch; start at dimension 1"
        )
    return ir.Flatten(first - 1, last - 1)


def feature_dim(dim: int, what: str) -> int:
    """Return a dimension counted without batch."""
    if dim == 0:
        raise BridgeError(f"{what} along dimension 0 mixes the samples of a batch; use another")
    return dim - 1 if dim > 0 else dim


def upsample(size: Any, scale: Any, mode: str, align_corners: Any, shape: Dims) -> ir.Node:
    """Return what enlarges a map; factors for height and width become a size."""
    if mode not in ("nearest", "bilinear"):
        raise BridgeError(
            f"Upsample mode must be 'nearest' or 'bilinear', got {mode!r}; use one of these"
        )
    if size is None and isinstance(scale, tuple | list) and len(set(scale)) == 1:
        scale = scale[0]
    if size is None and isinstance(scale, tuple | list):
        size = tuple(math.floor(n * f) for n, f in zip(shape[1:], scale, strict=True))
    if isinstance(size, int):
        size = (size, size)
    if isinstance(scale, float) and scale.is_integer():
        scale = int(scale)
    return ir.Upsample(
        None if size is not None else scale,
        None if size is None else tuple(size),
        mode,
        bool(align_corners),
    )


def _batch_norm(module: Any, shape: Dims) -> ir.Node:
    if module.running_mean is None:
        raise refuse(module, "track_running_stats=False")
    n = module.num_features
    one, zero = np.ones(n, np.float32), np.zeros(n, np.float32)
    kind = ir.BatchNorm2d if len(shape) == 3 else ir.BatchNorm1d
    return kind(
        n,
        one if module.weight is None else array_of(module.weight),
        zero if module.bias is None else array_of(module.bias),
        array_of(module.running_mean),
        array_of(module.running_var),
        module.eps,
        0.1 if module.momentum is None else module.momentum,
    )


def _layer_norm(module: Any, shape: Dims) -> ir.Node:
    del shape
    dims = tuple(module.normalized_shape)
    weight = np.ones(dims, np.float32) if module.weight is None else array_of(module.weight)
    bias = np.zeros(dims, np.float32) if module.bias is None else array_of(module.bias)
    return ir.LayerNorm(dims, weight, bias, module.eps)


def _prelu(module: Any, shape: Dims) -> ir.Node:
    weight = array_of(module.weight)
    return ir.PReLU(shape[0] if weight.size > 1 else math.prod(shape), weight)


def softplus(n: int, beta: float, threshold: float) -> ir.Node:
    """Return a Softplus; where PyTorch's becomes a straight line, it is one but for rounding."""
    if threshold < _STRAIGHT:
        raise BridgeError(f"Softplus with threshold={threshold} has no counterpart in the IR")
    return ir.Softplus(n, float(beta))


def _softmax(module: Any, shape: Dims) -> ir.Node:
    if module.dim is None:
        raise refuse(module, "dim=None")
    return ir.Softmax(math.prod(shape), feature_dim(module.dim, "Softmax"))


_STRAIGHT = 16.0  # exp(-16) is beyond float32 beside it


def _pointwise(make: Callable[[Any, int], ir.Node]) -> Converter:
    return lambda module, shape: make(module, math.prod(shape))


CONVERTERS: dict[str, Converter] = {
    "torch.nn.Linear": _linear,
    "torch.nn.Conv1d": _conv,
    "torch.nn.Conv2d": _conv,
    "torch.nn.MaxPool2d": _max_pool,
    "torch.nn.AvgPool2d": _average_pool,
    "torch.nn.Flatten": lambda m, shape: flatten(m.start_dim, m.end_dim, shape),
    "torch.nn.Upsample": lambda m, shape: upsample(
        m.size, m.scale_factor, m.mode, m.align_corners, shape
    ),
    "torch.nn.Identity": lambda m, shape: ir.Skip("passthrough"),
    "torch.nn.ReLU": _pointwise(lambda m, n: ir.ReLU(n)),
    "torch.nn.LeakyReLU": _pointwise(lambda m, n: ir.ReLU(n, m.negative_slope)),
    "torch.nn.Sigmoid": _pointwise(lambda m, n: ir.Sigmoid(n)),
    "torch.nn.Tanh": _pointwise(lambda m, n: ir.Tanh(n)),
    "torch.nn.Softmax": _softmax,
    "torch.nn.GELU": _pointwise(lambda m, n: ir.GELU(n, m.approximate == "tanh")),
    "torch.nn.ELU": _pointwise(lambda m, n: ir.ELU(n, m.alpha)),
    "torch.nn.PReLU": _prelu,
    "torch.nn.SiLU": _pointwise(lambda m, n: ir.SiLU(n)),
    "torch.nn.Hardswish": _pointwise(lambda m, n: ir.HardSwish(n)),
    "torch.nn.Softplus": _pointwise(lambda m, n: softplus(n, m.beta, m.threshold)),
    "torch.nn.BatchNorm1d": _batch_norm,
    "torch.nn.BatchNorm2d": _batch_norm,
    "torch.nn.LayerNorm": _layer_norm,
    "torch.nn.Dropout": _pointwise(lambda m, n: ir.Dropout(n, m.p)),
    "snntorch.Leaky": leaky,
    "snntorch.Lapicque": lapicque,
    "snntorch.Synaptic": synaptic,
    "snntorch.RLeaky": recurrent_leaky,
    "snntorch.RSynaptic": recurrent_synaptic,
}
"""By the public name of the class."""


def public_name(kind: type) -> str:
    """Return the name under which a class is known: ``torch.nn.Linear``, ``snntorch.Leaky``."""
    root = kind.__module__.split(".")[0]
    if kind.__module__.startswith("torch.nn"):
        return f"torch.nn.{kind.__name__}"
    return f"{root}.{kind.__name__}"


def find_converter(module: nn.Module) -> Converter:
    """Return what converts a module of exactly this type.

    A subclass may compute something else, so it is not taken for its base.
    """
    if is_own(module):
        return lambda module, shape: module.to_node()
    converter = CONVERTERS.get(public_name(type(module)))
    if converter is None:
        kind = type(module).__name__
        raise BridgeError(
            f"{public_name(type(module))} has no counterpart in the IR; give "
            f"custom_map={{{kind}: function}} that makes a node of it"
        )
    return converter


def is_stateful(module: nn.Module) -> bool:
    """Tell whether a module is of snnTorch or made from one: it gives spikes and its state."""
    return any(kind.__module__.split(".")[0] == "snntorch" for kind in type(module).__mro__)


def is_own(module: nn.Module) -> bool:
    """Tell whether a module is one of this room's, made from a node."""
    from talon.bridge.node_module import NodeModule

    return isinstance(module, NodeModule)


def refuse_hooks(name: str, module: nn.Module) -> None:
    """Raise if a module has forward hooks: a trace does not see what they change."""
    if module._forward_hooks or module._forward_pre_hooks:
        raise BridgeError(
            f"Module {name!r} has forward hooks, which may change its values and cannot be traced; "
            "remove them for the export"
        )
