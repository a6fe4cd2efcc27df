"""The golden model: an integer network executed exactly, at the speed of floating-point BLAS.

A stage without feedback runs one matrix product over many timesteps and then its neurons; only
feedback is stepped timestep by timestep. Nothing here rounds: ``synapses`` and ``neurons`` say why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from talon.backend.trace import Trace
from talon.compiler.network import IntArray, IntNetwork, Population
from talon_sim.golden.arrays import Arrays, Slots, potentials_of, spikes_of
from talon_sim.golden.checks import check_network
from talon_sim.golden.edges import count_events
from talon_sim.golden.fast import fast_engine, wants_kernels
from talon_sim.golden.order import plan_of
from talon_sim.golden.ports import Ports
from talon_sim.golden.run import NumpyEngine

if TYPE_CHECKING:
    from talon_sim.golden.stages import Engine


def golden_run(network: IntNetwork, inputs: Mapping[str, IntArray], *, probe: bool = True) -> Trace:
    """Run a network once; see :meth:`GoldenModel.run`."""
    return GoldenModel(network).run(inputs, probe=probe)


class GoldenModel:
    """An integer network, checked and made ready to run.

    The counters of its traces are those of the array as far as they do not depend on the mapping.
    ``sops`` counts for each event the target neurons of a ``dense`` projection, and the weights
    that are not zero for the other forms; ``events`` counts each event once a projection;
    ``spikes``, ``updates`` and ``saturations`` count neurons. Events that are still on their way
    after the last timestep count, since the array delivers them; of a projection that holds, those
    of timestep 0 alone.
    """

    def __init__(self, network: IntNetwork, *, fast: bool | None = None) -> None:
        check_network(network)
        self.network = network
        self._fast = fast
        self._plan = plan_of(network)
        self._engines: dict[bool, Engine] = {}
        self._slots = {probe: Slots(network, probe=probe) for probe in (False, True)}
        self._ports = Ports(network)

    def run(self, inputs: Mapping[str, IntArray], *, probe: bool = True) -> Trace:
        """Run all samples from a state of zero.

        Parameters
        ----------
        inputs
            Payloads of shape (T, B, n) by input; a zero stride over time means a held frame, whose
            currents are computed once.
        probe
            Record spikes and potentials of every population, not of the outputs alone.

        Raises
        ------
        ValueError
            The inputs are not those of the network, or out of range; or one varies over time
            although all its projections hold what arrives in timestep 0.
        """
        n_steps, n_samples, n_sent = self._ports.check(inputs)
        slots = self._slots[probe]
        arrays = slots.arrays(dict(inputs), n_steps, n_samples)
        engine = self._engine_for(n_steps * n_samples)
        counters, of_populations = engine.run(arrays)
        counters |= count_events(engine.every_edge, arrays.sent, n_sent | of_populations)
        return Trace(
            target="golden",
            n_steps=n_steps,
            n_samples=n_samples,
            spikes=_spikes(arrays, slots.observed, probe),
            potentials=_potentials(arrays, slots.observed, probe),
            counters=counters,
        )

    def _engine_for(self, n_frames: int) -> Engine:
        """Return what runs so many timesteps times samples: made once, and compiled if it pays."""
        is_fast = self._fast
        if is_fast is None or is_fast not in self._engines:
            is_fast = wants_kernels(is_fast, self.network, n_frames)
        if is_fast not in self._engines:
            make = fast_engine if is_fast else NumpyEngine
            self._engines[is_fast] = make(self.network, self._plan)
        return self._engines[is_fast]


def _spikes(
    arrays: Arrays, observed: Sequence[Population], probe: bool
) -> dict[str, NDArray[np.bool_ | np.uint8]]:
    """Return who fired; the host gets no spikes of graded outputs, but their values."""
    return {
        p.name: spikes_of(p, arrays.own[p.name])
        for p in observed
        if p.kind in ("spike", "count") or (probe and p.kind == "graded")
    }


def _potentials(
    arrays: Arrays, observed: Sequence[Population], probe: bool
) -> dict[str, NDArray[np.int32]]:
    return {
        p.name: potentials_of(p, arrays)
        for p in observed
        if probe or p.kind not in ("spike", "count")
    }
