"""Spiking neurons with a synaptic current, the second state variable.

With ``x`` the input, ``i`` the current and ``v`` the membrane potential, zero before the first
timestep:

===========  ================================================================================
``CubaLIF``  ``alpha = 1 - 1/tau_syn``; ``i = alpha*i + (1-alpha)*w_in*x``;
             ``beta = 1 - 1/tau_mem``; ``d = (1-beta)*(v_leak + r*i)``; ``base = beta*v + d``
===========  ================================================================================

The new current acts in the same timestep. From ``d`` and ``base`` on all is as in
:mod:`talon.ir.neurons`; a reset leaves the current as it is.
"""

from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar

import numpy as np

from talon.ir.neurons import OMITTED, Neuron, check_tau
from talon.ir.node import ARRAY, register_node
from talon.ir.population import UNSET
from talon.ir.types import Array, ResetMode, Shape


@register_node
@dataclass(eq=False, repr=False)
class CubaLIF(Neuron):
    """Leaky integrate-and-fire neurons with a current that decays; dynamics at the module's head.

    The name is NIR's (current-based LIF); snnTorch calls them ``Synaptic``.

    Parameters
    ----------
    tau_syn, tau_mem
        Time constants of current and potential in timesteps, at least 1.
    r, v_leak, v_threshold
        As in :class:`~talon.ir.LIF`.
    w_in
        Gains of the input; ones if not given.
    v_reset, reset, reset_delay, strict, reset_drops_drive, double_threshold, max_spikes
        As in :class:`~talon.ir.LIF`.
    """

    tau_syn: Array = field(metadata=ARRAY)
    tau_mem: Array = field(metadata=ARRAY)
    r: Array = field(metadata=ARRAY)
    v_leak: Array = field(metadata=ARRAY)
    v_threshold: Array = field(metadata=ARRAY)
    _: KW_ONLY
    w_in: Array = field(default=UNSET, metadata=ARRAY)
    v_reset: Array = field(default=UNSET, metadata=ARRAY)
    reset: ResetMode = "zero"
    reset_delay: bool = False
    strict: bool = False
    reset_drops_drive: bool = False
    double_threshold: bool = False
    max_spikes: int = 1
    input_type: Shape | None = None
    output_type: Shape | None = None

    parameter_names: ClassVar[tuple[str, ...]] = (
        "tau_syn",
        "tau_mem",
        "r",
        "v_leak",
        "v_threshold",
        "w_in",
        "v_reset",
    )
    omitted_defaults: ClassVar[frozenset[str]] = OMITTED
    is_extension: ClassVar[bool] = True
    n_states: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        self._fill("w_in", 1.0, like="v_threshold")
        self._fill("v_reset", 0.0, like="v_threshold")
        self._check_neuron(unchecked=frozenset({"tau_syn", "tau_mem"}))
        for name in ("tau_syn", "tau_mem"):
            check_tau(f"CubaLIF.{name}", getattr(self, name))

    def is_omitted(self, name: str, value: object) -> bool:
        """Leave out gains of one as well."""
        if name == "w_in":
            return bool(np.all(self.w_in == 1))
        return super().is_omitted(name, value)
