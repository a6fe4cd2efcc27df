"""Spiking neurons and the one definition of their dynamics.

With ``x`` the input current and ``v`` the membrane potential, zero before the first timestep:

=========  ==================================================================================
``LIF``    ``beta = 1 - 1/tau``; ``d = (1-beta)*(v_leak + r*x)``; ``base = beta*v + d``
``IF``     ``d = r*x``; ``base = v + d``
=========  ==================================================================================

A neuron compares with ``>=``, or with ``>`` if ``strict``. The reset then is

============  ====================================  ==============================================
``reset``     at once (``reset_delay=False``)       one timestep later (``reset_delay=True``)
============  ====================================  ==============================================
``zero``      ``v = v_reset`` where ``s``           ``v = v_reset + d`` where ``f``, else ``base``
``subtract``  ``v = base - v_threshold`` where      ``v = base - v_threshold`` where ``f``,
              ``s``                                 else ``base``
``none``      ``v = base``                          ``v = base``
============  ====================================  ==============================================

At once: ``s = compare(base)``. One timestep later: ``f = compare(v before the timestep)``,
``s = compare(v)``, and the potential that is kept is not reset.
"""

from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar, cast

import numpy as np

from talon.ir.checks import (
    ParameterError,
    check_array,
    check_bool,
    check_choice,
    check_everywhere,
    check_finite,
    port_shape,
)
from talon.ir.node import ARRAY, Node, register_node
from talon.ir.types import Array, Dims, ResetMode, Shape

RESET_MODES = ("zero", "subtract", "none")
_UNSET = cast("Array", None)
_EXTENSIONS = frozenset({"v_reset", "reset", "reset_delay", "strict"})


