"""Integers instead of floats in a file, for arrays that lie on a grid.

A graph whose ``quantization_config["scales"]`` holds the steps of a node's arrays, and whose nodes
declare ``weight_t`` or ``bias_t`` as ``int8`` or ``int4``, has its floats stored as integers: a
value is its code times the step. Only what comes back bit for bit is stored so; an array that was
changed since stays an array of floats.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from talon.errors import T1CFormatError
from talon.ir.graph import Graph
from talon.ir.node import Node
from talon.ir.types import Array

TOPS = {"int8": 127, "int4": 7}
"""The largest code of each format; the smallest is its negative."""
FLOATS = {"float16": 2, "float32": 4, "float64": 8}
"""Types that codes stand for, and their bytes."""


@dataclass(frozen=True)
class Codes:
    """The integers of one array.

    Attributes
    ----------
    values
        int8 in the shape of the array; for ``int4`` uint8 ``[ceil(size / 2)]``, the first of two
        codes in the low half of a byte, in two's complement.
    number_format
        ``"int8"`` or ``"int4"``.
    dtype
        Name of the floating point type that the array has in memory.
    shape
        Of the array.
    """

    values: Array
    number_format: str
    dtype: str
    shape: tuple[int, ...]


def integers_of(graph: Graph) -> dict[str, dict[str, Codes]]:
    """Return the codes of all arrays that can be stored as integers, by node and field."""
    scales = scales_of(graph.quantization_config)
    found: dict[str, dict[str, Codes]] = {}
    for name, steps in scales.items():
        node = graph.nodes.get(name)
        if node is None:
            continue
        packed = {field: _pack_field(node, field, scale) for field, scale in steps.items()}
        codes = {field: made for field, made in packed.items() if made is not None}
        if codes:
            found[name] = codes
    return found


def scales_of(config: object) -> dict[str, dict[str, Any]]:
    """Return the steps in a quantization's facts; nothing where they have another form."""
    scales = config.get("scales") if isinstance(config, Mapping) else None
    if not isinstance(scales, Mapping):
        return {}
    return {name: dict(steps) for name, steps in scales.items() if isinstance(steps, Mapping)}


def _pack_field(node: Node, field: str, scale: object) -> Codes | None:
    array = getattr(node, field, None)
    number_format = node.bias_t if "bias" in field else node.weight_t
    if not isinstance(array, np.ndarray) or array.dtype.name not in FLOATS:
        return None
    if number_format not in TOPS or not array.dtype.isnative:
        return None
    try:
        step = _step(scale, array.shape, array.dtype)
    except ValueError:
        return None
    codes = np.rint(array / step)
    if not np.all(np.abs(codes) <= TOPS[number_format]):
        return None
    codes = codes.astype(np.int8)
    if not _same_bits(_unpacked(codes, step), array):
        return None
    values = codes if number_format == "int8" else _pack_nibbles(codes)
    return Codes(values, number_format, array.dtype.name, array.shape)


def floats_of(codes: Codes, scale: object) -> Array:
    """Return the array that was stored.

    Raises
    ------
    T1CFormatError
        The codes do not fit together, or there is no scale for them.
    """
    if codes.number_format not in TOPS:
        raise T1CFormatError(
            f"the number format {codes.number_format!r} is unknown; {', '.join(TOPS)} can be read"
        )
    if codes.dtype not in FLOATS:
        raise T1CFormatError(f"integers cannot stand for {codes.dtype!r}")
    values = _checked_values(codes)
    try:
        step = _step(scale, codes.shape, np.dtype(codes.dtype))
    except ValueError as error:
        raise T1CFormatError(f"quantization_config does not have its scale: {error}") from None
    return _unpacked(values, step)


def _checked_values(codes: Codes) -> Array:
    size = int(np.prod(codes.shape, dtype=object)) if codes.shape else 1
    if codes.number_format == "int8":
        expected, dtype = codes.shape, np.dtype(np.int8)
    else:
        expected, dtype = ((size + 1) // 2,), np.dtype(np.uint8)
    values = np.asarray(codes.values)
    if values.shape != expected or values.dtype != dtype:
        raise T1CFormatError(
            f"{codes.number_format} codes of an array of shape {codes.shape} must be {dtype} of "
            f"shape {expected}, got {values.dtype} of shape {values.shape}"
        )
    return values if codes.number_format == "int8" else _unpack_nibbles(values, codes.shape, size)


def _step(scale: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return the steps such that they broadcast over the array."""
    step = np.asarray(scale)
    if step.dtype.kind != "f" or not np.all(np.isfinite(step)) or not np.all(step > 0):
        raise ValueError("a scale must be a positive number, or one for each output channel")
    if step.shape not in ((), shape[:1]):
        raise ValueError(
            f"an array of shape {shape} has one scale or {shape[:1]}, not {step.shape}"
        )
    step = step.astype(dtype)
    return step.reshape(-1, *(1,) * (len(shape) - 1)) if step.ndim else step


def _unpacked(codes: Array, step: Array) -> Array:
    values = codes.astype(step.dtype)
    np.multiply(values, step, out=values)
    return values


def _same_bits(a: Array, b: Array) -> bool:
    """Return whether floats are the same, zeros of different sign not being so."""
    bits = f"u{a.dtype.itemsize}"
    return np.array_equal(np.ascontiguousarray(a).view(bits), np.ascontiguousarray(b).view(bits))


def _pack_nibbles(codes: Array) -> Array:
    flat = codes.reshape(-1).view(np.uint8) & 0xF
    if flat.size % 2:
        flat = np.append(flat, np.uint8(0))
    return flat[::2] | flat[1::2] << 4


def _unpack_nibbles(values: Array, shape: tuple[int, ...], size: int) -> Array:
    low, high = values.view(np.int8) << 4, values.view(np.int8)
    return np.stack([low >> 4, high >> 4], axis=1).reshape(-1)[:size].reshape(shape)
