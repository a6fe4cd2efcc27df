"""Activations and normalisations in floats, as at inference."""

import math
from functools import lru_cache

import numpy as np

from talon.backend.cpu.convolution import Kernel
from talon.backend.cpu.kernels import build_kernel
from talon.ir import (
    ELU,
    GELU,
    BatchNorm1d,
    BatchNorm2d,
    Dropout,
    HardSwish,
    HybridRegion,
    LayerNorm,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from talon.ir.types import Array, Dims, FloatArray

_ERF_STEP = 1 / 256
_ERF_END = 6.0
"""Beyond it erf is 1 in float64."""


@build_kernel.register
def _build_relu(node: ReLU, shape: Dims, dtype: np.dtype) -> Kernel:
    del shape
    if node.negative_slope == 0:
        zero = np.zeros((), dtype)
        return lambda x: np.maximum(x, zero)
    return _build_leaky(np.asarray(node.negative_slope, dtype))


@build_kernel.register
def _build_prelu(node: PReLU, shape: Dims, dtype: np.dtype) -> Kernel:
    return _build_leaky(_per_channel(node.weight, shape).astype(dtype))


def _build_leaky(slope: Array) -> Kernel:
    def activate(x: FloatArray) -> FloatArray:
        y = x * slope
        np.copyto(y, x, where=x > 0)
        return y

    return activate


@build_kernel.register
def _build_sigmoid(node: Sigmoid, shape: Dims, dtype: np.dtype) -> Kernel:
    del node, shape, dtype

    def activate(x: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):  # exp gives inf, and the sigmoid zero
            return 1 / (1 + np.exp(-x))

    return activate


@build_kernel.register
def _build_silu(node: SiLU, shape: Dims, dtype: np.dtype) -> Kernel:
    sigmoid = _build_sigmoid(Sigmoid(node.features), shape, dtype)
    return lambda x: x * sigmoid(x)


@build_kernel.register
def _build_hard_swish(node: HardSwish, shape: Dims, dtype: np.dtype) -> Kernel:
    del node, shape
    three, six = np.asarray(3, dtype), np.asarray(6, dtype)
    return lambda x: x * np.clip(x + three, 0, six) / six


@build_kernel.register
def _build_softplus(node: Softplus, shape: Dims, dtype: np.dtype) -> Kernel:
    del shape
    zero, beta = np.zeros((), dtype), np.asarray(node.beta, dtype)
    return lambda x: np.logaddexp(zero, beta * x) / beta


@build_kernel.register
def _build_tanh(node: Tanh, shape: Dims, dtype: np.dtype) -> Kernel:
    del node, shape, dtype
    return np.tanh


@build_kernel.register
def _build_softmax(node: Softmax, shape: Dims, dtype: np.dtype) -> Kernel:
    del dtype
    axis = node.dim % len(shape) + 1

    def activate(x: FloatArray) -> FloatArray:
        y = np.exp(x - x.max(axis=axis, keepdims=True))
        return y / y.sum(axis=axis, keepdims=True)

    return activate


@build_kernel.register
def _build_gelu(node: GELU, shape: Dims, dtype: np.dtype) -> Kernel:
    del shape
    slope = np.asarray(math.sqrt(2 / math.pi), dtype)
    if node.approximate:
        return lambda x: 0.5 * x * (1 + np.tanh(slope * (x + 0.044715 * x * x * x)))
    return lambda x: (0.5 * x * (1 + _erf(x / math.sqrt(2)))).astype(dtype, copy=False)


@lru_cache(maxsize=1)
def _erf_table() -> tuple[Array, Array]:
    """Return erf and the change of its tangent over a step, on a grid."""
    places = np.arange(0, _ERF_END + 2 * _ERF_STEP, _ERF_STEP)
    values = np.array([math.erf(place) for place in places])
    return values, 2 / math.sqrt(math.pi) * np.exp(-(places**2)) * _ERF_STEP


def _erf(x: FloatArray) -> FloatArray:
    """Return the error function, by cubics through its values and tangents: to 1e-11."""
    values, tangents = _erf_table()
    size = np.minimum(np.abs(x).astype(np.float64), _ERF_END) / _ERF_STEP
    at = size.astype(np.intp)
    u = size - at
    low, high = values[at], values[at + 1]
    left, right = tangents[at], tangents[at + 1]
    rise = high - low
    y = low + u * (left + u * (3 * rise - 2 * left - right + u * (left + right - 2 * rise)))
    return np.copysign(y, x)


@build_kernel.register
def _build_elu(node: ELU, shape: Dims, dtype: np.dtype) -> Kernel:
    del shape
    alpha = np.asarray(node.alpha, dtype)

    def activate(x: FloatArray) -> FloatArray:
        y = alpha * np.expm1(np.minimum(x, 0))
        np.copyto(y, x, where=x > 0)
        return y

    return activate


@build_kernel.register(BatchNorm1d)
@build_kernel.register(BatchNorm2d)
def _build_batch_norm(node: BatchNorm1d | BatchNorm2d, shape: Dims, dtype: np.dtype) -> Kernel:
    variance = node.running_var.astype(np.float64)
    gain = node.weight / np.sqrt(variance + node.eps)
    offset = node.bias - node.running_mean * gain
    gain, offset = (_per_channel(a, shape).astype(dtype) for a in (gain, offset))

    def normalize(x: FloatArray) -> FloatArray:
        y = x * gain
        y += offset
        return y

    return normalize


@build_kernel.register
def _build_layer_norm(node: LayerNorm, shape: Dims, dtype: np.dtype) -> Kernel:
    del shape
    axes = tuple(range(-node.weight.ndim, 0))
    weight, bias = node.weight.astype(dtype), node.bias.astype(dtype)
    eps = np.asarray(node.eps, dtype)

    def normalize(x: FloatArray) -> FloatArray:
        y = x - x.mean(axis=axes, keepdims=True)
        y /= np.sqrt((y * y).mean(axis=axes, keepdims=True) + eps)
        y *= weight
        y += bias
        return y

    return normalize


@build_kernel.register(Dropout)
@build_kernel.register(HybridRegion)
def _build_nothing(node: Dropout | HybridRegion, shape: Dims, dtype: np.dtype) -> Kernel:
    del node, shape, dtype
    return lambda x: x


def _per_channel(parameter: Array, shape: Dims) -> Array:
    """Return a parameter that broadcasts over all but the first feature dimension."""
    return parameter.reshape(-1, *(1,) * (len(shape) - 1))
