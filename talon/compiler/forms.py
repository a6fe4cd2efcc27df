"""How the array stores a projection: dense rows, packed sparse words, or one constant.

Sparse words hold ``lanes / 2`` synapses: synapse *k* goes to lane *k* or *k* + lanes/2 of any
accumulator row, so as many words are needed as the fullest *k* has synapses.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SPARSE_GAIN = 0.75  # sparse only where it takes at most this share of the dense words


def diagonal_of(weight: NDArray[Any]) -> tuple[int, Any] | None:
    """Return ``(shift, value)`` if source *j* has one synapse, to neuron *j + shift*, of one value.

    Every source must have it; float values may differ by rounding.
    """
    if (np.count_nonzero(weight, axis=0) != 1).any():
        return None
    targets = np.argmax(weight != 0, axis=0)
    shift = targets - np.arange(weight.shape[1])
    if (shift != shift[0]).any():
        return None
    values = weight[targets, np.arange(weight.shape[1])]
    if np.ptp(values.astype(np.float64)) > 1e-9 * abs(float(values[0])):
        return None
    return int(shift[0]), values[0]


def sparse_counts(weight: NDArray[np.int8], *, lanes: int) -> NDArray[np.int64]:
    """Return the packed words of each source for synapses (n_target, n_source)."""
    half = lanes // 2
    n_target, n_source = weight.shape
    rows = -(-n_target // half)
    filled = np.zeros((rows * half, n_source), bool)
    filled[:n_target] = weight != 0
    return filled.reshape(rows, half, n_source).sum(axis=0).max(axis=0).astype(np.int64)


def pointer_words(n_source: int, *, lanes: int) -> int:
    """Return the weight words that the pointers of ``n_source`` sources take."""
    return -(-n_source // (lanes // 4))


def sparse_words(weight: NDArray[np.int8], *, lanes: int) -> int:
    """Return the weight words that a sparse projection takes, pointers included."""
    packed = int(sparse_counts(weight, lanes=lanes).sum())
    return pointer_words(weight.shape[1], lanes=lanes) + packed


def choose_form(weight: NDArray[np.int8], *, lanes: int, vectors: bool = True) -> str:
    """Return ``"identity"``, ``"sparse"`` or ``"dense"``, whichever takes the least memory.

    ``vectors`` tells whether both ends are: the order of a map on a core is its own, so that what
    is a diagonal in C order is none there.
    """
    if vectors and diagonal_of(weight) is not None:
        return "identity"
    dense = weight.shape[1] * -(-weight.shape[0] // lanes)
    return "sparse" if sparse_words(weight, lanes=lanes) <= _SPARSE_GAIN * dense else "dense"
