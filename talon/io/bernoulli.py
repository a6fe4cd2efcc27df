"""Random spikes of one random byte each, and a sparse correction that makes the rates exact.

A byte below a level fires with a multiple of 1/256, near the probability that is wanted. What is
missing, or too much, is at most one spike in 256: it is set, or taken away, at the points of a
Poisson process. So a value costs a byte instead of the four of a random float, and still fires with
its own probability, independent of all others.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 18
"""Values drawn at a time, a multiple of 8: they and their levels fit the second-level cache.

It decides which bits a value gets: another number is another stream.
"""

_TOGETHER = 16
"""Draws whose corrections are looked for at once; it is part of the stream as well."""

_MOST = -math.log1p(-1 / 256)
"""Largest rate of a correction: one that turns at most one value in 256."""

_SCALE = np.float32(2.0**32 / _MOST)
_LARGEST = np.float32(2**32 - 2**8)

_FEW = 64
"""Where at most one in so many always fires, those are written alone (measured)."""

_PART = 1 << 14
"""Values whose levels are found at a time: what is computed of them stays in the cache."""


class _Levels(NamedTuple):
    level: NDArray[np.uint8]
    sure: NDArray[np.bool_]
    rate: NDArray[np.uint32]
    adds: NDArray[np.bool_]

    def part(self, chosen: slice) -> _Levels:
        return _Levels(self.level[chosen], self.sure[chosen], self.rate[chosen], self.adds[chosen])


def draw_spikes(values: NDArray[Any], scale: float, seed: int | None, out: NDArray[Any]) -> None:
    """Write spikes that fall with given probabilities.

    The random bits are those of NumPy's SFC64, for one block of 2^18 values after the other. A draw
    is of a timestep of a block, or of as many timesteps as fit where there are fewer values; 16
    draws take the numbers of their corrections, the corrections, and then each its bytes.

    Parameters
    ----------
    values
        Finite numbers of shape (n,). Spikes fall with ``values * scale``, clipped to 0 to 1, to
        within 2^-30; 0 never fires and 1 always does.
    scale
        Factor.
    seed
        Makes the result repeatable.
    out
        Receives the spikes, 0 and 1 of any type, shape (n_steps, n).
    """
    bits = np.random.SFC64(seed)
    for start in range(0, len(values), _BLOCK):
        block = slice(start, start + _BLOCK)
        _draw_block(bits, _levels(values[block], scale), out[:, block])


def _levels(values: NDArray[Any], scale: float) -> _Levels:
    shape = values.shape
    made = _Levels(
        np.empty(shape, np.uint8),
        np.empty(shape, np.bool_),
        np.empty(shape, np.uint32),
        np.empty(shape, np.bool_),
    )
    size = min(len(values), _PART)
    doubles, floats = np.empty((2, size)), np.empty((4, size), np.float32)
    for start in range(0, len(values), _PART):
        part = slice(start, min(start + _PART, len(values)))
        n = part.stop - start
        scaled = doubles[0, :n]
        with np.errstate(over="ignore"):  # what is too large for a float is clipped to 1 as well
            np.multiply(values[part], scale, out=scaled, dtype=np.float64)
        if scaled.min() < 0 or scaled.max() > 1:
            np.clip(scaled, 0, 1, out=scaled)
        scaled *= 256
        _write_levels(scaled, made.part(part), doubles[1, :n], floats[:, :n])
    return made


def _write_levels(
    scaled: NDArray[np.float64],
    made: _Levels,
    whole: NDArray[np.float64],
    floats: NDArray[np.float32],
) -> None:
    """Find the levels of 256 times the probabilities, which are overwritten as the last two are.

    Most of the time went into memory for what is computed between, so all of it is given.
    """
    part, level, other, up = floats
    np.floor(scaled, out=whole)
    scaled -= whole
    # From here on 24 bits will do: what they leave out of a correction is below 2^-32.
    part[...], level[...] = scaled, whole
    # Up from the level below or down from the one above: whichever turns fewer values. That is up
    # where part / (256 - level) <= (1 - part) / (level + 1).
    np.multiply(part, np.float32(257), out=other)
    other += level
    np.less_equal(other, np.float32(256), out=made.adds)
    up[...] = made.adds
    down = np.subtract(np.float32(1), up, out=other)
    part -= down
    level += down
    np.equal(level, np.float32(256), out=made.sure)
    np.copyto(made.level, np.minimum(level, np.float32(255), out=other), casting="unsafe")
    # Of those that can be turned, 256 - level or level in 256, the share that is missing.
    up *= np.float32(256)
    up -= level
    can_turn = np.maximum(np.abs(up, out=up), np.float32(1), out=up)
    missing = np.divide(np.abs(part, out=part), can_turn, out=part)
    # -log(1 - missing): three terms are good to 2^-34, since missing is at most 1/256.
    rate = np.multiply(missing, np.float32(1 / 3), out=other)
    rate += np.float32(1 / 2)
    rate *= missing
    rate += np.float32(1)
    rate *= missing
    rate *= _SCALE
    np.copyto(made.rate, np.minimum(rate, _LARGEST, out=rate), casting="unsafe")


def _draw_block(bits: np.random.SFC64, levels: _Levels, out: NDArray[Any]) -> None:
    n = len(levels.level)
    n_steps = max(1, _BLOCK // n)
    sure = np.flatnonzero(levels.sure)
    for first in range(0, len(out), n_steps * _TOGETHER):
        starts = range(first, min(first + n_steps * _TOGETHER, len(out)), n_steps)
        sizes = [n * (min(start + n_steps, len(out)) - start) for start in starts]
        corrections = _corrections(bits, sizes, levels)
        for start, size, (at, fires) in zip(starts, sizes, corrections, strict=True):
            spikes = out[start : start + n_steps]
            drawn = bits.random_raw(-(-size // 8)).astype("<u8", copy=False).view(np.uint8)
            np.less(drawn[:size].reshape(spikes.shape), levels.level, out=spikes)
            if sure.size * _FEW > n:
                np.logical_or(spikes, levels.sure, out=spikes)
            elif sure.size:
                spikes[:, sure] = True
            if n_steps == 1:
                spikes[0][at] = fires
            else:
                spikes[np.divmod(at, n)] = fires


def _corrections(
    bits: np.random.SFC64, sizes: list[int], levels: _Levels
) -> list[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """Return where values of each draw are turned, and into what.

    Points that are Poisson at an even rate and kept by chance are Poisson at each value's own rate:
    x is turned with probability 1 - exp(-rate), which is ``missing`` where the rate is
    -log(1 - missing).
    """
    uniform = bits.random_raw(len(sizes)) * 2.0**-64
    counts = [int(np.searchsorted(_poisson(n), u)) for n, u in zip(sizes, uniform, strict=True)]
    drawn = bits.random_raw(sum(counts))
    size = np.repeat(np.array(sizes, np.uint64), counts)
    at = ((drawn & np.uint64(0xFFFFFFFF)) * size >> np.uint64(32)).astype(np.int64)
    value = at if sizes[0] == len(levels.level) else at % len(levels.level)
    kept = np.flatnonzero((drawn >> np.uint64(32)) < levels.rate.take(value))
    at, fires = at.take(kept), levels.adds.take(value.take(kept))
    ends = np.searchsorted(kept, np.cumsum(counts)).tolist()
    return [(at[a:b], fires[a:b]) for a, b in zip([0, *ends[:-1]], ends, strict=True)]


@lru_cache(maxsize=64)
def _poisson(size: int) -> NDArray[np.float64]:
    """Return the distribution of the number of points among ``size`` values."""
    mean = size * _MOST
    k = np.arange(int(mean + 12 * math.sqrt(mean) + 20))
    factorials = np.cumsum(np.log(np.maximum(k, 1)))
    return np.cumsum(np.exp(k * math.log(mean) - mean - factorials))
