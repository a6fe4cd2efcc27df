"""Kernels as matrix products over gathered windows; exact for the reason that ``synapses`` gives.

A few frames at a time are padded, gathered and multiplied, so that what is gathered stays in the
second-level cache. Sums of payloads that share a tap are exact as well: each is at most a sum that
the proof is about, or meets weights of zero alone. Events that are few in large maps are taken one
by one instead (``scatter``).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch import numerics
from talon.compiler.kernel import Kernel
from talon_sim.golden.axes import Axis, axis_of
from talon_sim.golden.gather import Maps, Selection, Windows
from talon_sim.golden.pairs import MOST, largest_sum, pack, part
from talon_sim.golden.rooms import taken
from talon_sim.golden.scatter import Scatter
from talon_sim.golden.synapses import Drive

_CHUNK = 5 << 15
"""Gathered values and sums held at a time."""

_MANY_CHANNELS = 16
"""From so many source channels on a pass for each tap beats a matrix of zeros (measured)."""

_LEAST_GATHERED = 32
"""Values gathered for a window from which on frames are multiplied in pairs (measured)."""


class MapSynapses:
    """The synapses of one kernel, ready to turn events into currents.

    Payloads are as those of ``Synapses``.
    """

    def __init__(
        self,
        kernel: Kernel,
        *,
        frac: int,
        payload_max: int = numerics.PAYLOAD_MAX,
        signed: bool = True,
    ) -> None:
        self.n_target, self.n_source = kernel.n_target, kernel.n_source
        self._source_shape, self._target_shape = kernel.source_shape, kernel.target_shape
        self._y, self._x = axis_of(kernel.rows), axis_of(kernel.columns)
        taps = kernel.taps[np.ix_(self._y.taps, self._x.taps)]
        self._is_empty = not taps.any()
        self._taps = taps.astype(np.float32) * np.float32(1 << frac)
        size = (max(1, taps[..., 0].size) + taps.shape[3]) * self._y.n_target * self._x.n_target
        self._frames = max(1, _CHUNK // size)
        self._spare: dict[bool, list[_Product | _Passes]] = {False: [], True: []}
        self._scatter = Scatter(kernel, frac=frac)
        self._unit = 1 << frac
        self._is_paired = (
            taps[..., 0].size >= _LEAST_GATHERED
            and largest_sum(kernel, payload_max, signed=signed) <= MOST
        )

    def prefers_events(self, events: NDArray[Any]) -> bool:
        """Tell whether so few payloads (T, B, n_source) are best taken one by one."""
        return self._scatter.pays(events.reshape(-1, self.n_source))

    def add_to(self, drive: Drive, events: NDArray[Any]) -> None:
        """Add the currents of payloads (m, n_source) to ``drive`` (m, n_target)."""
        if self._scatter.pays(events):
            self._scatter.add_to(drive, events)
            return
        targets = drive.reshape(-1, *self._target_shape)
        for frames, sums in self.sums(events):
            if sums is not None:
                np.add(targets[frames], sums, out=targets[frames], casting="unsafe")

    def write_to(self, drive: Drive, events: NDArray[Any], base: Drive) -> None:
        """Write ``base``, one number or (n_target,), plus the currents to ``drive``."""
        if self._scatter.pays(events):
            drive[:] = base
            self._scatter.add_to(drive, events)
            return
        targets = drive.reshape(-1, *self._target_shape)
        base = base.reshape(self._target_shape) if base.ndim else base
        is_zero = not base.ndim and not base.any()
        for frames, sums in self.sums(events):
            if sums is None:
                targets[frames] = base
                continue
            np.copyto(targets[frames], sums, casting="unsafe")
            if not is_zero:
                np.add(targets[frames], base, out=targets[frames])

    def sums(
        self, events: NDArray[Any], *, packed: bool = False
    ) -> Iterator[tuple[slice, Maps | None]]:
        """Yield frames and their sums (m, O, P, Q), or None where nothing is sent.

        Sums are a view that the next ones overwrite; ``packed`` ones are contiguous, which takes
        longer to gather and less to work on.
        """
        # Whoever runs takes a workspace for the time, so that several threads may.
        spare = self._spare[packed]
        workspace = taken(spare) or self._workspace(packed)
        product = workspace if self._is_paired and isinstance(workspace, _Product) else None
        step = self._frames if product is None else 2 * self._frames
        for start in range(0, len(events), step):
            frames = events[start : start + step]
            half = -(-len(frames) // 2)
            if self._is_empty or not frames.any():
                yield slice(start, start + step), None
            elif product is not None and half < len(frames):
                pairs = np.empty((half, self.n_source), np.float32)
                pack(frames, pairs)
                first, second = product.pairs(self._mapped(pairs), self._unit)
                yield slice(start, start + half), self._repeated(first)
                second = second[: len(frames) - half]
                yield slice(start + half, start + len(frames)), self._repeated(second)
            else:
                yield slice(start, start + step), self._repeated(workspace(self._mapped(frames)))
        spare.append(workspace)

    def _mapped(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Return frames (m, n_source) as maps, with the sums of sources that share their taps."""
        return _merged(frames.reshape(-1, *self._source_shape), self._y, self._x)

    def _workspace(self, packed: bool) -> _Product | _Passes:
        y, x = self._y, self._x
        kind = Windows if y.even is not None and x.even is not None else Selection
        gather = kind(y, x, n_frames=self._frames, n_channels=self._taps.shape[2], packed=packed)
        joined = np.asarray(self._taps.any(axis=(0, 1)))
        is_single = np.count_nonzero(joined, axis=0).max(initial=0) <= 1
        many = len(joined) >= _MANY_CHANNELS or self._taps.shape[:2] == (1, 1)
        if is_single and many:
            return _Passes(gather, self._taps)
        return _Product(gather, self._taps, n_frames=self._frames)

    def _repeated(self, sums: Maps) -> Maps:
        """Give targets that share all their taps the same sum."""
        if self._y.repeat is not None:
            sums = sums[:, :, self._y.repeat]
        if self._x.repeat is not None:
            sums = sums[:, :, :, self._x.repeat]
        return sums


