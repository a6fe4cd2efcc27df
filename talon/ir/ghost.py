"""Ghost convolutions and the blocks of SU-YOLO's backbone that are made of them.

A Ghost convolution (Han et al. 2020) makes half of its channels by a convolution and the other half
from these by a depthwise one: ``p = primary(x)``, ``y = concat(p, cheap(p))``. The blocks are
linear: their nodes have no parameters of neurons, so neurons stand beside them in the graph.
Where a node has no field for a padding it is half of the kernel, which keeps the size at stride 1.
"""

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from talon.ir.checks import ParameterError, check_int, check_pair
from talon.ir.conv import check_bias, check_kernel, convolved
from talon.ir.node import ARRAY, Node, register_node
from talon.ir.types import Array, Dims, Shape


def half_of(weight: Array) -> Dims:
    """Return the padding that is half of a kernel."""
    return tuple(k // 2 for k in weight.shape[2:])


class GhostParts(Node):
    """What nodes with Ghost convolutions share: pairs of arrays called by a prefix."""

    parts: ClassVar[tuple[str, ...]] = ()
    """Prefixes of the Ghost convolutions: each has four arrays."""

    def arrays(self, prefix: str) -> tuple[Array, Array, Array, Array]:
        """Return primary weight and bias, cheap weight and bias of one Ghost convolution."""
        names = ("primary_weight", "primary_bias", "cheap_weight", "cheap_bias")
        weight, bias, cheap, cheap_bias = (getattr(self, f"{prefix}{name}") for name in names)
        return weight, bias, cheap, cheap_bias

    def _check_part(self, prefix: str) -> None:
        where = f"{type(self).__name__}.{prefix}"
        weight, bias, cheap, cheap_bias = self.arrays(prefix)
        primary = check_kernel(f"{where}primary_weight", weight, 4, "(Cp, Cin, kH, kW)")
        n = primary.shape[0]
        check_bias(f"{where}primary_bias", bias, n)
        cheap = check_kernel(f"{where}cheap_weight", cheap, 4, "(Cp, 1, kH, kW)")
        if cheap.shape[0] != n:
            raise ParameterError(
                f"{where}cheap_weight: cheap_out_channels ({cheap.shape[0]}) must match "
                f"primary_out_channels ({n})"
            )
        if cheap.shape[1] != 1:
            raise ParameterError(
                f"{where}cheap_weight must be depthwise (shape[1]=1), got shape {cheap.shape}"
            )
        check_bias(f"{where}cheap_bias", cheap_bias, n)

    @property
    def param_count(self) -> int:
        """Number of weights and biases."""
        return sum(int(getattr(self, f.name).size) for f in fields(self) if f.metadata == ARRAY)


def _ghost_shape(shape: Dims, primary: Array, cheap: Array, *, stride: Dims, padding: Dims) -> Dims:
    """Return the shape behind a Ghost convolution whose cheap part keeps the size."""
    n, *sizes = convolved(shape, primary, 1, stride=stride, padding=padding, dilation=(1, 1))
    _check_same(cheap, stride=(1, 1), padding=half_of(cheap), sizes=tuple(sizes))
    return (2 * n, *sizes)


def _check_same(cheap: Array, *, stride: Dims, padding: Dims, sizes: Dims) -> None:
    after = convolved(
        (cheap.shape[0], *sizes), cheap, cheap.shape[0], stride=stride, padding=padding,
        dilation=(1, 1),
    )  # fmt: skip
    if after[1:] != sizes:
        raise ParameterError(
            f"has a cheap convolution that makes {after[1:]} of {sizes}: both halves must be of "
            "one size"
        )


@register_node
@dataclass(eq=False, repr=False)
class SGhostConv(GhostParts):
    """A Ghost convolution: ``p = primary(x)``, ``y = concat(p, cheap(p))``, ``2*Cp`` channels.

    Parameters
    ----------
    primary_weight, primary_bias
        Arrays of shape ``(Cp, Cin, kH, kW)`` and ``(Cp,)``.
    cheap_weight, cheap_bias
        Arrays of shape ``(Cp, 1, kH, kW)`` and ``(Cp,)``: depthwise.
    primary_stride, primary_padding
        Of the primary convolution.
    cheap_stride, cheap_padding
        Of the cheap one, which must keep the size; a padding of (0, 0) stands for half of the
        kernel where nothing else would.
    """

    primary_weight: Array = field(metadata=ARRAY)
    primary_bias: Array = field(metadata=ARRAY)
    cheap_weight: Array = field(metadata=ARRAY)
    cheap_bias: Array = field(metadata=ARRAY)
    primary_stride: Any = (1, 1)
    primary_padding: Any = (0, 0)
    cheap_stride: Any = (1, 1)
    cheap_padding: Any = (0, 0)
    input_type: Shape | None = None
    output_type: Shape | None = None

    parts: ClassVar[tuple[str, ...]] = ("",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_part("")
        for name, low in (
            ("primary_stride", 1),
            ("primary_padding", 0),
            ("cheap_stride", 1),
            ("cheap_padding", 0),
        ):
            setattr(self, name, check_pair(f"SGhostConv.{name}", getattr(self, name), low))
        self._derive_output()

    @property
    def in_channels(self) -> int:
        """Channels of the input."""
        return self.primary_weight.shape[1]

    @property
    def out_channels(self) -> int:
        """Channels of the output."""
        return 2 * self.primary_weight.shape[0]

    @property
    def effective_cheap_padding(self) -> Dims:
        """Padding of the cheap convolution as it is executed."""
        if self.cheap_padding == (0, 0) and self.cheap_stride == (1, 1):
            return half_of(self.cheap_weight)
        return self.cheap_padding

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``(2*Cp, H', W')``."""
        n, *sizes = convolved(
            shape,
            self.primary_weight,
            1,
            stride=self.primary_stride,
            padding=self.primary_padding,
            dilation=(1, 1),
        )
        _check_same(
            self.cheap_weight,
            stride=self.cheap_stride,
            padding=self.effective_cheap_padding,
            sizes=tuple(sizes),
        )
        return (2 * n, *sizes)


@register_node
@dataclass(eq=False, repr=False)
class SGhostEncoderLite(GhostParts):
    """The first layer of the backbone: a convolution with a stride, then a Ghost convolution.

    Parameters
    ----------
    conv1_weight, conv1_bias
        Arrays of shape ``(C, Cin, kH, kW)`` and ``(C,)``.
    ghost_primary_weight, ghost_primary_bias
        Arrays of shape ``(Cp, C, kH, kW)`` and ``(Cp,)``.
    ghost_cheap_weight, ghost_cheap_bias
        Arrays of shape ``(Cp, 1, kH, kW)`` and ``(Cp,)``.
    stride
        Of the first convolution.
    """

    conv1_weight: Array = field(metadata=ARRAY)
    conv1_bias: Array = field(metadata=ARRAY)
    ghost_primary_weight: Array = field(metadata=ARRAY)
    ghost_primary_bias: Array = field(metadata=ARRAY)
    ghost_cheap_weight: Array = field(metadata=ARRAY)
    ghost_cheap_bias: Array = field(metadata=ARRAY)
    stride: int = 2
    input_type: Shape | None = None
    output_type: Shape | None = None

    parts: ClassVar[tuple[str, ...]] = ("ghost_",)

    def __post_init__(self) -> None:
        super().__post_init__()
        conv1 = check_kernel(
            "SGhostEncoderLite.conv1_weight", self.conv1_weight, 4, "(Cout, Cin/g, kH, kW)"
        )
        check_bias("SGhostEncoderLite.conv1_bias", self.conv1_bias, conv1.shape[0])
        self._check_part("ghost_")
        if self.ghost_primary_weight.shape[1] != conv1.shape[0]:
            raise ParameterError(
                f"SGhostEncoderLite.ghost_primary input channels "
                f"({self.ghost_primary_weight.shape[1]}) must match conv1 output channels "
                f"({conv1.shape[0]})"
            )
        self.stride = check_int("SGhostEncoderLite.stride", self.stride, 1)
        self._derive_output()

    @property
    def in_channels(self) -> int:
        """Channels of the input."""
        return self.conv1_weight.shape[1]

    @property
    def out_channels(self) -> int:
        """Channels of the output."""
        return 2 * self.ghost_primary_weight.shape[0]

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``(2*Cp, H', W')``."""
        first = convolved(
            shape,
            self.conv1_weight,
            1,
            stride=(self.stride, self.stride),
            padding=half_of(self.conv1_weight),
            dilation=(1, 1),
        )
        weight, _, cheap, _ = self.arrays("ghost_")
        return _ghost_shape(first, weight, cheap, stride=(1, 1), padding=half_of(weight))


class _Block(GhostParts):
    """What both basic blocks share: cv0, split in halves, cv2 on the second half."""

    def _check_block(self) -> None:
        for prefix in self.parts:
            self._check_part(prefix)
        n0, n2_in = self.arrays("cv0_")[0].shape[0], self.arrays("cv2_")[0].shape[1]
        if n2_in != n0:
            raise ParameterError(
                f"{type(self).__name__}.cv2_primary_weight input channels ({n2_in}) must equal "
                f"cv0 primary output channels ({n0}): cv2 operates on the second half of cv0"
            )

    @property
    def in_channels(self) -> int:
        """Channels of the input."""
        return self.arrays("cv0_")[0].shape[1]

    @property
    def out_channels(self) -> int:
        """Channels of the output."""
        return self.arrays("cv0_")[0].shape[0] + 2 * self.arrays("cv2_")[0].shape[0]

    def _halves(self, shape: Dims, stride: int) -> Dims:
        """Return the shape of one half of cv0's output."""
        weight, _, cheap, _ = self.arrays("cv0_")
        n, *sizes = _ghost_shape(
            shape, weight, cheap, stride=(stride, stride), padding=half_of(weight)
        )
        return (n // 2, *sizes)

    def _second(self, half: Dims) -> Dims:
        """Return the shape of cv2's output."""
        weight, _, cheap, _ = self.arrays("cv2_")
        made = _ghost_shape(half, weight, cheap, stride=(1, 1), padding=half_of(weight))
        if made[1:] != half[1:]:
            raise ParameterError(
                f"has a cv2 that makes {made[1:]} of {half[1:]}; give its kernel an odd size"
            )
        return made


@register_node
@dataclass(eq=False, repr=False)
class GhostBasicBlock1(_Block):
    """A block that halves the size, with a residual path.

    ``z1, z2 = halves(cv0(x))``, both cv0 and cvres with the stride;
    ``y = concat(z1, cv2(z2) + cvres(x))``, ``Cp0 + 2*Cp2`` channels.

    Parameters
    ----------
    cvres_*, cv0_*, cv2_*
        Arrays of three Ghost convolutions as in :class:`SGhostConv`. cv2 takes the ``Cp0`` channels
        of one half, cvres makes as many channels as cv2.
    stride
        Of cv0 and cvres.
    """

    cvres_primary_weight: Array = field(metadata=ARRAY)
    cvres_primary_bias: Array = field(metadata=ARRAY)
    cvres_cheap_weight: Array = field(metadata=ARRAY)
    cvres_cheap_bias: Array = field(metadata=ARRAY)
    cv0_primary_weight: Array = field(metadata=ARRAY)
    cv0_primary_bias: Array = field(metadata=ARRAY)
    cv0_cheap_weight: Array = field(metadata=ARRAY)
    cv0_cheap_bias: Array = field(metadata=ARRAY)
    cv2_primary_weight: Array = field(metadata=ARRAY)
    cv2_primary_bias: Array = field(metadata=ARRAY)
    cv2_cheap_weight: Array = field(metadata=ARRAY)
    cv2_cheap_bias: Array = field(metadata=ARRAY)
    stride: int = 2
    input_type: Shape | None = None
    output_type: Shape | None = None

    parts: ClassVar[tuple[str, ...]] = ("cvres_", "cv0_", "cv2_")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_block()
        residual, second = self.cvres_primary_weight.shape, self.cv2_primary_weight.shape
        if residual[0] != second[0]:
            raise ParameterError(
                f"GhostBasicBlock1.cvres_primary_weight output channels ({residual[0]}) must equal "
                f"cv2 primary output channels ({second[0]}): the two are added"
            )
        if residual[1] != self.in_channels:
            raise ParameterError(
                f"GhostBasicBlock1.cvres_primary_weight input channels ({residual[1]}) must equal "
                f"cv0 input channels ({self.in_channels}): both take the input of the block"
            )
        self.stride = check_int("GhostBasicBlock1.stride", self.stride, 1)
        self._derive_output()

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``(Cp0 + 2*Cp2, H', W')``."""
        half = self._halves(shape, self.stride)
        second = self._second(half)
        weight, _, cheap, _ = self.arrays("cvres_")
        residual = _ghost_shape(
            shape, weight, cheap, stride=(self.stride, self.stride), padding=half_of(weight)
        )
        if residual != second:
            raise ParameterError(f"adds cvres of {residual} to cv2 of {second}")
        return (half[0] + second[0], *second[1:])


@register_node
@dataclass(eq=False, repr=False)
class GhostBasicBlock2(_Block):
    """A block that keeps the size: ``z1, z2 = halves(cv0(x))``, ``y = concat(z1, cv2(z2))``.

    Parameters
    ----------
    cv0_*, cv2_*
        Arrays of two Ghost convolutions as in :class:`SGhostConv`; cv2 takes the ``Cp0`` channels
        of one half.
    """

    cv0_primary_weight: Array = field(metadata=ARRAY)
    cv0_primary_bias: Array = field(metadata=ARRAY)
    cv0_cheap_weight: Array = field(metadata=ARRAY)
    cv0_cheap_bias: Array = field(metadata=ARRAY)
    cv2_primary_weight: Array = field(metadata=ARRAY)
    cv2_primary_bias: Array = field(metadata=ARRAY)
    cv2_cheap_weight: Array = field(metadata=ARRAY)
    cv2_cheap_bias: Array = field(metadata=ARRAY)
    input_type: Shape | None = None
    output_type: Shape | None = None

    parts: ClassVar[tuple[str, ...]] = ("cv0_", "cv2_")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_block()
        self._derive_output()

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``(Cp0 + 2*Cp2, H', W')``."""
        half = self._halves(shape, 1)
        second = self._second(half)
        return (half[0] + second[0], *second[1:])
