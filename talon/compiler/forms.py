"""How the array stores a projection: dense rows, packed sparse words, or one constant.

Sparse words hold *n* synapses of 16 bits: synapse *k* goes to lane *k*, *k* + *n* and so on of any
accumulator row, so as many words are needed as the fullest *k* has synapses. ``word_bytes`` are
those of a weight word.
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


def sparse_counts(weight: NDArray[np.int8], *, word_bytes: int) -> NDArray[np.int64]:
    """Return the packed words of each source for synapses (n_target, n_source)."""
    n = word_bytes // 2
    n_target, n_source = weight.shape
    rows = -(-n_target // n)
    filled = np.zeros((rows * n, n_source), bool)
    filled[:n_target] = weight != 0
    return filled.reshape(rows, n, n_source).sum(axis=0).max(axis=0).astype(np.int64)


def pointer_words(n_source: int, *, word_bytes: int) -> int:
    """Return the weight words that the pointers of ``n_source`` sources take."""
    return -(-n_source // (word_bytes // 4))


def sparse_words(weight: NDArray[np.int8], *, word_bytes: int) -> int:
    """Return the weight words that a sparse projection takes, pointers included."""
    packed = int(sparse_counts(weight, word_bytes=word_bytes).sum())
    return pointer_words(weight.shape[1], word_bytes=word_bytes) + packed


def choose_form(
    weight: NDArray[np.int8], *, lanes: int, word_bytes: int, vectors: bool = True
) -> str:
    """Return ``"identity"``, ``"sparse"`` or ``"dense"``, whichever takes the least memory.

    ``vectors`` tells whether both ends are: the order of a map on a core is its own, so that what
    is a diagonal in C order is none there.
    """
    if vectors and diagonal_of(weight) is not None:
        return "identity"
    dense = weight.shape[1] * -(-weight.shape[0] // lanes)
    sparse = sparse_words(weight, word_bytes=word_bytes)
    return "sparse" if sparse <= _SPARSE_GAIN * dense else "dense"
