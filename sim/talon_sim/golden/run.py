"""A run with NumPy: sums include what is constant of each neuron.

They are float64, or int32 where neurons are ``wide``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler.network import IntNetwork, Population
from talon_sim.golden.arrays import Arrays
from talon_sim.golden.edges import Edge, edges_of
from talon_sim.golden.kinds import neurons_of
from talon_sim.golden.order import Plan
from talon_sim.golden.reach import drive_reach
from talon_sim.golden.rooms import Loan, Rooms
from talon_sim.golden.stages import Done, Engine, Stage, Starter
from talon_sim.golden.synapses import Drive
from talon_sim.golden.wide import started
from talon_sim.golden.windows import own_type, send_windows

if TYPE_CHECKING:
    from talon_sim.golden.graded import GradedWindows
    from talon_sim.golden.kinds import AnyNeurons


class NumpyStage(Stage):
    """One population with what feeds it; ``arrays`` are those of its samples alone."""

    room = 1 << 18

    def __init__(
        self,
        population: Population,
        edges: Sequence[Edge],
        neurons: AnyNeurons,
        arrays: Arrays,
        samples: range,
        members: frozenset[str],
        windows: GradedWindows | None,
        loan: Loan,
    ) -> None:
        super().__init__(population, edges, arrays, samples, members)
        self._arrays = arrays
        self._neurons = started(neurons, len(samples), self.n_steps)
        self._windows = windows
        self._base: Drive = self._neurons.base  # of all neurons, (n,) or (samples, n)
        self._loan = loan
        self._buffer: Drive = np.empty(0)
        self._own: NDArray[Any] = np.empty(0, own_type(population))
        self._split()

    def release(self) -> None:
        """Give room back that the stage had while it ran."""
        self._loan.give_back()

    def run(self) -> None:
        """Run all timesteps: windows frame by frame, if one kernel feeds them at once."""
        if self._windows is None or not self._run_windows(self._windows):
            super().run()

    def _run_windows(self, windows: GradedWindows) -> bool:
        if self._base.ndim > 1 or len(self._outer) != 1:
            return False
        (edge,) = self._outer
        if not self._is_needed_always(edge):
            return False
        events = self._sent[edge.source]
        if edge.synapses.prefers_events(events):
            return False
        self.spikes += windows.run(events, self._sent[self.population.name])
        return True

    def _widest(self) -> int:
        sources = [edge.synapses.n_source for edge in self._edges]
        return len(self.samples) * max([self.population.n, *sources])

    def _held(self, edge: Edge) -> Drive:
        currents = np.zeros((len(self.samples), self.population.n), self._base.dtype)
        edge.synapses.add_to(currents, self._sent[edge.source][0])
        return currents

    def _keep(self, edge: Edge) -> None:
        self._base = self._base + self._held(edge)

    def _room(self, n_steps: int) -> Drive:
        if len(self._buffer) < n_steps:
            shape = (n_steps, len(self.samples), self.population.n)
            self._buffer = self._loan.take(shape, self._base.dtype)
        return self._buffer[:n_steps]

    def _own_room(self, n_steps: int) -> NDArray[Any]:
        """Return an array (steps, samples, n) for what neurons do, where nobody keeps it."""
        if len(self._own) < n_steps:
            shape = (n_steps, len(self.samples), self.population.n)
            self._own = self._loan.take(shape, self._own.dtype)
        return self._own[:n_steps]

    def _clear(self, sums: Drive) -> None:
        sums[:] = self._base

    def _write(self, edge: Edge, steps: range, sums: Drive) -> None:
        if self._base.ndim > 1:
            self._clear(sums)
            self._add_events(edge, steps, sums)
            return
        edge.synapses.write_to(*self._flat(edge, steps, sums), self._base)

    def _add_events(self, edge: Edge, steps: range, sums: Drive) -> None:
        edge.synapses.add_to(*self._flat(edge, steps, sums))

    def _flat(self, edge: Edge, steps: range, sums: Drive) -> tuple[Drive, NDArray[Any]]:
        """Return sums (m, n) and events (m, n_source) of all timesteps and samples."""
        frames = self._sent[edge.source][steps.start : steps.stop]
        flat = frames.reshape(-1, edge.synapses.n_source)
        return sums.reshape(len(flat), -1), flat

    def _advance(self, steps: range, sums: Drive) -> None:
        population, arrays, name = self.population, self._arrays, self.population.name
        rows = slice(steps.start, steps.stop)
        v = arrays.potentials[name][rows] if name in arrays.potentials else None
        is_kept = name in arrays.own
        own = arrays.own[name][rows] if is_kept else self._own_room(len(sums))
        self._neurons.advance(sums, own, v)
        self.saturations = self._neurons.saturations
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
        self._windows = {p.name: _windows_into(network, p) for p in network.populations}
        self._rooms = Rooms()

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
            is_part = len(samples) < arrays.sent[name].shape[1]
            part = arrays.of(slice(samples.start, samples.stop)) if is_part else arrays
            return NumpyStage(
                population, self.edges[name], self._neurons[name], part, samples, members, windows,
                self._rooms.lend(),
            )  # fmt: skip

        return start

    def _run(
        self,
        populations: Sequence[Population],
        members: frozenset[str],
        arrays: Arrays,
        start: Starter,
    ) -> Iterable[Done]:
        """Run a stage of the plan, and take back the room that it had."""
        for done in super()._run(populations, members, arrays, start):
            yield done
            assert isinstance(done, NumpyStage)
            done.release()

    def _blocks(self, populations: Sequence[Population], arrays: Arrays) -> Iterable[range]:
        if len(populations) == 1 and self._windows_of(populations[0], arrays) is not None:
            return [range(arrays.sent[populations[0].name].shape[1])]
        return super()._blocks(populations, arrays)

    def _windows_of(self, population: Population, arrays: Arrays) -> GradedWindows | None:
        """Return its windows where their largest payloads are all that anybody wants."""
        if population.name in arrays.own or population.once:
            return None
        return self._windows[population.name]


def _windows_into(network: IntNetwork, population: Population) -> GradedWindows | None:
    """Return the windows of a population, where it has some that can be run alone."""
    if population.kind != "graded" or population.pool is None:
        return None
    from talon_sim.golden.graded import GradedWindows  # which few networks need

    into = [p.weight for p in network.projections if p.target == population.name]
    return GradedWindows.of(population, into)
