"""Convolutions over feature maps ``(C, H, W)`` and sequences ``(C, L)``, without batch.

``y[o, i, j] = bias[o] + sum weight[o, c, u, v] * x[g*C/G + c, i*sH + u*dH - pH, j*sW + v*dW - pW]``
with ``x = 0`` outside, ``G`` groups and ``g`` the group of output channel ``o``: PyTorch's Conv2d.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

import numpy as np

from talon.ir.checks import ParameterError, check_array, check_finite, check_pair
from talon.ir.node import ARRAY, Node, register_node
from talon.ir.types import Array, Dims, Shape
from talon.ir.utils import conv_output_size

_UNSET = cast("Array", None)


def check_kernel(field_name: str, value: object, rank: int, layout: str) -> Array:
    """Return a weight of ``rank`` dimensions, none of them empty, without NaN."""
    weight = check_array(field_name, value)
    if weight.ndim != rank:
        raise ParameterError(f"{field_name} must be {rank}D {layout}, got shape {weight.shape}")
    if 0 in weight.shape:
        raise ParameterError(f"{field_name} must not be empty, got shape {weight.shape}")
    check_finite(field_name, weight)
    return weight


def check_bias(field_name: str, value: object, n: int) -> Array:
    """Return a bias of ``n`` finite elements."""
    bias = check_array(field_name, value)
    if bias.shape != (n,):
        raise ParameterError(f"{field_name} must be 1D with {n} elements, got shape {bias.shape}")
    check_finite(field_name, bias)
    return bias


def check_groups(kind: str, value: object, out_channels: int) -> int:
    """Return a number of groups that divides the output channels."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ParameterError(f"{kind}.groups must be a positive int, got {value!r}")
    if out_channels % value:
        raise ParameterError(
            f"{kind}.groups must divide the {out_channels} output channels, got {value}"
        )
    return int(value)