def _merged(maps: NDArray[Any], y: Axis, x: Axis) -> NDArray[Any]:
    """Sum the sources that share all their taps."""
    if x.merge is not None:
        maps = maps.astype(np.float32) @ x.merge
    if y.merge is not None:
        maps = y.merge.T @ maps.astype(np.float32)
    return maps


class _Product:
    """Windows times a matrix, or one for each group of channels."""

    def __init__(self, gather: Windows | Selection, taps: Maps, *, n_frames: int) -> None:
        self._gather = gather
        n_in, n_out = taps.shape[2:]
        n_groups = _groups_of(np.asarray(taps.any(axis=(0, 1))))
        size = n_in // n_groups
        blocks = [
            part[:, g * size : (g + 1) * size].reshape(len(part), -1)
            for g, part in enumerate(np.split(taps.transpose(3, 2, 0, 1), n_groups))
        ]
        self._matrix = np.ascontiguousarray(np.stack(blocks))
        height, n_columns = gather.shape
        # What lies between the windows is never wanted, but parted as well: it begins as zeros.
        self._out = np.zeros(
            (n_frames, n_groups, n_out // n_groups, height * gather.width), np.float32
        )
        self._second, self._left = np.empty_like(self._out), np.empty_like(self._out)
        by_position = (n_frames, n_out, height, gather.width)
        self._sums = self._out.reshape(by_position)[..., :n_columns]
        self._second_sums = self._second.reshape(by_position)[..., :n_columns]

    def __call__(self, maps: NDArray[Any]) -> Maps:
        """Return the sums (m, O, P, Q) of maps (m, C, H, W); a view that the next call changes."""
        self._multiply(maps)
        return self._sums[: len(maps)]

    def pairs(self, maps: NDArray[Any], unit: int) -> tuple[Maps, Maps]:
        """Return the sums of the first frames, and those of the second, of pairs of maps."""
        self._multiply(maps)
        first, second, spare = (a[: len(maps)] for a in (self._out, self._second, self._left))
        part(first, second, spare, unit)
        np.multiply(second, np.float32(unit), out=second)
        return self._sums[: len(maps)], self._second_sums[: len(maps)]

    def _multiply(self, maps: NDArray[Any]) -> None:
        """Write the sums of runs of windows."""
        n_frames = len(maps)
        self._gather.fill(maps)
        columns = self._gather.columns(n_frames)
        length = columns.shape[2]
        grouped = columns.reshape(n_frames, len(self._matrix), -1, length)
        np.matmul(self._matrix, grouped, out=self._out[:n_frames, ..., :length])


class _Passes:
    """A pass over the windows for each tap, where each target channel has one source channel."""

    def __init__(self, gather: Windows | Selection, taps: Maps) -> None:
        self._gather = gather
        self._source = taps.any(axis=(0, 1)).argmax(axis=0)
        self._is_same = np.array_equal(self._source, np.arange(taps.shape[2]))
        own = taps[:, :, self._source, np.arange(taps.shape[3])]
        self._weight = own[..., None, None]

    def __call__(self, maps: NDArray[Any]) -> Maps:
        """Return the sums (m, O, P, Q) of maps (m, C, H, W)."""
        self._gather.fill(maps)
        windows = self._gather.views(len(maps))
        if not self._is_same:
            windows = windows[:, self._source]
        n_rows, n_columns = self._weight.shape[:2]
        total = windows[:, :, 0, 0] * self._weight[0, 0]
        product = np.empty_like(total)
        for tap in range(1, n_rows * n_columns):
            row, column = divmod(tap, n_columns)
            np.multiply(windows[:, :, row, column], self._weight[row, column], out=product)
            np.add(total, product, out=total)
        return total


def _groups_of(joined: NDArray[np.bool_]) -> int:
    """Return into how many equal blocks along the diagonal the channels (C, O) fall."""
    n_in, n_out = joined.shape
    common = gcd(n_in, n_out)
    for n_groups in range(common, 1, -1):
        if common % n_groups == 0:
            apart = (np.arange(n_in) // (n_in // n_groups))[:, None] != (
                np.arange(n_out) // (n_out // n_groups)
            )
            if not joined[apart].any():
                return n_groups
    return 1
