"""A run with NumPy: sums are in float64 and include what is constant of each neuron."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler.network import IntNetwork, Population
from talon_sim.golden.arrays import Arrays
from talon_sim.golden.counting import CountingNeurons
from talon_sim.golden.currents import SynapticNeurons
from talon_sim.golden.edges import Edge, edges_of
from talon_sim.golden.graded import GradedNeurons, GradedWindows
from talon_sim.golden.lookup import TableNeurons
from talon_sim.golden.maps import MapSynapses
from talon_sim.golden.neurons import Neurons, Potentials
from talon_sim.golden.order import Plan
from talon_sim.golden.reach import drive_reach
from talon_sim.golden.stages import Engine, Stage, Starter
from talon_sim.golden.windows import own_type, send_windows

AnyNeurons = Neurons | SynapticNeurons | CountingNeurons | GradedNeurons


class NumpyStage(Stage):
    """One population with what feeds it; ``arrays`` are those of its samples alone."""

    room = 1 << 17

    def __init__(
        self,
        population: Population,
        edges: Sequence[Edge],
        neurons: AnyNeurons,
        arrays: Arrays,
        samples: range,
        members: frozenset[str] = frozenset(),
        windows: GradedWindows | None = None,
    ) -> None:
        super().__init__(population, edges, arrays, samples, members)
        self._arrays = arrays
        self._neurons = neurons.start(len(samples), self.n_steps)
        self._windows = windows
        self._base = self._neurons.base  # a constant of all neurons, (n,) or (samples, n)
        self._buffer: Potentials = np.empty(0)
        self._split()

    def run(self) -> None:
        """Run all timesteps: windows frame by frame, if one kernel feeds them at once."""
        if self._windows is None or not self._run_windows(self._windows):
            super().run()

    def _run_windows(self, windows: GradedWindows) -> bool:
        if self._base.ndim > 1 or len(self._outer) != 1:
            return False
        (edge,) = self._outer
        if not isinstance(edge.synapses, MapSynapses) or not self._is_needed_always(edge):
            return False
        events = self._sent[edge.source]
        if edge.synapses.prefers_events(events):
            return False
        self.spikes += windows.run(events, self._sent[self.population.name])
        return True

    def _widest(self) -> int:
        sources = [edge.synapses.n_source for edge in self._edges]
        return len(self.samples) * max([self.population.n, *sources])

    def _held(self, edge: Edge) -> Potentials:
        currents = np.zeros((len(self.samples), self.population.n))
        edge.synapses.add_to(currents, self._sent[edge.source][0])
        return currents

    def _keep(self, edge: Edge) -> None:
        self._base = self._base + self._held(edge)

    def _room(self, n_steps: int) -> Potentials:
        if len(self._buffer) < n_steps:
            self._buffer = np.empty((n_steps, len(self.samples), self.population.n))
        return self._buffer[:n_steps]

    def _clear(self, sums: Potentials) -> None:
        sums[:] = self._base

    def _write(self, edge: Edge, steps: range, sums: Potentials) -> None:
        if self._base.ndim > 1:
            self._clear(sums)
            self._add_events(edge, steps, sums)
            return
        edge.synapses.write_to(*self._flat(edge, steps, sums), self._base)

    def _add_events(self, edge: Edge, steps: range, sums: Potentials) -> None:
        edge.synapses.add_to(*self._flat(edge, steps, sums))

    def _flat(self, edge: Edge, steps: range, sums: Potentials) -> tuple[Potentials, NDArray[Any]]:
        """Return sums (m, n) and events (m, n_source) of all timesteps and samples."""
        frames = self._sent[edge.source][steps.start : steps.stop]
        flat = frames.reshape(-1, edge.synapses.n_source)
        return sums.reshape(len(flat), -1), flat

    def _advance(self, steps: range, sums: Potentials) -> None:
        population, arrays, name = self.population, self._arrays, self.population.name
        rows = slice(steps.start, steps.stop)
        v = np.empty(sums.shape) if name in arrays.potentials else None
        is_kept = name in arrays.own
        own: NDArray[Any] = (
            arrays.own[name][rows] if is_kept else np.empty(sums.shape, own_type(population))
        )
        self._neurons.advance(sums, own, v)
        self.saturations = self._neurons.saturations
        if v is not None:
            arrays.potentials[name][rows] = v
        if population.pool is not None:
            send_windows(population, own, arrays.sent[name][rows])
        if population.kind != "readout":
            self.spikes += int(np.count_nonzero(own))


class NumpyEngine(Engine):
    """Runs a network with NumPy."""

    def __init__(self, network: IntNetwork, plan: Plan) -> None:
        super().__init__(plan)
        self.edges = edges_of(network)
        reach = drive_reach(network)
        self._neurons = {p.name: neurons_of(p, reach[p.name]) for p in network.populations}
        self._windows = {
            p.name: GradedWindows.of(p, _weights_into(network, p.name)) for p in network.populations
        }

    def run(self, arrays: Arrays) -> tuple[dict[str, int], dict[str, int]]:
        """Run all samples of ``arrays``; see ``Engine.run``."""
        # Products of whole numbers are never invalid, but some kernels of OpenBLAS leave the flag
        # set by what stands beside their operands (numpy issue 24067).
        with np.errstate(invalid="ignore"):
            return super().run(arrays)

    def _starter(self, arrays: Arrays) -> Starter:
        def start(population: Population, samples: range, members: frozenset[str]) -> Stage:
            name = population.name
            windows = None if members else self._windows_of(population, arrays)
            part = arrays.of(slice(samples.start, samples.stop))
            return NumpyStage(
                population, self.edges[name], self._neurons[name], part, samples, members, windows
            )

        return start

    def _blocks(self, populations: Sequence[Population], arrays: Arrays) -> Iterable[range]:
        if len(populations) == 1 and self._windows_of(populations[0], arrays) is not None:
            return [range(arrays.sent[populations[0].name].shape[1])]
        return super()._blocks(populations, arrays)

    def _windows_of(self, population: Population, arrays: Arrays) -> GradedWindows | None:
        """Return its windows where their largest payloads are all that anybody wants."""
        if population.name in arrays.own or population.once:
            return None
        return self._windows[population.name]


def _weights_into(network: IntNetwork, name: str) -> list[Any]:
    return [projection.weight for projection in network.projections if projection.target == name]


def neurons_of(population: Population, reach: float) -> AnyNeurons:
    """Return the neurons of a population, ready to start."""
    if population.table is not None:
        return TableNeurons(population)
    if population.kind == "graded":
        return GradedNeurons(population)
    if population.kind == "count":
        return CountingNeurons(population)
    if population.current is not None:
        return SynapticNeurons(population, reach=reach)
    return Neurons(population, reach=reach)
