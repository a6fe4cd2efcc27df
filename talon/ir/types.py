"""Names for the kinds of data that a network is made of."""

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
FloatArray: TypeAlias = NDArray[np.floating[Any]]
BoolArray: TypeAlias = NDArray[np.bool_]

Dims: TypeAlias = tuple[int, ...]
"""A feature shape without batch and without time."""

Shape: TypeAlias = dict[str, NDArray[np.int64]]
"""Shapes by port name, as ``input_type`` and ``output_type`` hold them."""

Edge: TypeAlias = tuple[str, str]
Edges: TypeAlias = list[Edge]
Delays: TypeAlias = dict[Edge, int]

SpikeMode: TypeAlias = Literal["binary", "graded", "rate"]
SkipType: TypeAlias = Literal["residual", "concatenate", "passthrough", "add", "concat", "identity"]
ResetMode: TypeAlias = Literal["zero", "subtract", "none"]
