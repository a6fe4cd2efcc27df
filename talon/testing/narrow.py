"""Networks of eight-bit weights for arrays whose weights are narrower."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.params import ArrayParams
from talon.compiler.network import IntNetwork, Projection


def narrowed(network: IntNetwork, params: ArrayParams) -> IntNetwork:
    """Return the network with weights that the array has; none becomes zero.

    Parameters
    ----------
    network
        Any network.
    params
        The array. If its weights have eight bits the network is returned as it is.
    """
    if not params.int4:
        return network
    projections = tuple(_narrowed(p, params.weight_max) for p in network.projections)
    return replace(network, projections=projections)


def _narrowed(projection: Projection, most: int) -> Projection:
    weight: Any = projection.weight
    values = _scaled(projection.values, most)
    if isinstance(weight, np.ndarray):
        return replace(projection, weight=values)
    field = "taps" if hasattr(weight, "taps") else "value"
    return replace(projection, weight=replace(weight, **{field: values}))


def _scaled(values: NDArray[np.int8], most: int) -> NDArray[np.int8]:
    scaled = np.ceil(np.abs(values.astype(np.float64)) * most / 127)
    return (np.sign(values) * np.minimum(scaled, most)).astype(np.int8)
