"""Features that are late by times of their own."""

import numpy as np

from talon.ir import Delay
from talon.ir.types import Dims, FloatArray


class DelayLine:
    """What a :class:`~talon.ir.Delay` holds back for some samples.

    Parameters
    ----------
    node, shape
        The node and its feature shape.
    n_samples
        Number of samples.
    dtype
        Floating point type of the values.
    """

    def __init__(self, node: Delay, shape: Dims, n_samples: int, dtype: np.dtype) -> None:
        delays = node.broadcast(node.delay, shape)
        self._groups = [(int(d), np.asarray(delays == d)) for d in np.unique(delays)]
        self._longest = max(d for d, _ in self._groups)
        self._past: FloatArray = np.zeros((0, n_samples, *shape), dtype)

    def run(self, x: FloatArray) -> FloatArray:
        """Return what comes out in the timesteps of ``x``, ``(n_steps, n_samples, *shape)``.

        It holds back no more timesteps than there were, however long a delay is.
        """
        known = np.concatenate((self._past, x)) if len(self._past) else x
        n_past = len(self._past)
        y = np.zeros_like(x)
        for delay, where in self._groups:
            first = min(max(delay - n_past, 0), len(x))  # zero before the first timestep
            at = slice(n_past + first - delay, max(n_past + len(x) - delay, 0))
            if len(self._groups) == 1:
                y[first:] = known[at]
            elif first < len(x):
                y[first:, :, where] = known[at][:, :, where]
        self._past = known[max(0, len(known) - self._longest) :].copy()
        return y
