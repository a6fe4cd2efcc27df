"""Kernels: linear maps between feature maps that share weights over positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Kernel:
    """Synapses from a map (C, H, W) to a map (O, P, Q), the same for all positions.

    The synapse from (c, y, x) to (o, p, q) is ``taps[rows[p, y], columns[q, x], c, o]``, and there
    is none where either of the two is -1. So strides, padding, dilation, transposed convolutions,
    nearest upsampling and sums over windows are all tables; groups are zeros of ``taps``.

    Attributes
    ----------
    taps
        (rows, columns, C, O); int8 in an integer network, float64 in a lowered one.
    rows, columns
        Tap of a target and a source coordinate, int16 of shape (P, H) and (Q, W), or -1.
    """

    taps: NDArray[Any]
    rows: NDArray[np.int16]
    columns: NDArray[np.int16]

    @property
    def source_shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of the source."""
        return self.taps.shape[2], self.rows.shape[1], self.columns.shape[1]

    @property
    def target_shape(self) -> tuple[int, int, int]:
        """Shape (O, P, Q) of the target."""
        return self.taps.shape[3], self.rows.shape[0], self.columns.shape[0]

    @property
    def n_source(self) -> int:
        """Number of sources."""
        return int(np.prod(self.source_shape))

    @property
    def n_target(self) -> int:
        """Number of targets."""
        return int(np.prod(self.target_shape))

    def dense(self) -> NDArray[Any]:
        """Return the matrix (n_target, n_source), in C order of both maps."""
        (n_rows, n_columns, n_in, n_out) = self.taps.shape
        height, width = self.rows.shape[1], self.columns.shape[1]
        full = np.zeros((n_out, len(self.rows), len(self.columns), n_in, height, width))
        full = full.astype(self.taps.dtype)
        for i in range(n_rows):
            p, y = np.nonzero(self.rows == i)
            for j in range(n_columns):
                q, x = np.nonzero(self.columns == j)
                block = self.taps[i, j].T[:, None, None, :]
                full[:, p[:, None], q[None], :, y[:, None], x[None]] = block.transpose(1, 2, 0, 3)
        return full.reshape(self.n_target, self.n_source)

    def summed_over_sources(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return for each target the sum of ``values``, shaped like ``taps``, of its synapses."""
        rows = _counts(self.rows, self.taps.shape[0], axis=1)
        columns = _counts(self.columns, self.taps.shape[1], axis=1)
        per_tap = np.asarray(values, np.float64).sum(axis=2)
        return np.einsum("pi,qj,ijo->opq", rows, columns, per_tap, optimize=True).reshape(-1)

    def summed_over_targets(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return for each source the sum of ``values``, shaped like ``taps``, of its synapses."""
        rows = _counts(self.rows, self.taps.shape[0], axis=0)
        columns = _counts(self.columns, self.taps.shape[1], axis=0)
        per_tap = np.asarray(values, np.float64).sum(axis=3)
        return np.einsum("yi,xj,ijc->cyx", rows, columns, per_tap, optimize=True).reshape(-1)


def _counts(relation: NDArray[np.int16], n_taps: int, *, axis: int) -> NDArray[np.float64]:
    """Return how often each coordinate of the other axis meets each tap."""
    coordinate = np.nonzero(relation >= 0)[1 - axis]
    counts = np.zeros((relation.shape[1 - axis], n_taps))
    np.add.at(counts, (coordinate, relation[relation >= 0]), 1)
    return counts
