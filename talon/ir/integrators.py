"""Neurons that do not spike: their output is the membrane potential after the timestep.

With ``x`` the input and ``v`` the membrane potential, zero before the first timestep:

==========  =================================================================================
``I``       ``v = v + r*x``
``LI``      ``beta = 1 - 1/tau``; ``v = beta*v + (1-beta)*(v_leak + r*x)``
``CubaLI``  ``alpha = 1 - 1/tau_syn``; ``i = alpha*i + (1-alpha)*w_in*x``;
            ``beta = 1 - 1/tau_mem``; ``v = beta*v + (1-beta)*(v_leak + r*i)``
==========  =================================================================================

They read out a network: a class is the neuron of the largest potential.
"""

from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar

import numpy as np

from talon.ir.neurons import check_tau
from talon.ir.node import ARRAY, register_node
from talon.ir.population import UNSET, Population
from talon.ir.types import Array, Shape


class Integrator(Population):
    """What these neurons share."""

    is_extension: ClassVar[bool] = True


@register_node
@dataclass(eq=False, repr=False)
class I(Integrator):  # noqa: E742 - the name that NIR gives it
    """Integrators without leak; dynamics at the head of this module.

    Parameters
    ----------
    r
        Input gains.
    """

    r: Array = field(metadata=ARRAY)
    _: KW_ONLY
    input_type: Shape | None = None
    output_type: Shape | None = None

    parameter_names: ClassVar[tuple[str, ...]] = ("r",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_population()


@register_node
@dataclass(eq=False, repr=False)
class LI(Integrator):
    """Leaky integrators; dynamics at the head of this module.

    Parameters
    ----------
    tau
        Time constants in timesteps, at least 1.
    r
        Membrane resistances.
    v_leak
        Potentials to which the neurons leak.
    """

    tau: Array = field(metadata=ARRAY)
    r: Array = field(metadata=ARRAY)
    v_leak: Array = field(metadata=ARRAY)
    _: KW_ONLY
    input_type: Shape | None = None
    output_type: Shape | None = None

    parameter_names: ClassVar[tuple[str, ...]] = ("tau", "r", "v_leak")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_population(unchecked=frozenset({"tau"}))
        check_tau("LI.tau", self.tau, without_leak="I")


@register_node
@dataclass(eq=False, repr=False)
class CubaLI(Integrator):
    """Leaky integrators with a current that decays; dynamics at the head of this module.

    Parameters
    ----------
    tau_syn, tau_mem
        Time constants of current and potential in timesteps, at least 1.
    r, v_leak
        As in :class:`LI`.
    w_in
        Gains of the input; ones if not given.
    """

    tau_syn: Array = field(metadata=ARRAY)
    tau_mem: Array = field(metadata=ARRAY)
    r: Array = field(metadata=ARRAY)
    v_leak: Array = field(metadata=ARRAY)
    _: KW_ONLY
    w_in: Array = field(default=UNSET, metadata=ARRAY)
    input_type: Shape | None = None
    output_type: Shape | None = None

    parameter_names: ClassVar[tuple[str, ...]] = ("tau_syn", "tau_mem", "r", "v_leak", "w_in")
    n_states: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        self._fill("w_in", 1.0, like="r")
        self._check_population(unchecked=frozenset({"tau_syn", "tau_mem"}))
        for name in ("tau_syn", "tau_mem"):
            check_tau(f"CubaLI.{name}", getattr(self, name))

    def is_omitted(self, name: str, value: object) -> bool:
        """Leave out gains of one."""
        if name == "w_in":
            return bool(np.all(self.w_in == 1))
        return super().is_omitted(name, value)
