"""Samples into transfers: whole samples, as many as there is room for.

NumPy and the standard library only: this travels to the board.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.image.maps import lines_of

Payloads = NDArray[np.integer[Any]]


def sample_sizes(manifest: Mapping[str, Any], inputs: Mapping[str, Payloads]) -> NDArray[np.int64]:
    """Return how many words each sample (B,) becomes.

    Parameters
    ----------
    manifest
        Of the image.
    inputs
        Payloads (T, B, n) of every input port, as
        :meth:`talon.image.stream.InputStream.check` found them to be right.
    """
    n_steps, n_samples = next(iter(inputs.values())).shape[:2]
    sizes = np.full(n_samples, n_steps * len(manifest["host_tokens"]) + 1, np.int64)
    for port in manifest["inputs"]:
        n_routes = np.zeros(int(np.prod(port["shape"])), np.int64)
        for route in port["routes"]:
            n_routes += lines_of(route, port["shape"])[0]
        steps = inputs[port["name"]]
        for step in steps[:1] if port.get("once", False) else steps:
            sizes += (step != 0) @ n_routes  # one at a time: flags of all would be another copy
    return sizes


def batches(
    sizes: NDArray[np.int64], *, room: int, limit: int, most: int | None = None
) -> Iterator[slice]:
    """Yield the samples of each transfer, in order; a sample that is too large stands alone.

    Parameters
    ----------
    sizes
        Words to send for each sample (B,).
    room
        Words that a sample may be answered with, at most.
    limit
        Words of a transfer, in either direction.
    most
        Samples of a transfer; any number if not given.
    """
    ends = np.cumsum(sizes)
    n_most = max(1, min(limit // room, sizes.size if most is None else most))
    start = 0
    while start < sizes.size:
        before = int(ends[start - 1]) if start else 0
        fit = int(np.searchsorted(ends, before + limit, side="right"))
        stop = max(start + 1, min(fit, start + n_most))
        yield slice(start, stop)
        start = stop
