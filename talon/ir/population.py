"""What all nodes with a state for each neuron share: parameters, one a neuron or one a channel."""

from typing import ClassVar, cast

import numpy as np

from talon.ir.checks import ParameterError, check_array, check_finite, port_shape
from talon.ir.node import Node
from talon.ir.types import Array, Dims, Shape

UNSET = cast("Array", None)
"""Default of a parameter that is filled in with a constant."""


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
            setattr(self, name, np.full(model.shape, value, np.float32))

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
