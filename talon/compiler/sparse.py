"""Sparse weights: matrices whose zeros would not fit into memory, source by source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROWS = 1 << 24
"""Weights of a dense matrix that are looked at at a time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SparseMatrix:
    """Weights (n_target, n_source) of int8, listed by source; what is not listed is zero.

    A projection takes it wherever it takes a matrix. The golden model runs it as it is; the mapper
    makes matrices of it first.

    Attributes
    ----------
    shape
        (n_target, n_source).
    start
        Where the weights of each source begin, and the number of all: integers (n_source + 1,).
    target
        Target of each weight, integers; of one source in ascending order, each once.
    value
        int8, as long as ``target``.
    """

    shape: tuple[int, int]
    start: NDArray[np.signedinteger[Any]]
    target: NDArray[np.signedinteger[Any]]
    value: NDArray[np.int8]

    @classmethod
    def of(cls, weight: NDArray[np.int8]) -> SparseMatrix:
        """Return the weights of a matrix (n_target, n_source) that are not zero."""
        n_target, n_source = weight.shape
        step = max(1, _ROWS // max(1, n_source))
        flat = [
            np.flatnonzero(weight[row : row + step] != 0) + row * n_source
            for row in range(0, n_target, step)
        ]
        index = np.concatenate(flat) if flat else np.zeros(0, np.intp)
        source = index % n_source if n_source else index
        order = np.argsort(
            source.astype(np.uint16 if n_source <= 1 << 16 else np.int64), kind="stable"
        )
        return cls(
            shape=(n_target, n_source),
            start=np.concatenate(([0], np.cumsum(np.bincount(source, minlength=n_source)))),
            target=(index // max(1, n_source))[order].astype(np.int32),
            value=np.ascontiguousarray(weight).reshape(-1)[index][order],
        )

    @property
    def counts(self) -> NDArray[np.intp]:
        """Number of weights of each source."""
        return np.diff(self.start).astype(np.intp)

    @property
    def sources(self) -> NDArray[np.intp]:
        """Source of each weight."""
        return np.repeat(np.arange(self.shape[1]), self.counts)

    def dense(self) -> NDArray[np.int8]:
        """Return the matrix (n_target, n_source)."""
        full = np.zeros(self.shape, np.int8)
        full[self.target, self.sources] = self.value
        return full

    def complaint(self) -> str | None:
        """Tell what is wrong with the lists, or None."""
        n_target, n_source = self.shape
        start, target, value = self.start, self.target, self.value
        if value.dtype != np.int8 or target.dtype.kind != "i" or start.dtype.kind != "i":
            return (
                "lists must be integers, and int8 of values, "
                f"not {start.dtype}, {target.dtype} and {value.dtype}"
            )
        if start.shape != (n_source + 1,) or target.shape != value.shape or target.ndim != 1:
            return (
                f"lists must have the shapes ({n_source + 1},), (m,) and (m,), "
                f"not {start.shape}, {target.shape} and {value.shape}"
            )
        if start[0] != 0 or start[-1] != len(target) or (np.diff(start) < 0).any():
            return f"start must ascend from 0 to {len(target)}, not {start[0]} to {start[-1]}"
        if len(target) and not 0 <= target.min() <= target.max() < n_target:
            return f"targets must be from 0 to {n_target - 1}, not {target.min()} to {target.max()}"
        is_later = np.diff(target) > 0
        begins = start[(start > 0) & (start < len(target))]
        is_later[begins - 1] = True
        if not is_later.all():
            where = int(np.flatnonzero(~is_later)[0]) + 1
            return f"targets of a source must ascend; {target[where]} follows {target[where - 1]}"
        return None
