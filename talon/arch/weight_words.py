"""Weights in weight words: lane *l* in the bits from *l* times the width of a weight on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.params import ArrayParams


def pack_weights(weights: NDArray[np.int8], params: ArrayParams) -> NDArray[np.uint8]:
    """Return the words of weights, one a lane.

    Parameters
    ----------
    weights
        Weights of shape (n, lanes), int8, from ``-weight_max`` to ``weight_max``.
    params
        The array.

    Returns
    -------
    NDArray[np.uint8]
        The bytes of ``n`` words, (n, word_bytes).

    Raises
    ------
    ValueError
        A weight is wider than those of the array.
    """
    low, high = weights.min(initial=0), weights.max(initial=0)
    if low < -params.weight_max or high > params.weight_max:
        wide = int(high if high > params.weight_max else low)
        raise ValueError(
            f"Weights must be from {-params.weight_max} to {params.weight_max}, not {wide}"
        )
    stored: Any = np.ascontiguousarray(weights)
    stored = stored.view(np.uint8)
    if params.weight_width == 8:
        return stored
    return (stored[:, ::2] & 0xF) | (stored[:, 1::2] << 4)


def unpack_weights(words: NDArray[np.uint8], params: ArrayParams) -> NDArray[np.int8]:
    """Return the weights of words (..., word_bytes), int8 of shape (..., lanes)."""
    stored: Any = words
    signed = stored.view(np.int8)
    if params.weight_width == 8:
        return signed
    pairs: Any = np.empty((*words.shape, 2), np.int8)
    pairs[..., 0] = (signed << 4) >> 4
    pairs[..., 1] = signed >> 4
    return pairs.reshape(*words.shape[:-1], params.lanes)
