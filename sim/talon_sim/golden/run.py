"""Some samples of a run: stage after stage, many timesteps of a stage at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler.network import Population
from talon_sim.golden.arrays import Arrays
from talon_sim.golden.counting import CountingNeurons
from talon_sim.golden.currents import SynapticNeurons
from talon_sim.golden.edges import Edge, is_held
from talon_sim.golden.graded import GradedNeurons
from talon_sim.golden.neurons import Neurons, Potentials, constant
from talon_sim.golden.windows import own_type, send_windows

_CHUNK = 1 << 17
"""Values of a layer's input or drive held at a time: they stay in the second-level cache."""

AnyNeurons = Neurons | SynapticNeurons | CountingNeurons | GradedNeurons


class Stage:
    """One population with what feeds it, started for some samples."""

    def __init__(
        self, population: Population, edges: Sequence[Edge], neurons: AnyNeurons, arrays: Arrays
    ) -> None:
        self.population = population
        self.n_steps, self.n_samples = arrays.sent[population.name].shape[:2]
        if population.once:
            self.n_steps = min(1, self.n_steps)
        self.spikes = 0
        self._arrays = arrays
        self._neurons = neurons.start(self.n_samples)
        self._edges = edges
        self._base: Potentials | None = None
        self._held: list[tuple[Edge, Potentials]] = []
        self._moving: list[Edge] = []

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
        population = self.population
        bias = population.bias if population.i_bias is None else population.i_bias
        if population.kind == "count":  # whose bias is no part of the sum
            bias = 0 * bias
        base = constant(population.v_reset if population.kind == "graded" else bias)
        for edge in self._edges:
            frames = self._arrays.sent[edge.source]
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
        n = self.population.n
        widest = max([n, *(edge.synapses.n_source for edge in self._edges)])
        chunk = max(1, _CHUNK // max(1, self.n_samples * widest))
        drive = np.empty((min(chunk, self.n_steps), self.n_samples, n))
        for start in range(0, self.n_steps, chunk):
            self.advance(range(start, min(start + chunk, self.n_steps)), drive)

    def advance(self, steps: range, buffer: Potentials | None = None) -> None:
        """Run some timesteps; ``buffer`` has room for their drives."""
        population, arrays, name = self.population, self._arrays, self.population.name
        rows = slice(steps.start, steps.stop)
        shape = (len(steps), self.n_samples, population.n)
        drive = np.empty(shape) if buffer is None else buffer[: len(steps)]
        self._drive(steps, drive)
        v = np.empty(shape) if name in arrays.potentials else None
        is_kept = name in arrays.own
        own: NDArray[Any] = (
            arrays.own[name][rows] if is_kept else np.empty(shape, own_type(population))
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
            frames = self._arrays.sent[edge.source]
            first = max(steps.start - edge.delay, 0)
            stop = min(steps.stop - edge.delay, 1 if edge.once else len(frames))
            if stop <= first:
                continue
            arrives = drive[first + edge.delay - steps.start :][: stop - first]
            flat = frames[first:stop].reshape(-1, edge.synapses.n_source)
            edge.synapses.add_to(arrives.reshape(len(flat), -1), flat)


def run_samples(
    plan: Sequence[tuple[Sequence[Population], bool]],
    edges: Mapping[str, Sequence[Edge]],
    neurons: Mapping[str, AnyNeurons],
    arrays: Arrays,
) -> dict[str, int]:
    """Run the samples of ``arrays`` and return their ``spikes``, ``updates`` and ``saturations``.

    Parameters
    ----------
    plan
        Populations stage by stage, and whether those of a stage feed each other; they then advance
        together, timestep by timestep.
    edges, neurons
        By population.
    """
    counters = {"spikes": 0, "updates": 0, "saturations": 0}

    def stage_of(population: Population, part: Arrays) -> Stage:
        return Stage(population, edges[population.name], neurons[population.name], part)

    for populations, is_cyclic in plan:
        if populations[0].once and not is_cyclic:
            stages = [stage_of(populations[0], part) for part in arrays.blocks(populations[0])]
            for stage in stages:
                stage.run()
        elif is_cyclic:
            stages = [stage_of(population, arrays) for population in populations]
            for t in range(max(stage.n_steps for stage in stages)):
                for stage in stages:
                    if t < stage.n_steps:
                        stage.advance(range(t, t + 1))
        else:
            stages = [stage_of(populations[0], arrays)]
            stages[0].run()
        for stage in stages:
            counters["spikes"] += stage.spikes
            counters["updates"] += stage.updates
            counters["saturations"] += stage.saturations
    return counters
