"""Scale and Threshold in floats."""

import numpy as np

from talon.backend.cpu.convolution import Kernel
from talon.backend.cpu.kernels import build_kernel
from talon.ir import Scale, Threshold
from talon.ir.types import Dims


@build_kernel.register
def _build_scale(node: Scale, shape: Dims, dtype: np.dtype) -> Kernel:
    scale = node.broadcast(node.scale, shape).astype(dtype)
    return lambda x: x * scale


@build_kernel.register
def _build_threshold(node: Threshold, shape: Dims, dtype: np.dtype) -> Kernel:
    threshold = node.broadcast(node.threshold, shape).astype(dtype)
    return lambda x: (x > threshold).astype(dtype)
