"""What enters a run: payloads of each input, checked and counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler.network import InputPort, IntArray, IntNetwork
from talon_sim.golden.edges import distinct, in_parts


class Ports:
    """The inputs of a network."""

    def __init__(self, network: IntNetwork) -> None:
        self._ports = {
            port.name: _Port(port, is_constant=_holds(network, port.name))
            for port in network.inputs
        }

    def check(self, inputs: Mapping[str, IntArray]) -> tuple[int, int, dict[str, int]]:
        """Return T, B, and how many payloads that are not zero distinct frames of inputs have.

        Raises
        ------
        TypeError, ValueError
            As :meth:`talon_sim.golden.model.GoldenModel.run` says.
        """
        ports = self._ports
        if inputs.keys() != ports.keys():
            raise ValueError(f"Inputs must be {sorted(ports)}, not {sorted(inputs)}")
        shape = next(iter(inputs.values())).shape[:2]
        n_sent = {name: port.check(inputs[name], shape) for name, port in ports.items()}
        return *shape, n_sent


class _Port:
    """One input; ``is_constant`` tells that it is sent in timestep 0 alone."""

    def __init__(self, port: InputPort, *, is_constant: bool) -> None:
        self._name, self._n = port.name, port.n
        self._low, self._high = (-port.payload_max if port.signed else 0), port.payload_max
        self._sends_flags = self._low == 0 and self._high == 1
        self._is_constant = is_constant

    def check(self, payload: IntArray, shape: tuple[int, ...]) -> int:
        """Check the payloads (T, B, n) of a run, and count those that are not zero."""
        if payload.dtype.kind not in "iub":
            raise TypeError(f"Input {self._name!r} must hold integers, not {payload.dtype}")
        if payload.shape != (*shape, self._n):
            raise ValueError(
                f"Input {self._name!r} must have the shape (T, B, {self._n}) with T and B of all "
                f"inputs, not {payload.shape}"
            )
        frames, n_sent = distinct(payload), 0
        are_flags = self._sends_flags and frames.dtype.itemsize == 1
        for part in in_parts(frames):  # each is read once from memory
            if not _is_within(part, self._low, self._high):
                raise ValueError(
                    f"Input {self._name!r} payloads must be between {self._low} and {self._high}, "
                    f"not {frames.min()} to {frames.max()}"
                )
            n_sent += int(np.count_nonzero(part.view(np.bool_) if are_flags else part))
        if self._is_constant:
            _check_constant(self._name, frames)
        return n_sent


def _holds(network: IntNetwork, name: str) -> bool:
    """Tell whether an input is sent in timestep 0 alone: all its projections hold it."""
    holds = [p.hold for p in network.projections if p.source == name]
    return bool(holds) and all(holds)


def _check_constant(name: str, frames: NDArray[Any]) -> None:
    """Require one frame of an input that is sent in timestep 0 alone."""
    changed = np.flatnonzero((frames != frames[:1]).any(axis=(1, 2)))
    if len(changed):
        raise ValueError(
            f"Input {name!r} must be the same in all timesteps, since all its projections "
            f"hold what arrives in timestep 0; it differs in timestep {changed[0]}"
        )


def _is_within(frames: NDArray[Any], low: int, high: int) -> bool:
    """Tell whether all values are within limits; those of the type need not be looked at."""
    kind, bits = frames.dtype.kind, 8 * frames.dtype.itemsize
    if kind == "b" or not frames.size:
        return True
    if kind == "u" and low == 0:
        return high >= (1 << bits) - 1 or bool(np.maximum.reduce(frames, axis=None) <= high)
    return bool(low <= frames.min() and frames.max() <= high)
