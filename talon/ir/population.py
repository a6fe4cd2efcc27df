"""What all nodes with a state for each neuron share: parameters, one a neuron or one a channel."""

from collections.abc import Sequence
from itertools import repeat
from operator import attrgetter, is_
from typing import ClassVar, cast

import numpy as np

from talon.ir.checks import ParameterError, check_array, check_finite, port_shape
from talon.ir.node import Node
from talon.ir.types import Array, Dims, Shape

UNSET = cast("Array", None)
"""Default of a parameter that is filled in with a constant."""

_ZERO = np.zeros((), np.float32)
_ZERO.flags.writeable = False


def unset_zeros(shape: Dims) -> Array:
    """Return zeros that are one number in memory, and so cannot be written to; float32.

    Thousands of layers that all leave a parameter at zero need not hold, compare and hash it.
    """
    return np.ndarray(shape, np.float32, buffer=_ZERO, strides=(0,) * len(shape))


def is_unset(array: Array) -> bool:
    """Tell whether an array is one of :func:`unset_zeros`, or a view of one."""
    return array.base is _ZERO


def all_unset(arrays: Sequence[Array]) -> bool:
    """Tell whether there are arrays, and :func:`is_unset` holds for every one."""
    return bool(arrays) and all(map(is_, map(attrgetter("base"), arrays), repeat(_ZERO)))


class Population(Node):
    """Neurons with parameters that all have one shape; the fields belong to the subclasses."""

    input_type: Shape | None
    output_type: Shape | None

    parameter_names: ClassVar[tuple[str, ...]] = ()
    """The parameters; the first tells their shape where others are not given."""
    n_states: ClassVar[int] = 1
    """State variables of one neuron."""

    @property
    def parameter_shape(self) -> Dims:
        """Shape that all parameters have."""
        return getattr(self, self.parameter_names[0]).shape

    def _check_population(self, *, unchecked: frozenset[str] = frozenset()) -> None:
        """Check all parameters; those ``unchecked`` may be infinite."""
        kind = type(self).__name__
        given = {name: getattr(self, name) for name in self.parameter_names}
        arrays = {name: check_array(f"{kind}.{name}", value) for name, value in given.items()}
        shapes = {name: array.shape for name, array in arrays.items()}
        if len(set(shapes.values())) != 1:
            listed = ", ".join(f"{name}={shape}" for name, shape in shapes.items())
            raise ParameterError(f"All {kind} parameters must have same shape, got: {listed}")
        size = arrays[self.parameter_names[0]].size
        if size < 1:
            raise ParameterError(f"{kind} neuron count must be >= 1, got {size}")
        for name, array in arrays.items():
            if name not in unchecked:
                check_finite(f"{kind}.{name}", array)
        shape = self.parameter_shape or (1,)
        self.input_type = self.input_type or port_shape("input", shape)
        declared = super().required_shape()
        if declared is not None:
            try:
                self.output_type = port_shape("output", self.output_shape(declared))
            except ParameterError as exc:
                raise ParameterError(f"{kind} {exc}, but input_type is {declared}") from None

    def _fill(self, name: str, value: float, like: str) -> None:
        """Set a parameter that is not given to a constant, in the shape of another one."""
        model = getattr(self, like)
        if getattr(self, name) is None and isinstance(model, np.ndarray):
            filled = np.full(model.shape, value, np.float32) if value else unset_zeros(model.shape)
            setattr(self, name, filled)

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``shape`` if the parameters fit it, one a neuron or one a channel."""
        parameter: Array = getattr(self, self.parameter_names[0])
        if parameter.shape != shape:
            self.broadcast(parameter, shape)
        return shape

    def required_shape(self) -> Dims | None:
        """Return nothing: the parameters decide, see :meth:`output_shape`."""
        return None

    def broadcast(self, parameter: Array, shape: Dims) -> Array:
        """Return one value for every neuron of a feature shape.

        The parameter has one value in all, the feature shape, its length ``C*H*W``, or one value
        for each channel of ``(C, H, W)``: ``(C,)`` or ``(C, 1, 1)``.
        """
        if parameter.shape == shape:
            return parameter
        if parameter.ndim == 0 or parameter.size == int(np.prod(shape)):
            return np.broadcast_to(parameter.reshape(shape if parameter.ndim else ()), shape)
        channels = (shape[0], *(1,) * (len(shape) - 1))
        if len(shape) > 1 and parameter.shape in ((shape[0],), channels):
            return np.broadcast_to(parameter.reshape(channels), shape)
        raise ParameterError(f"has parameters of shape {parameter.shape}")
