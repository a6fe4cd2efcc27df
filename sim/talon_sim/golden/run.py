"""A run, stage after stage: some samples and many timesteps of a stage at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler.network import IntNetwork, Population
from talon_sim.golden.arrays import Arrays
from talon_sim.golden.counting import CountingNeurons
from talon_sim.golden.currents import SynapticNeurons
from talon_sim.golden.edges import Edge, edges_of, is_held
from talon_sim.golden.graded import GradedNeurons, GradedWindows
from talon_sim.golden.lookup import TableNeurons
from talon_sim.golden.maps import MapSynapses
from talon_sim.golden.neurons import Neurons, Potentials
from talon_sim.golden.order import Plan
from talon_sim.golden.reach import drive_reach
from talon_sim.golden.windows import own_type, send_windows

_CHUNK = 1 << 17
"""Values of a layer's input or drive held at a time: they stay in the second-level cache."""

AnyNeurons = Neurons | SynapticNeurons | CountingNeurons | GradedNeurons


class Stage:
    """One population with what feeds it, started for some samples."""

    def __init__(
        self,
        population: Population,
        edges: Sequence[Edge],
        neurons: AnyNeurons,
        arrays: Arrays,
        members: frozenset[str] = frozenset(),
        windows: GradedWindows | None = None,
    ) -> None:
        self.population = population
        self.n_steps, self.n_samples = arrays.sent[population.name].shape[:2]
        if population.once:
            self.n_steps = min(1, self.n_steps)
        self.spikes = 0
        self._arrays = arrays
        self._neurons = neurons.start(self.n_samples, self.n_steps)
        self._edges = edges
        self._members = members  # those that advance together with this one
        self._windows = windows
        self._base: Potentials | None = None
        self._held: list[tuple[Edge, Potentials]] = []
        self._moving: list[Edge] = []
        self._inner: list[Edge] = []
        self._steps, self._given = range(0), np.empty(0)

    @property
    def updates(self) -> int:
        """Number of updates of all timesteps."""
        return self.n_steps * self.n_samples * self.population.n

    @property
    def saturations(self) -> int:
        """Number of updates that clamped."""
        return self._neurons.saturations

    def _split(self) -> Potentials:
        """Sum what is constant, once its sources have run; keep other edges for each timestep.

        The sum is a constant of all neurons or (n,), or if edges are part of it (samples, n).
        """
        population, base = self.population, self._neurons.base
        for edge in self._edges:
            frames = self._arrays.sent[edge.source]
            if edge.source in self._members:
                self._inner.append(edge)
                continue
            # What updates once has no use for a sum that is kept.
            if population.once or not (edge.hold or is_held(frames)):
                self._moving.append(edge)
                continue
            is_late = edge.delay > 0
            currents = np.zeros((self.n_samples, population.n))
            edge.synapses.add_to(currents, frames[0])
            if is_late:
                self._held.append((edge, currents))
            else:
                base = base + currents
        # The first edge that all timesteps need may write the drive: it comes first.
        self._moving.sort(key=lambda edge: not self._is_needed_always(edge))
        return base

    def _is_needed_always(self, edge: Edge) -> bool:
        return edge.delay == 0 and (self.population.once or not edge.once)

    def run(self) -> None:
        """Run all timesteps, a chunk at a time: nothing that feeds the population waits for it."""
        if self._base is None:
            self._base = self._split()
        if self._windows is not None and self._base.ndim < 2 and self._run_windows():
            return
        n = self.population.n
        widest = max([n, *(edge.synapses.n_source for edge in self._edges)])
        chunk = max(1, _CHUNK // max(1, self.n_samples * widest))
        drive = np.empty((min(chunk, self.n_steps), self.n_samples, n))
        for start in range(0, self.n_steps, chunk):
            steps = range(start, min(start + chunk, self.n_steps))
            given = drive[: len(steps)]
            self._drive(steps, given)
            self._advance(steps, given)

    def _run_windows(self) -> bool:
        """Run windows frame by frame, if one kernel feeds them in the timestep itself."""
        if len(self._moving) != 1 or not self._is_needed_always(self._moving[0]):
            return False
        edge, *_ = self._moving
        if not isinstance(edge.synapses, MapSynapses):
            return False
        windows = self._windows
        assert windows is not None
        sent = self._arrays.sent
        if edge.synapses.prefers_events(sent[edge.source]):
            return False
        self.spikes += windows.run(edge.synapses, sent[edge.source], sent[self.population.name])
        return True

    def prepare(self, steps: range) -> None:
        """Sum what comes from outside of the cycle in these timesteps."""
        self._steps = steps
        self._given = np.empty((len(steps), self.n_samples, self.population.n))
        self._drive(steps, self._given)

    def step(self, t: int) -> None:
        """Run a timestep that was prepared."""
        if t not in self._steps:  # what updates once
            return
        drive = self._given[t - self._steps.start :][:1]
        for edge in self._inner:
            self._add(edge, range(t, t + 1), drive)
        self._advance(range(t, t + 1), drive)

    def _advance(self, steps: range, drive: Potentials) -> None:
        population, arrays, name = self.population, self._arrays, self.population.name
        rows = slice(steps.start, steps.stop)
        v = np.empty(drive.shape) if name in arrays.potentials else None
        is_kept = name in arrays.own
        own: NDArray[Any] = (
            arrays.own[name][rows] if is_kept else np.empty(drive.shape, own_type(population))
        )
        self._neurons.advance(drive, own, v)
        if v is not None:
            arrays.potentials[name][rows] = v
        if population.pool is not None:
            send_windows(population, own, arrays.sent[name][rows])
        if population.kind != "readout":
            self.spikes += int(np.count_nonzero(own))

    def _drive(self, steps: range, drive: Potentials) -> None:
        """Write scaled currents plus what is constant of some timesteps into ``drive``."""
        if self._base is None:
            self._base = self._split()
        moving = self._moving
        if moving and self._is_needed_always(moving[0]) and self._base.ndim < 2:
            edge, *moving = moving
            frames = self._arrays.sent[edge.source][steps.start : steps.stop]
            flat = frames.reshape(-1, edge.synapses.n_source)
            edge.synapses.write_to(drive.reshape(len(flat), -1), flat, self._base)
        else:
            drive[:] = self._base
        for edge, currents in self._held:
            drive[max(edge.delay - steps.start, 0) :] += currents
        for edge in moving:
            self._add(edge, steps, drive)

    def _add(self, edge: Edge, steps: range, drive: Potentials) -> None:
        """Add the currents of an edge in these timesteps."""
        frames = self._arrays.sent[edge.source]
        first = max(steps.start - edge.delay, 0)
        stop = min(steps.stop - edge.delay, 1 if edge.once else len(frames))
        if stop <= first:
            return
        arrives = drive[first + edge.delay - steps.start :][: stop - first]
        flat = frames[first:stop].reshape(-1, edge.synapses.n_source)
        edge.synapses.add_to(arrives.reshape(len(flat), -1), flat)


class Engine:
    """Runs a network with NumPy.

    Attributes
    ----------
    edges
        The projections into each population, ready to run.
    """

    def __init__(self, network: IntNetwork, plan: Plan) -> None:
        self._plan = plan
        self.edges = edges_of(network)
        reach = drive_reach(network)
        self._neurons = {p.name: _neurons_of(p, reach[p.name]) for p in network.populations}
        self._windows = {
            p.name: GradedWindows(p) for p in network.populations if GradedWindows.fits(p)
        }

    def run(self, arrays: Arrays) -> dict[str, int]:
        """Run all samples of ``arrays`` and return ``spikes``, ``updates`` and ``saturations``."""
        counters = {"spikes": 0, "updates": 0, "saturations": 0}
        for populations, is_cyclic in self._plan:
            members = frozenset(p.name for p in populations) if is_cyclic else frozenset[str]()
            windows = self._windows_of(populations[0], arrays) if not is_cyclic else None
            widest = max(populations, key=lambda p: p.n)
            for part in arrays.blocks(widest) if windows is None else [arrays]:
                stages = [
                    Stage(p, self.edges[p.name], self._neurons[p.name], part, members, windows)
                    for p in populations
                ]
                if is_cyclic:
                    _run_together(stages)
                else:
                    stages[0].run()
                for stage in stages:
                    counters["spikes"] += stage.spikes
                    counters["updates"] += stage.updates
                    counters["saturations"] += stage.saturations
        return counters

    def _windows_of(self, population: Population, arrays: Arrays) -> GradedWindows | None:
        """Return its windows where their largest payloads are all that anybody wants."""
        if population.name in arrays.own or population.once:
            return None
        return self._windows.get(population.name)


def _neurons_of(population: Population, reach: float) -> AnyNeurons:
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


def _run_together(stages: Sequence[Stage]) -> None:
    """Run populations that feed each other, timestep by timestep."""
    width = sum(stage.n_samples * stage.population.n for stage in stages)
    chunk = max(1, _CHUNK // max(1, width))
    for start in range(0, max(stage.n_steps for stage in stages), chunk):
        for stage in stages:
            stage.prepare(range(start, min(start + chunk, stage.n_steps)))
        for t in range(start, start + chunk):
            for stage in stages:
                stage.step(t)
