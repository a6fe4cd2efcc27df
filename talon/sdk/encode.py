"""Files of values as files of spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.backend.inputs import InputFile, load_inputs
from talon.errors import TalonError
from talon.io.encoding import delta_encode, latency_encode, rate_encode, temporal_encode


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """Spikes of a file, and all that is written.

    Attributes
    ----------
    spikes
        uint8, timesteps first.
    arrays
        The content of the ``.npz`` file.
    """

    spikes: NDArray[np.uint8]
    arrays: dict[str, NDArray[Any]]


def encode_file(
    path: str,
    code: str,
    *,
    n_steps: int | None = None,
    scale: float = 1.0,
    tau: float = 5.0,
    threshold: float | None = None,
    seed: int = 0,
) -> Encoded:
    """Return the spikes of a file of values.

    Parameters
    ----------
    path
        ``.npz`` or ``.npy``: images, samples first, or for ``"delta"`` a raster, timesteps first.
    code
        ``"rate"``, ``"latency"``, ``"temporal"`` or ``"delta"``.
    n_steps, scale, tau, threshold, seed
        As the encoders of :mod:`talon.io.encoding` take them.

    Raises
    ------
    TalonError
        The file has several inputs or another layout, or timesteps are missing.
    """
    file = load_inputs(path)
    values = _only(file, path, "raster" if code == "delta" else "images")
    if code == "delta":
        spikes = delta_encode(values, 0.1 if threshold is None else threshold, dtype=np.uint8)
    else:
        steps = n_steps or file.n_steps
        if steps is None:
            raise TalonError(f"{path} does not say how many timesteps; give --steps")
        least = 0.01 if threshold is None else threshold
        if code == "rate":
            spikes = rate_encode(values, steps, scale, seed, dtype=np.uint8)
        elif code == "latency":
            spikes = latency_encode(values, steps, tau, least, dtype=np.uint8)
        else:
            spikes = temporal_encode(values, steps, least, dtype=np.uint8)
    arrays: dict[str, NDArray[Any]] = {"spikes": spikes}
    if file.labels is not None:
        arrays["labels"] = file.labels
    return Encoded(spikes=spikes, arrays=arrays)


def _only(file: InputFile, path: str, layout: str) -> NDArray[Any]:
    if file.layout != layout:
        keys = "x or images" if layout == "images" else "raster or spikes"
        raise TalonError(f"{path} has {file.layout}; this code takes a file with {keys}")
    if len(file.arrays) != 1:
        raise TalonError(f"{path} has several inputs, {', '.join(file.arrays)}; encode one a file")
    return next(iter(file.arrays.values()))
