"""Synapses of sparse matrices, source by source: events are few, and so are their targets.

The synapses of a source fill a few blocks of equal length, the last of them with weights of zero,
so that one ``take`` gathers what all active sources have. Targets and weights are as short as they
may be: what limits the speed is reading them. Sums are in int32, which is exact in any order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon_sim.golden.rooms import taken

Integers = NDArray[np.signedinteger[Any] | np.unsignedinteger[Any]]

_BLOCK = 32
"""Synapses of a block."""

_CHUNK = 1 << 15
"""Synapses that are gathered and added at a time."""


class FanOut:
    """The synapses of a sparse matrix, ready to be gathered by source.

    Parameters
    ----------
    start
        (n_source + 1,), where the synapses of each source begin.
    target, value
        Targets and int8 weights of the synapses.
    n_target
        Number of targets.
    """

    def __init__(
        self, start: Integers, target: Integers, value: NDArray[np.int8], *, n_target: int
    ) -> None:
        self._n_target = n_target
        count = np.diff(start).astype(np.intp)
        self._n_blocks = -(-count // _BLOCK)
        first = np.cumsum(self._n_blocks)
        total = int(first[-1]) if len(first) else 0
        self._first = first - self._n_blocks
        # Synapse k of a source stands at its first block's beginning plus k.
        place = np.arange(len(target)) + np.repeat(self._first * _BLOCK - start[:-1], count)
        kind = np.uint16 if n_target <= 1 << 16 else np.int32
        self._targets: Integers = np.zeros((total, _BLOCK), kind)
        self._values = np.zeros((total, _BLOCK), np.int8)
        self._targets.reshape(-1)[place] = target
        self._values.reshape(-1)[place] = value
        self._spare: list[_Buffers] = []

    def sums(self, events: NDArray[Any]) -> NDArray[np.int32]:
        """Return the sums (m, n_target) that payloads (m, n_source) make."""
        n_frames, n_source = events.shape
        total = np.zeros(n_frames * self._n_target, np.int32)
        flat = events.reshape(-1)
        active = flat.nonzero()[0]
        payload = None if flat.dtype == np.bool_ else flat.take(active).astype(np.int32)
        if payload is not None and (payload == 1).all():
            payload = None
        offset = None
        if n_frames > 1:
            offset = active // n_source * self._n_target
            active %= n_source
        count = self._n_blocks.take(active)
        end = count.cumsum()
        blocks = np.repeat(self._first.take(active) - (end - count), count)
        blocks += np.arange(len(blocks))
        self._add(
            total,
            blocks,
            None if payload is None else np.repeat(payload, count),
            None if offset is None else np.repeat(offset, count),
        )
        return total.reshape(n_frames, self._n_target)

    def _add(
        self,
        total: NDArray[np.int32],
        blocks: NDArray[np.intp],
        payload: NDArray[np.int32] | None,
        offset: NDArray[np.intp] | None,
    ) -> None:
        # Whoever runs takes buffers for the time, so that several threads may.
        buffers = taken(self._spare) or _Buffers(self._targets.dtype)
        step = _CHUNK // _BLOCK
        for begin in range(0, len(blocks), step):
            part = slice(begin, begin + step)
            index = blocks[part]
            n = len(index)
            target, value = buffers.target[:n], buffers.value[:n]
            self._targets.take(index, 0, buffers.narrow_target[:n], "clip")
            self._values.take(index, 0, buffers.narrow_value[:n], "clip")
            np.copyto(target, buffers.narrow_target[:n])
            np.copyto(value, buffers.narrow_value[:n])
            if payload is not None:
                value *= payload[part, None]
            if offset is not None:
                target += offset[part, None]
            np.add.at(total, target.reshape(-1), value.reshape(-1))
        self._spare.append(buffers)


class _Buffers:
    """Room for what is gathered at a time."""

    def __init__(self, kind: np.dtype[Any]) -> None:
        shape = (_CHUNK // _BLOCK, _BLOCK)
        self.narrow_target = np.empty(shape, kind)
        self.narrow_value = np.empty(shape, np.int8)
        self.target = np.empty(shape, np.intp)
        self.value = np.empty(shape, np.int32)
