"""Kernels in the form that the ``nir`` package can check, and back.

Its type check takes the height of a kernel for its width and knows no groups. So a grouped kernel
is written whole, with zeros between the groups, and an oblong one with zeros around it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from talon.ir.conv import Conv1d, Conv2d
from talon.ir.types import Array, Dims

Form = dict[str, Any]
"""What a kernel was: ``groups``, and ``kernel`` and ``padding`` of an oblong one."""


def checkable(node: Conv1d | Conv2d) -> tuple[Array, Dims, Form]:
    """Return kernel and padding as they are written, and what they were."""
    form: Form = {}
    weight, padding = node.weight, np.atleast_1d(node.padding)
    if node.groups > 1:
        form["groups"] = node.groups
        weight = _whole(weight, node.groups)
    sizes = np.array(weight.shape[2:])
    missing = sizes.max() - sizes
    if missing.any() and not (missing % 2).any():
        form["kernel"], form["padding"] = sizes.tolist(), padding.tolist()
        sides = [(0, 0), (0, 0), *((n // 2, n // 2) for n in missing.tolist())]
        weight = np.pad(weight, sides)
        padding = padding + np.atleast_1d(node.dilation) * missing // 2
    return weight, tuple(padding.tolist()), form


def is_checkable(node: Conv1d | Conv2d) -> bool:
    """Tell whether :func:`checkable` makes the kernel square."""
    sizes = np.array(node.weight.shape[2:])
    return not ((sizes.max() - sizes) % 2).any()


def restored(fields: Mapping[str, Any], form: Form) -> dict[str, Any]:
    """Return the fields of a convolution with kernel, padding and groups as they were."""
    found = dict(fields)
    if "kernel" in form:
        sizes = form["kernel"]
        starts = [(n - k) // 2 for n, k in zip(found["weight"].shape[2:], sizes, strict=True)]
        inner = tuple(slice(s, s + k) for s, k in zip(starts, sizes, strict=True))
        found["weight"] = found["weight"][(slice(None), slice(None), *inner)].copy()
        found["padding"] = tuple(form["padding"])
    if "groups" in form:
        found["weight"], found["groups"] = _grouped(found["weight"], form["groups"]), form["groups"]
    return found


def _whole(weight: Array, groups: int) -> Array:
    n_out, n_in = weight.shape[:2]
    whole = np.zeros((n_out, n_in * groups, *weight.shape[2:]), weight.dtype)
    for g in range(groups):
        rows = slice(g * n_out // groups, (g + 1) * n_out // groups)
        whole[rows, g * n_in : (g + 1) * n_in] = weight[rows]
    return whole


def _grouped(weight: Array, groups: int) -> Array:
    n_out, n_in = weight.shape[0], weight.shape[1] // groups
    parts = [
        weight[g * n_out // groups : (g + 1) * n_out // groups, g * n_in : (g + 1) * n_in]
        for g in range(groups)
    ]
    return np.concatenate(parts)
