"""The head of a detector in floats; what it computes is in the IR."""

import numpy as np

from talon.backend.cpu.convolution import Kernel
from talon.backend.cpu.ghost import build_conv
from talon.backend.cpu.kernels import build_kernel
from talon.ir import NMS, DFLDecode, Dist2BBox, SDDetect
from talon.ir.types import Dims, FloatArray


@build_kernel.register
def _build_head(node: SDDetect, shape: Dims, dtype: np.dtype) -> Kernel:
    branches: list[list[Kernel]] = []
    for name in ("cv2", "cv3"):
        at, kernels = shape, []
        for weight, bias in node.branch(name):
            kernel, at = build_conv(weight, bias, at, dtype)
            kernels.append(kernel)
        branches.append(kernels)

    def head(x: FloatArray) -> FloatArray:
        ends: list[FloatArray] = []
        for kernels in branches:
            y = x
            for kernel in kernels:
                y = kernel(y)
            ends.append(y)
        return np.concatenate(ends, axis=1)

    return head


@build_kernel.register
def _build_decode(node: DFLDecode, shape: Dims, dtype: np.dtype) -> Kernel:
    del shape, dtype
    return lambda x: np.moveaxis(node.decode(np.moveaxis(x, 0, 1)), 0, 1)


@build_kernel.register
def _build_boxes(node: Dist2BBox, shape: Dims, dtype: np.dtype) -> Kernel:
    anchor_x, anchor_y = node.anchor_points(shape).astype(dtype)
    return lambda x: np.moveaxis(node.decode(np.moveaxis(x, 0, 1), anchor_x, anchor_y), 0, 1)


@build_kernel.register
def _build_nms(node: NMS, shape: Dims, dtype: np.dtype) -> Kernel:
    full = node.output_shape(shape)

    def suppress(x: FloatArray) -> FloatArray:
        y = np.zeros((len(x), *full), dtype)
        for sample, out in zip(x, y, strict=True):
            kept = node(node.rows_of(sample))
            out[: len(kept)] = kept
        return y

    return suppress