def check_padding(
    field_name: str, value: object, kernel: Dims, stride: Dims, dilation: Dims
) -> Dims:
    """Return the padding of each dimension; ``"valid"`` and ``"same"`` are worked out.

    ``"same"`` needs stride 1, as in PyTorch, and a kernel whose padding is equal on both sides.
    """
    if not isinstance(value, str):
        return check_pair(field_name, value, 0, n=len(kernel))
    if value == "valid":
        return (0,) * len(kernel)
    if value != "same":
        raise ParameterError(f"{field_name} must be numbers, 'valid' or 'same', got {value!r}")
    if any(step != 1 for step in stride):
        raise ParameterError(f"{field_name}='same' needs stride 1, got {stride}; give numbers")
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if any(t % 2 for t in total):
        raise ParameterError(
            f"{field_name}='same' needs {total} rows and columns in all, which two equal sides "
            f"cannot have; give the kernel an odd size"
        )
    return tuple(t // 2 for t in total)


def convolved(
    shape: Dims, weight: Array, groups: int, *, stride: Dims, padding: Dims, dilation: Dims
) -> Dims:
    """Return the output shape of a convolution of ``len(shape) - 1`` spatial dimensions."""
    return _convolved(shape, weight.shape, groups, tuple(stride), tuple(padding), tuple(dilation))


@lru_cache(maxsize=1024)  # layers of one network are often alike
def _convolved(
    shape: Dims, kernel: Dims, groups: int, stride: Dims, padding: Dims, dilation: Dims
) -> Dims:
    channels = kernel[1] * groups
    if len(shape) != len(kernel) - 1 or shape[0] != channels:
        axes = ("H", "W") if len(kernel) == 4 else ("L",)
        raise ParameterError(f"takes ({', '.join([str(channels), *axes])})")
    try:
        sizes = [
            conv_output_size(*args)
            for args in zip(shape[1:], kernel[2:], stride, padding, dilation, strict=True)
        ]
    except ValueError as exc:
        raise ParameterError(f"has a kernel that does not fit: {exc}") from None
    return (kernel[0], *sizes)


@register_node
@dataclass(eq=False, repr=False)
class Conv1d(Node):
    """Convolution of a sequence ``(C, L)``.

    Parameters
    ----------
    weight
        Array of shape ``(out_channels, in_channels / groups, kernel)``.
    bias
        Array of shape ``(out_channels,)``.
    stride, padding, dilation, groups
        As in PyTorch's Conv1d; padding may be ``"valid"`` or ``"same"``.
    """

    weight: Array = field(metadata=ARRAY)
    bias: Array = field(metadata=ARRAY)
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    input_type: Shape | None = None
    output_type: Shape | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        layout = "(out_ch, in_ch/groups, kernel_size)"
        weight = check_kernel("Conv1d.weight", self.weight, 3, layout)
        check_bias("Conv1d.bias", self.bias, weight.shape[0])
        (self.stride,) = check_pair("Conv1d.stride", self.stride, 1, n=1)
        (self.dilation,) = check_pair("Conv1d.dilation", self.dilation, 1, n=1)
        self.groups = check_groups("Conv1d", self.groups, weight.shape[0])
        (self.padding,) = check_padding(
            "Conv1d.padding", self.padding, weight.shape[2:], (self.stride,), (self.dilation,)
        )
        self._derive_output()

    @property
    def in_channels(self) -> int:
        """Channels of the input."""
        return self.weight.shape[1] * self.groups

    @property
    def out_channels(self) -> int:
        """Channels of the output."""
        return self.weight.shape[0]

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``(out_channels, L')``."""
        return convolved(
            shape,
            self.weight,
            self.groups,
            stride=(self.stride,),
            padding=(self.padding,),
            dilation=(self.dilation,),
        )


@register_node
@dataclass(eq=False, repr=False)
class Conv2d(Node):
    """Convolution of feature maps ``(C, H, W)``.

    Parameters
    ----------
    weight
        Array of shape ``(out_channels, in_channels / groups, kH, kW)``.
    bias
        Array of shape ``(out_channels,)``.
    stride, padding, dilation
        Pairs, or one number for both; padding may be ``"valid"`` or ``"same"``.
    groups
        Number of groups; it divides the input and the output channels.
    """

    weight: Array = field(metadata=ARRAY)
    bias: Array = field(metadata=ARRAY)
    stride: Any = (1, 1)
    padding: Any = (0, 0)
    dilation: Any = (1, 1)
    groups: int = 1
    input_type: Shape | None = None
    output_type: Shape | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        kind = type(self).__name__
        layout = "(out_ch, in_ch, kH, kW)"
        weight = check_kernel(f"{kind}.weight", self.weight, 4, layout)
        check_bias(f"{kind}.bias", self.bias, weight.shape[0])
        self.stride = check_pair(f"{kind}.stride", self.stride, 1)
        self.dilation = check_pair(f"{kind}.dilation", self.dilation, 1)
        self.groups = check_groups(kind, self.groups, weight.shape[0])
        self.padding = check_padding(
            f"{kind}.padding", self.padding, weight.shape[2:], self.stride, self.dilation
        )
        self._derive_output()

    @property
    def in_channels(self) -> int:
        """Channels of the input."""
        return self.weight.shape[1] * self.groups

    @property
    def out_channels(self) -> int:
        """Channels of the output."""
        return self.weight.shape[0]

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``(out_channels, H', W')``."""
        window = (tuple(self.stride), tuple(self.padding), tuple(self.dilation))
        return _convolved(shape, self.weight.shape, self.groups, *window)


@register_node
@dataclass(eq=False, repr=False)
class SConv(Conv2d):
    """A :class:`Conv2d` that is told to take spikes; the arithmetic is the same."""


@register_node
@dataclass(eq=False, repr=False)
class SDConv(Conv2d):
    """A depthwise :class:`Conv2d` that is told to take spikes.

    ``weight`` is ``(C, 1, kH, kW)``; ``groups`` is set to ``C`` if it is left at 1.
    """

    def __post_init__(self) -> None:
        weight = check_kernel("SDConv.weight", self.weight, 4, "(channels, 1, kH, kW)")
        n_out, n_in = weight.shape[:2]
        if self.groups == 1 and n_in == 1:
            self.groups = n_out
        if n_in != 1 or self.groups != n_out:
            raise ParameterError(
                f"SDConv requires groups == in_channels == out_channels, got "
                f"groups={self.groups}, in_ch={n_in * self.groups}, out_ch={n_out}"
            )
        super().__post_init__()


@register_node
@dataclass(eq=False, repr=False)
class SepConv2d(Node):
    """A depthwise convolution, then one of 1x1; nothing between them.

    Parameters
    ----------
    depthwise_weight
        Array of shape ``(in_channels, 1, kH, kW)``.
    pointwise_weight
        Array of shape ``(out_channels, in_channels, 1, 1)``.
    depthwise_bias, pointwise_bias
        Arrays of shape ``(in_channels,)`` and ``(out_channels,)``; zeros if not given.
    stride, padding, dilation
        Of the depthwise convolution.
    """

    depthwise_weight: Array = field(metadata=ARRAY)
    pointwise_weight: Array = field(metadata=ARRAY)
    depthwise_bias: Array = field(default=_UNSET, metadata=ARRAY)
    pointwise_bias: Array = field(default=_UNSET, metadata=ARRAY)
    stride: Any = (1, 1)
    padding: Any = (0, 0)
    dilation: Any = (1, 1)
    input_type: Shape | None = None
    output_type: Shape | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        depthwise = check_kernel(
            "SepConv2d.depthwise_weight", self.depthwise_weight, 4, "(in_ch, 1, kH, kW)"
        )
        if depthwise.shape[1] != 1:
            raise ParameterError(
                f"SepConv2d.depthwise_weight dim 1 must be 1, got {depthwise.shape[1]}"
            )
        pointwise = check_kernel(
            "SepConv2d.pointwise_weight", self.pointwise_weight, 4, "(out_ch, in_ch, 1, 1)"
        )
        if pointwise.shape[2:] != (1, 1):
            raise ParameterError(
                f"SepConv2d.pointwise_weight must have kernel size (1, 1), "
                f"got {pointwise.shape[2:]}"
            )
        if pointwise.shape[1] != depthwise.shape[0]:
            raise ParameterError(
                f"SepConv2d pointwise in_channels must match depthwise in_channels "
                f"{depthwise.shape[0]}, got {pointwise.shape[1]}"
            )
        for name, n in (
            ("depthwise_bias", depthwise.shape[0]),
            ("pointwise_bias", pointwise.shape[0]),
        ):
            if getattr(self, name) is None:
                setattr(self, name, np.zeros(n, np.float32))
            check_bias(f"SepConv2d.{name}", getattr(self, name), n)
        self.stride = check_pair("SepConv2d.stride", self.stride, 1)
        self.dilation = check_pair("SepConv2d.dilation", self.dilation, 1)
        self.padding = check_padding(
            "SepConv2d.padding", self.padding, depthwise.shape[2:], self.stride, self.dilation
        )
        self._derive_output()

    @property
    def in_channels(self) -> int:
        """Channels of the input."""
        return self.depthwise_weight.shape[0]

    @property
    def out_channels(self) -> int:
        """Channels of the output."""
        return self.pointwise_weight.shape[0]

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``(out_channels, H', W')``."""
        _, *sizes = convolved(
            shape,
            self.depthwise_weight,
            self.in_channels,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )
        return (self.out_channels, *sizes)
