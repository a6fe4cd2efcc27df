"""The head of a detector, after YOLOv8: raw maps, distances, boxes, and what is kept of them.

The chain SDDetect, DFLDecode, Dist2BBox, NMS is that of ``docs/reference/detection.md``.
"""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar, cast

import numpy as np

from talon.ir.checks import (
    ParameterError,
    check_array,
    check_bool,
    check_choice,
    check_finite,
    check_int,
    check_number,
)
from talon.ir.conv import check_bias, check_kernel, convolved
from talon.ir.ghost import half_of
from talon.ir.nms import suppress
from talon.ir.node import ARRAY, Node, register_node
from talon.ir.types import Array, Dims, FloatArray, Shape

_UNSET = cast("Array", None)
_STRIDES = (4, 8, 16)


def _check_stride(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value not in _STRIDES:
        raise ParameterError(f"stride must be 4, 8, or 16, got {value!r}")
    return int(value)


def _sigmoid(x: FloatArray) -> FloatArray:
    power = np.exp(-np.abs(x))  # of -|x|, which cannot overflow
    return np.where(x < 0, power, 1) / (1 + power)


@register_node
@dataclass(eq=False, repr=False)
class SDDetect(Node):
    """The head of one scale: for each cell, distributions of four distances, and class logits.

    Each branch is three convolutions without anything between; ``y = concat(box, class)``.

    Parameters
    ----------
    num_classes, reg_max
        Classes, and bins of a distance.
    stride
        Pixels of the image that a cell stands for: 4, 8 or 16.
    cv2_w0, cv2_b0, cv2_w1, cv2_b1, cv2_w2, cv2_b2
        Box branch; the last convolution has ``4*reg_max`` channels.
    cv3_w0, cv3_b0, cv3_w1, cv3_b1, cv3_w2, cv3_b2
        Class branch; the last convolution has ``num_classes`` channels.
    """

    num_classes: int
    reg_max: int
    stride: int
    cv2_w0: Array = field(metadata=ARRAY)
    cv2_b0: Array = field(metadata=ARRAY)
    cv2_w1: Array = field(metadata=ARRAY)
    cv2_b1: Array = field(metadata=ARRAY)
    cv2_w2: Array = field(metadata=ARRAY)
    cv2_b2: Array = field(metadata=ARRAY)
    cv3_w0: Array = field(metadata=ARRAY)
    cv3_b0: Array = field(metadata=ARRAY)
    cv3_w1: Array = field(metadata=ARRAY)
    cv3_b1: Array = field(metadata=ARRAY)
    cv3_w2: Array = field(metadata=ARRAY)
    cv3_b2: Array = field(metadata=ARRAY)
    input_type: Shape | None = None
    output_type: Shape | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.num_classes = check_int("num_classes", self.num_classes, 1)
        self.reg_max = check_int("reg_max", self.reg_max, 1)
        self.stride = _check_stride(self.stride)
        self._check_branch("cv2", 4 * self.reg_max, f"4 * reg_max = {4 * self.reg_max}")
        self._check_branch("cv3", self.num_classes, f"num_classes = {self.num_classes}")
        if self.cv2_w0.shape[1] != self.cv3_w0.shape[1]:
            raise ParameterError(
                f"SDDetect.cv3_w0 input channels ({self.cv3_w0.shape[1]}) must equal those of "
                f"cv2_w0 ({self.cv2_w0.shape[1]}): both take the input"
            )
        self._derive_output()

    def branch(self, name: str) -> list[tuple[Array, Array]]:
        """Return weight and bias of the three convolutions of ``"cv2"`` or ``"cv3"``."""
        return [(getattr(self, f"{name}_w{k}"), getattr(self, f"{name}_b{k}")) for k in range(3)]

    def _check_branch(self, name: str, n_out: int, rule: str) -> None:
        n_in: int | None = None
        for k, (weight, bias) in enumerate(self.branch(name)):
            check_kernel(f"SDDetect.{name}_w{k}", weight, 4, "(Cout, Cin, kH, kW)")
            if n_in is not None and weight.shape[1] != n_in:
                raise ParameterError(
                    f"SDDetect.{name}_w{k} input channels ({weight.shape[1]}) must equal the "
                    f"output channels of {name}_w{k - 1} ({n_in})"
                )
            n_in = int(weight.shape[0])
            if k == 2 and n_in != n_out:
                raise ParameterError(f"{name}_w2 output channels ({n_in}) must be {rule}")
            check_bias(f"SDDetect.{name}_b{k}", bias, n_in)

    @property
    def in_channels(self) -> int:
        """Channels of the input."""
        return self.cv2_w0.shape[1]

    @property
    def box_out_channels(self) -> int:
        """Channels of the box branch."""
        return 4 * self.reg_max

    @property
    def param_count(self) -> int:
        """Number of weights and biases."""
        return sum(int(w.size + b.size) for name in ("cv2", "cv3") for w, b in self.branch(name))

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``(4*reg_max + num_classes, H, W)``."""
        ends: list[Dims] = []
        for name in ("cv2", "cv3"):
            at = shape
            for weight, _ in self.branch(name):
                at = convolved(
                    at, weight, 1, stride=(1, 1), padding=half_of(weight), dilation=(1, 1)
                )
            ends.append(at)
        if ends[0][1:] != ends[1][1:]:
            raise ParameterError(f"has branches of {ends[0][1:]} and {ends[1][1:]} cells")
        return (ends[0][0] + ends[1][0], *ends[0][1:])


_MOST_BINS = 65536


@register_node
@dataclass(eq=False, repr=False)
class DFLDecode(Node):
    """Distances from their distributions (Li et al. 2020): the expectation of a softmax.

    ``(4*reg_max + k, ...)`` becomes ``(4 + k, ...)``: left, top, right and bottom, in cells; what
    follows the distributions are class logits, and become probabilities by a sigmoid.

    Parameters
    ----------
    reg_max
        Bins of a distance.
    dfl_weights
        Distance of each bin, shape ``(reg_max,)``; 0, 1, 2, ... if not given.
    """

    reg_max: int = 16
    dfl_weights: Array = field(default=_UNSET, metadata=ARRAY)
    input_type: Shape | None = None
    output_type: Shape | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.reg_max = check_int("reg_max", self.reg_max, 1)
        if self.dfl_weights is None:
            if self.reg_max > _MOST_BINS:  # a number in a file must not take memory
                raise ParameterError(
                    f"reg_max must be <= {_MOST_BINS} unless dfl_weights are given, "
                    f"got {self.reg_max}"
                )
            self.dfl_weights = np.arange(self.reg_max, dtype=np.float32)
        weights = check_array("DFLDecode.dfl_weights", self.dfl_weights)
        if weights.shape != (self.reg_max,):
            raise ParameterError(
                f"dfl_weights must have shape ({self.reg_max},), got {weights.shape}"
            )
        check_finite("DFLDecode.dfl_weights", weights)
        self._derive_output()

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``(4 + k, ...)``."""
        if len(shape) < 2 or shape[0] < 4 * self.reg_max:
            raise ParameterError(f"takes ({4 * self.reg_max} + classes, cells...)")
        return (shape[0] - 4 * self.reg_max + 4, *shape[1:])

    def decode(self, distribution: FloatArray) -> FloatArray:
        """Return distances ``(4 + k, ...)`` for distributions ``(4*reg_max + k, ...)``."""
        self.output_shape(distribution.shape)
        n = 4 * self.reg_max
        sides = distribution[:n].reshape(4, self.reg_max, *distribution.shape[1:])
        power = np.exp(sides - sides.max(axis=1, keepdims=True))
        share = power / power.sum(axis=1, keepdims=True)
        distance = np.einsum("sr...,r->s...", share, self.dfl_weights.astype(share.dtype))
        if len(distribution) == n:
            return distance
        return np.concatenate([distance, _sigmoid(distribution[n:])])


@register_node
@dataclass(eq=False, repr=False)
class Dist2BBox(Node):
    """Boxes in pixels from distances in cells.

    ``(4 + k, H, W)`` keeps its shape: the first four channels, distances to left, top, right and
    bottom of the anchor point ``(j + 0.5, i + 0.5)`` of a cell, become center, width and height,
    times the stride; the others pass.

    Parameters
    ----------
    stride
        Pixels of a cell: 4, 8 or 16.
    anchors
        Anchor points ``(2, A)`` in cells, x and y, for an input ``(4 + k, A)``.
    """

    stride: int = 8
    _: KW_ONLY
    anchors: Array = field(default=_UNSET, metadata=ARRAY)
    input_type: Shape | None = None
    output_type: Shape | None = None

    extension_fields: ClassVar[frozenset[str]] = frozenset({"anchors"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.stride = _check_stride(self.stride)
        if self.anchors is not None:
            anchors = check_array("Dist2BBox.anchors", self.anchors)
            if anchors.ndim != 2 or anchors.shape[0] != 2:
                raise ParameterError(
                    f"Dist2BBox.anchors must have shape (2, anchors), got {anchors.shape}"
                )
            check_finite("Dist2BBox.anchors", anchors)
        self._derive_output()

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``shape``."""
        if self.anchors is None:
            if len(shape) != 3 or shape[0] < 4:
                raise ParameterError("takes (4 + classes, H, W); for (4 + classes, A) give anchors")
        elif len(shape) != 2 or shape[0] < 4 or shape[1] != self.anchors.shape[1]:
            raise ParameterError(f"takes (4 + classes, {self.anchors.shape[1]})")
        return shape

    def anchor_points(self, shape: Dims) -> FloatArray:
        """Return the anchor points ``(2, cells...)`` of an input of ``shape``, in cells."""
        if self.anchors is not None:
            return self.anchors
        y, x = np.meshgrid(*(np.arange(n) + 0.5 for n in shape[1:]), indexing="ij")
        return np.stack([x, y])

    def decode(
        self,
        distances: FloatArray,
        anchor_x: FloatArray | Sequence[float],
        anchor_y: FloatArray | Sequence[float],
    ) -> FloatArray:
        """Return ``(4 + k, ...)`` boxes for distances and anchor points in cells."""
        left, top, right, bottom = distances[:4]
        x, y = (np.asarray(a, distances.dtype) for a in (anchor_x, anchor_y))
        stride = distances.dtype.type(self.stride)
        center_x = (x - left + x + right) / 2 * stride
        center_y = (y - top + y + bottom) / 2 * stride
        box = np.stack([center_x, center_y, (left + right) * stride, (top + bottom) * stride])
        return np.concatenate([box, distances[4:]])


@register_node
@dataclass(eq=False, repr=False)
class NMS(Node):
    """Non-maximum suppression: of boxes that overlap too much, only the best is kept.

    In a graph, rows ``(N, 5 + classes)`` of ``[cx, cy, w, h, objectness, classes...]`` become
    ``(max_detections, 5 + classes)``: the rows that are kept, best first, then zeros. Maps
    ``(4 + classes, H, W)``, or ``(4 + classes, A)`` with ``layout="channels"``, are taken as
    columns of such rows, with an objectness of 1.

    Parameters
    ----------
    score_threshold, iou_threshold
        Least score, and largest intersection over union with a better box.
    max_detections
        Largest number kept; 0 for any.
    layout
        ``"rows"`` or ``"channels"``: what an input of two dimensions is.
    class_aware
        Whether boxes of different classes leave each other alone.
    """

    score_threshold: float = 0.25
    iou_threshold: float = 0.45
    max_detections: int = 300
    _: KW_ONLY
    layout: str = "rows"
    class_aware: bool = False
    input_type: Shape | None = None
    output_type: Shape | None = None

    omitted_defaults: ClassVar[frozenset[str]] = frozenset({"layout", "class_aware"})
    extension_fields: ClassVar[frozenset[str]] = frozenset({"layout", "class_aware"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.score_threshold = check_number("score_threshold", self.score_threshold)
        self.iou_threshold = check_number("iou_threshold", self.iou_threshold)
        if not 0 <= self.score_threshold <= 1:
            raise ParameterError(f"score_threshold must be in [0, 1], got {self.score_threshold}")
        if not 0 < self.iou_threshold <= 1:
            raise ParameterError(f"iou_threshold must be in (0, 1], got {self.iou_threshold}")
        if isinstance(self.max_detections, int | np.integer) and self.max_detections < 0:
            raise ParameterError(
                f"max_detections must be >= 0 (0=unlimited), got {self.max_detections}"
            )
        self.max_detections = check_int("max_detections", self.max_detections, 0)
        self.layout = check_choice("NMS.layout", self.layout, ("rows", "channels"))
        self.class_aware = check_bool("NMS.class_aware", self.class_aware)
        self._derive_output()

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``(max_detections, 5 + classes)``."""
        if len(shape) == 3 or (len(shape) == 2 and self.layout == "channels"):
            n_columns, n_rows = shape[0] + 1, int(np.prod(shape[1:]))
        elif len(shape) == 2:
            n_rows, n_columns = shape
        else:
            n_rows, n_columns = 0, 0
        if n_columns < 5:
            raise ParameterError(
                "takes rows (N, 5 + classes), or maps (4 + classes, H, W) or, with "
                "layout='channels', (4 + classes, A)"
            )
        return (self.max_detections or n_rows, n_columns)

    def rows_of(self, x: FloatArray) -> FloatArray:
        """Return the rows ``(N, 5 + classes)`` of one sample's input."""
        if x.ndim == 2 and self.layout == "rows":
            return x
        columns = x.reshape(x.shape[0], -1)
        certain = np.ones_like(columns[:1])
        return np.concatenate([columns[:4], certain, columns[4:]]).T

    def __call__(self, detections: FloatArray) -> FloatArray:
        """Return the rows that are kept of ``(N, 5 + classes)``, best first."""
        rows = np.asarray(detections)
        if rows.ndim != 2 or rows.shape[1] < 5:
            raise ValueError(f"detections must be (N, >= 5), got shape {rows.shape}")
        kept = suppress(
            rows,
            score_threshold=self.score_threshold,
            iou_threshold=self.iou_threshold,
            max_detections=self.max_detections,
            class_aware=self.class_aware,
        )
        return rows[kept]