class Neuron(Node):
    """What :class:`LIF` and :class:`IF` share; the fields belong to the subclasses."""

    r: Array
    v_threshold: Array
    v_reset: Array
    reset: ResetMode
    reset_delay: bool
    strict: bool
    input_type: Shape | None
    output_type: Shape | None

    parameter_names: ClassVar[tuple[str, ...]] = ()

    @property
    def parameter_shape(self) -> Dims:
        """Shape that all parameters have."""
        return self.v_threshold.shape

    def _check_neuron(self) -> None:
        kind = type(self).__name__
        given = {name: getattr(self, name) for name in self.parameter_names}
        arrays = {name: check_array(f"{kind}.{name}", value) for name, value in given.items()}
        shapes = {name: array.shape for name, array in arrays.items()}
        if len(set(shapes.values())) != 1:
            listed = ", ".join(f"{name}={shape}" for name, shape in shapes.items())
            raise ParameterError(f"All {kind} parameters must have same shape, got: {listed}")
        if self.v_threshold.size < 1:
            raise ParameterError(f"{kind} neuron count must be >= 1, got {self.v_threshold.size}")
        for name, array in arrays.items():
            if name != "tau":
                check_finite(f"{kind}.{name}", array)
        self.reset = cast("ResetMode", check_choice(f"{kind}.reset", self.reset, RESET_MODES))
        self.reset_delay = check_bool(f"{kind}.reset_delay", self.reset_delay)
        self.strict = check_bool(f"{kind}.strict", self.strict)
        shape = self.parameter_shape or (1,)
        self.input_type = self.input_type or port_shape("input", shape)
        declared = super().required_shape()
        if declared is not None:
            try:
                self.output_type = port_shape("output", self.output_shape(declared))
            except ParameterError as exc:
                raise ParameterError(f"{kind} {exc}, but input_type is {declared}") from None

    def _fill(self, name: str, value: float) -> None:
        if getattr(self, name) is None and isinstance(self.v_threshold, np.ndarray):
            setattr(self, name, np.full(self.v_threshold.shape, value, np.float32))

    def is_omitted(self, name: str, value: object) -> bool:
        """Leave out what a documented neuron does not have while it changes nothing."""
        if name == "v_reset":
            return not np.count_nonzero(self.v_reset)
        return super().is_omitted(name, value)

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``shape`` if the parameters fit it, one a neuron or one a channel."""
        self.broadcast(self.v_threshold, shape)
        return shape

    def required_shape(self) -> Dims | None:
        """Return nothing: the parameters decide, see :meth:`output_shape`."""
        return None

    def broadcast(self, parameter: Array, shape: Dims) -> Array:
        """Return one value for every neuron of a feature shape.

        The parameter has one value in all, the feature shape, its length ``C*H*W``, or one value
        for each channel of ``(C, H, W)``.
        """
        if parameter.shape == shape:
            return parameter
        if parameter.ndim == 0 or parameter.size == int(np.prod(shape)):
            return np.broadcast_to(parameter.reshape(shape if parameter.ndim else ()), shape)
        if parameter.ndim == 1 and len(shape) > 1 and parameter.size == shape[0]:
            return np.broadcast_to(parameter.reshape(-1, *(1,) * (len(shape) - 1)), shape)
        raise ParameterError(f"has parameters of shape {parameter.shape}")


@register_node
@dataclass(eq=False, repr=False)
class LIF(Neuron):
    """Leaky integrate-and-fire neurons; the dynamics are stated at the head of this module.

    Parameters
    ----------
    tau
        Time constants in timesteps, at least 1.
    r
        Membrane resistances.
    v_leak
        Potentials to which the neurons leak.
    v_threshold
        Firing thresholds.
    v_reset
        Potentials after a reset to a value; zeros if not given.
    reset
        ``"zero"`` (to ``v_reset``), ``"subtract"`` (of the threshold) or ``"none"``.
    reset_delay
        Whether the reset comes one timestep after the spike.
    strict
        Whether a neuron fires only above its threshold, not at it.
    """

    tau: Array = field(metadata=ARRAY)
    r: Array = field(metadata=ARRAY)
    v_leak: Array = field(metadata=ARRAY)
    v_threshold: Array = field(metadata=ARRAY)
    _: KW_ONLY
    v_reset: Array = field(default=_UNSET, metadata=ARRAY)
    reset: ResetMode = "zero"
    reset_delay: bool = False
    strict: bool = False
    input_type: Shape | None = None
    output_type: Shape | None = None

    parameter_names: ClassVar[tuple[str, ...]] = ("tau", "r", "v_leak", "v_threshold", "v_reset")
    omitted_defaults: ClassVar[frozenset[str]] = frozenset({"reset", "reset_delay", "strict"})
    extension_fields: ClassVar[frozenset[str]] = _EXTENSIONS

    def __post_init__(self) -> None:
        super().__post_init__()
        self._fill("v_reset", 0.0)
        self._check_neuron()
        tau = self.tau
        check_everywhere(
            "LIF.tau", "finite (for neurons without leak use IF)", tau, np.asarray(tau < np.inf)
        )
        check_everywhere("LIF.tau", ">= 1 timestep", tau, np.asarray(tau >= 1))


@register_node
@dataclass(eq=False, repr=False)
class IF(Neuron):
    """Integrate-and-fire neurons without leak; dynamics at the head of this module.

    Parameters
    ----------
    v_threshold
        Firing thresholds.
    r
        Input gains; ones if not given.
    v_reset, reset, reset_delay, strict
        As in :class:`LIF`.
    """

    v_threshold: Array = field(metadata=ARRAY)
    _: KW_ONLY
    r: Array = field(default=_UNSET, metadata=ARRAY)
    v_reset: Array = field(default=_UNSET, metadata=ARRAY)
    reset: ResetMode = "zero"
    reset_delay: bool = False
    strict: bool = False
    input_type: Shape | None = None
    output_type: Shape | None = None

    parameter_names: ClassVar[tuple[str, ...]] = ("v_threshold", "r", "v_reset")
    omitted_defaults: ClassVar[frozenset[str]] = frozenset({"reset", "reset_delay", "strict"})
    extension_fields: ClassVar[frozenset[str]] = _EXTENSIONS | {"r"}

    def __post_init__(self) -> None:
        super().__post_init__()
        self._fill("r", 1.0)
        self._fill("v_reset", 0.0)
        self._check_neuron()

    def is_omitted(self, name: str, value: object) -> bool:
        """Leave out gains of one as well."""
        if name == "r":
            return bool(np.all(self.r == 1))
        return super().is_omitted(name, value)
