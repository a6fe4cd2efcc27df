"""From values to payloads: the one place where an input is quantized.

Compiler, golden model and drivers share it, so that every target sees the same integers. The rule
stands in ``docs/reference/numerics.md``: round half to even, then saturate to the largest payload.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from talon.compiler.hoist import held_inputs
from talon.compiler.network import InputPort, IntNetwork
from talon.errors import QuantizationError

_CHUNK = 1 << 17
"""Values looked at at a time: they stay in the second-level cache."""


def quantize_inputs(
    network: IntNetwork, inputs: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[np.int8 | np.int16]]:
    """Return the payloads of all inputs, by name, of shape (T, B, n).

    Parameters
    ----------
    network
        Says name, shape, scale and range of each input.
    inputs
        Values of shape (T, B, *shape) or (T, B, n), floats, integers or booleans. An array that
        repeats one frame by a zero stride over time (``np.broadcast_to``) is quantized once.

    Raises
    ------
    ValueError
        An input is missing or unknown, or has another shape.
    QuantizationError
        A value is not finite, or the port cannot express it: anything but 0 and 1 on a port of
        spikes, a negative value on an unsigned port; or an input changes that must be held.
    """
    ports = {port.name: port for port in network.inputs}
    if set(inputs) != set(ports):
        raise ValueError(f"Inputs must be {sorted(ports)}, not {sorted(inputs)}")
    payloads = {name: quantize_port(port, inputs[name]) for name, port in ports.items()}
    for name in sorted(held_inputs(network)):
        frames = payloads[name]
        if len(frames) > 1 and frames.strides[0] and (frames[1:] != frames[:1]).any():
            raise QuantizationError(
                f"Input {name!r} must be the same in every timestep, since the program computes "
                "once what depends on it; give held frames (layout='images'), or compile with "
                "hoist=False (--no-hoist)"
            )
    shapes = {payload.shape[:2] for payload in payloads.values()}
    if len(shapes) > 1:
        given = {name: payload.shape[:2] for name, payload in payloads.items()}
        raise ValueError(f"Inputs must have the same timesteps and samples, not {given}")
    return payloads


def quantize_port(port: InputPort, values: NDArray[Any]) -> NDArray[np.int8 | np.int16]:
    """Return the payloads of one input, of shape (T, B, n)."""
    values = np.asarray(values)
    if values.dtype.kind not in "fiub":
        raise ValueError(f"Input {port.name!r} must hold real numbers, not the type {values.dtype}")
    if values.ndim < 3 or values.shape[2:] not in (port.shape, (port.n,)):
        raise ValueError(
            f"Input {port.name!r} must have the shape (T, B, {_listed(port.shape)}), "
            f"not {values.shape}"
        )
    n_steps, n_samples = values.shape[:2]
    held = n_steps > 1 and values.strides[0] == 0
    frames = (values[:1] if held else values).reshape(-1, n_samples, port.n)
    payloads = _quantize_spikes(port, frames) if port.payload_max == 1 else _quantize(port, frames)
    return np.broadcast_to(payloads, (n_steps, n_samples, port.n)) if held else payloads


def _quantize(port: InputPort, frames: NDArray[Any]) -> NDArray[np.int16]:
    _check_finite(port, frames)
    if not port.signed and frames.size and frames.min() < 0:
        raise QuantizationError(
            f"Input {port.name!r} takes no negative values, but has {frames.min():g}; "
            "calibrate with samples that hold negative values"
        )
    scaled = np.rint(frames.astype(np.float64) / port.scale)
    return np.clip(scaled, -port.payload_max, port.payload_max).astype(np.int16)


def _quantize_spikes(port: InputPort, frames: NDArray[Any]) -> NDArray[np.int8]:
    payloads = np.empty(frames.shape, np.int8)
    chunk = max(1, _CHUNK // max(1, frames[:1].size))
    one = frames.dtype.type(port.scale)
    for start in range(0, len(frames), chunk):
        values, out = frames[start : start + chunk], payloads[start : start + chunk]
        events = np.equal(values, one, out=out.view(np.bool_))
        if port.signed and frames.dtype.kind in "fi":
            negative = values == -one
            out -= negative.view(np.int8)
            events = events | negative
        if not np.not_equal(events, values == 0).all():
            _refuse(port, values)
    return payloads


def _refuse(port: InputPort, values: NDArray[Any]) -> NoReturn:
    _check_finite(port, values)
    expressible = (values == 0) | (values == port.scale)
    if port.signed:
        expressible |= values == -port.scale
    rule = "-1, 0 or 1" if port.signed else "0 or 1"
    raise QuantizationError(
        f"Input {port.name!r} takes spikes, {rule} (times its scale {port.scale!r}), but has "
        f"{values[~expressible].flat[0]:g}; compile with calibration samples (--calibrate) to "
        "have graded inputs, or encode the values as spikes"
    )


def _check_finite(port: InputPort, frames: NDArray[Any]) -> None:
    if frames.dtype.kind == "f" and not np.isfinite(frames).all():
        raise QuantizationError(f"Input {port.name!r} has values that are not finite")


def _listed(shape: tuple[int, ...]) -> str:
    return ", ".join(str(size) for size in shape)
