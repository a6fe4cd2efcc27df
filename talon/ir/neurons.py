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

Two options are there because some neurons of snnTorch do so. With ``reset_drops_drive`` a late
reset to a value comes after the drive: ``v = v_reset`` where ``f``, else ``base``. With
``double_threshold`` the threshold of a timestep that begins above it is twice as high, for neurons
with a reset by subtraction at once: ``f = compare(v before the timestep)``,
``s = compare(base - f*v_threshold)``, ``v = base - s*v_threshold``.

With ``max_spikes`` above 1, for thresholds above 0 and a reset at once, a neuron gives the number
of whole thresholds: ``s = floor(base/v_threshold)``, or ``ceil(base/v_threshold) - 1`` if
``strict``, from 0 to ``max_spikes``. A reset by subtraction takes ``s*v_threshold``.
"""

from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, cast

import numpy as np

from talon.ir.checks import ParameterError, check_bool, check_choice, check_everywhere, check_int
from talon.ir.node import ARRAY, register_node
from talon.ir.population import UNSET, Population, is_unset
from talon.ir.types import Array, ResetMode, Shape

RESET_MODES = ("zero", "subtract", "none")
_EXTENSIONS = frozenset(
    {
        *("v_reset", "reset", "reset_delay", "strict"),
        *("reset_drops_drive", "double_threshold", "max_spikes"),
    }
)
_ZEROS = bytes(1 << 16)
OMITTED = _EXTENSIONS - {"v_reset"}
"""Fields of neurons that are left out while they have their defaults."""


def check_tau(name: str, tau: Array, *, without_leak: str | None = None) -> None:
    """Raise unless time constants are finite and at least one timestep."""
    rule = f"finite (for neurons without leak use {without_leak})" if without_leak else "finite"
    check_everywhere(name, rule, tau, np.asarray(tau < np.inf))
    check_everywhere(name, ">= 1 timestep", tau, np.asarray(tau >= 1))


def is_zero(array: Array) -> bool:
    """Tell whether all values of an array are zero, -0.0 included."""
    if is_unset(array):
        return True
    # Comparing memory is quicker than numbers; what it does not find is looked at once more.
    memory: Any = array
    try:
        if _ZEROS.startswith(memory):
            return True
    except (BufferError, ValueError):  # it is strided
        pass
    return not np.count_nonzero(array)


class Neuron(Population):
    """What all spiking neurons share; the fields belong to the subclasses."""

    r: Array
    v_threshold: Array
    v_reset: Array
    reset: ResetMode
    reset_delay: bool
    strict: bool
    reset_drops_drive: bool
    double_threshold: bool
    max_spikes: int

    def _check_neuron(self, *, unchecked: frozenset[str] = frozenset()) -> None:
        kind = type(self).__name__
        self._check_population(unchecked=unchecked)
        self.reset = cast("ResetMode", check_choice(f"{kind}.reset", self.reset, RESET_MODES))
        for name in ("reset_delay", "strict", "reset_drops_drive", "double_threshold"):
            setattr(self, name, check_bool(f"{kind}.{name}", getattr(self, name)))
        self._check_option("reset_drops_drive", reset="zero", reset_delay=True)
        self._check_option("double_threshold", reset="subtract", reset_delay=False)
        self.max_spikes = check_int(f"{kind}.max_spikes", self.max_spikes, 1)
        if self.max_spikes > 1:
            self._check_counting()

    def _check_counting(self) -> None:
        """Raise if neurons that fire several times in a timestep do not reset at once."""
        kind, rule = type(self).__name__, "> 0 for max_spikes above 1"
        if self.reset_delay or self.double_threshold:
            raise ParameterError(
                f"{kind}.max_spikes above 1 needs reset_delay=False and double_threshold=False"
            )
        above = np.asarray(self.v_threshold > 0)
        check_everywhere(f"{kind}.v_threshold", rule, self.v_threshold, above)

    def _check_option(self, name: str, *, reset: ResetMode, reset_delay: bool) -> None:
        """Raise if an option is set beside a reset that it does not belong to."""
        if getattr(self, name) and (self.reset, self.reset_delay) != (reset, reset_delay):
            raise ParameterError(
                f"{type(self).__name__}.{name} needs reset={reset!r} and reset_delay={reset_delay},"
                f" got reset={self.reset!r} and reset_delay={self.reset_delay}"
            )

    def is_omitted(self, name: str, value: object) -> bool:
        """Leave out what a documented neuron does not have while it changes nothing."""
        if name == "v_reset":
            return is_zero(self.v_reset)
        return super().is_omitted(name, value)


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
        Potentials after a reset to a value; if not given, zeros that are one number in memory: they
        cannot be written to, only be replaced as a whole.
    reset
        ``"zero"`` (to ``v_reset``), ``"subtract"`` (of the threshold) or ``"none"``.
    reset_delay
        Whether the reset comes one timestep after the spike.
    strict
        Whether a neuron fires only above its threshold, not at it.
    reset_drops_drive, double_threshold, max_spikes
        As at the head of this module.
    """

    tau: Array = field(metadata=ARRAY)
    r: Array = field(metadata=ARRAY)
    v_leak: Array = field(metadata=ARRAY)
    v_threshold: Array = field(metadata=ARRAY)
    _: KW_ONLY
    v_reset: Array = field(default=UNSET, metadata=ARRAY)
    reset: ResetMode = "zero"
    reset_delay: bool = False
    strict: bool = False
    reset_drops_drive: bool = False
    double_threshold: bool = False
    max_spikes: int = 1
    input_type: Shape | None = None
    output_type: Shape | None = None

    parameter_names: ClassVar[tuple[str, ...]] = ("tau", "r", "v_leak", "v_threshold", "v_reset")
    omitted_defaults: ClassVar[frozenset[str]] = OMITTED
    extension_fields: ClassVar[frozenset[str]] = _EXTENSIONS

    def __post_init__(self) -> None:
        super().__post_init__()
        self._fill("v_reset", 0.0, like="v_threshold")
        self._check_neuron(unchecked=frozenset({"tau"}))
        check_tau("LIF.tau", self.tau, without_leak="IF")


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
    v_reset, reset, reset_delay, strict, reset_drops_drive, double_threshold, max_spikes
        As in :class:`LIF`.
    """

    v_threshold: Array = field(metadata=ARRAY)
    _: KW_ONLY
    r: Array = field(default=UNSET, metadata=ARRAY)
    v_reset: Array = field(default=UNSET, metadata=ARRAY)
    reset: ResetMode = "zero"
    reset_delay: bool = False
    strict: bool = False
    reset_drops_drive: bool = False
    double_threshold: bool = False
    max_spikes: int = 1
    input_type: Shape | None = None
    output_type: Shape | None = None

    parameter_names: ClassVar[tuple[str, ...]] = ("v_threshold", "r", "v_reset")
    omitted_defaults: ClassVar[frozenset[str]] = OMITTED
    extension_fields: ClassVar[frozenset[str]] = _EXTENSIONS | {"r"}

    def __post_init__(self) -> None:
        super().__post_init__()
        self._fill("r", 1.0, like="v_threshold")
        self._fill("v_reset", 0.0, like="v_threshold")
        self._check_neuron()

    def is_omitted(self, name: str, value: object) -> bool:
        """Leave out gains of one as well."""
        if name == "r":
            return bool(np.all(self.r == 1))
        return super().is_omitted(name, value)
