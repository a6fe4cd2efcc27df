"""A run of the golden model with compiled kernels, stage after stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler.kernel import Kernel
from talon.compiler.network import IntNetwork, Population
from talon_sim.golden.arrays import Arrays
from talon_sim.golden.edges import Edge, edges_of, is_held
from talon_sim.golden.fast.neurons import (
    AnyNeurons,
    CompiledWindows,
    CountingNeurons,
    FiringNeurons,
    GradedNeurons,
    Out,
    TableNeurons,
)
from talon_sim.golden.fast.synapses import RUN, Events, Layout, Sums, Windows, synapses_of
from talon_sim.golden.order import Plan
from talon_sim.golden.reach import drive_reach

_CHUNK = 1 << 16
"""Sums that are held at a time: they stay in the second-level cache."""


_DENSE = 0.3
"""From this share of payloads on a kernel is a matrix product (measured)."""


class FastEngine:
    """Runs a network with compiled kernels; see ``talon_sim.golden.run.Engine``."""

    def __init__(self, network: IntNetwork, plan: Plan) -> None:
        self._plan = plan
        self._signed = {port.name for port in network.inputs if port.signed}
        self._signed |= {p.name for p in network.populations if p.table is not None}
        layouts = {p.name: Layout(p, _kernels_into(network, p.name)) for p in network.populations}
        self.edges = edges_of(
            network,
            lambda projection, frac: synapses_of(
                projection, frac=frac, layout=layouts[projection.target]
            ),
        )
        reach = drive_reach(network)
        self._neurons: dict[str, AnyNeurons] = {
            p.name: _neurons_of(p, layouts[p.name], reach[p.name]) for p in network.populations
        }
        self._windows = {
            p.name: CompiledWindows(p) for p in network.populations if CompiledWindows.fits(p)
        }

    def run(self, arrays: Arrays) -> dict[str, int]:
        """Run all samples of ``arrays`` and return ``spikes``, ``updates`` and ``saturations``."""
        counters = {"spikes": 0, "updates": 0, "saturations": 0}
        events = {
            name: _events_of(sent, name in self._signed) for name, sent in arrays.sent.items()
        }
        for populations, is_cyclic in self._plan:
            members = frozenset(p.name for p in populations) if is_cyclic else frozenset[str]()
            n_sent = None if is_cyclic else self._of_windows(populations[0], arrays)
            if n_sent is not None:
                frames = arrays.sent[populations[0].name].shape[:2]
                counters["spikes"] += n_sent
                counters["updates"] += frames[0] * frames[1] * populations[0].n
                continue
            stages = [
                Stage(
                    p,
                    self.edges[p.name],
                    self._neurons[p.name],
                    arrays,
                    events,
                    members,
                )
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

    def _of_windows(self, population: Population, arrays: Arrays) -> int | None:
        """Run graded neurons on dense input by matrix products, which are the faster there.

        Returns their payloads that are not zero, or None where they do not run like this.
        """
        windows, (edge, *others) = self._windows.get(population.name), self.edges[population.name]
        is_kept = population.name in arrays.own or population.once
        if windows is None or is_kept or others or edge.hold or edge.once or edge.delay:
            return None
        frames = arrays.sent[edge.source]
        if not isinstance(edge.synapses, Windows) or is_held(frames):
            return None
        if np.count_nonzero(frames) < _DENSE * frames.size:
            return None
        return windows.run(edge.synapses.product, frames, arrays.sent[population.name])


class Stage:
    """One population with what feeds it, started for all samples."""

    def __init__(
        self,
        population: Population,
        edges: Sequence[Edge],
        neurons: AnyNeurons,
        arrays: Arrays,
        events: dict[str, Events],
        members: frozenset[str],
    ) -> None:
        name = population.name
        self.population, self._n = population, population.n
        self.n_steps, self.n_samples = arrays.sent[name].shape[:2]
        if population.once:
            self.n_steps = min(1, self.n_steps)
        self.spikes = self.saturations = 0
        self._neurons = neurons.start(self.n_samples, self.n_steps)
        self._events = events
        own, sent = arrays.own.get(name), arrays.sent[name]
        byte: Any = np.int16 if population.table is not None else np.uint8
        self._out = Out(
            None if own is None or population.kind == "readout" else own.view(byte),
            None if population.pool is None else sent.view(byte),
            arrays.potentials.get(name),
        )
        self._buffer = np.empty(0, np.float32)
        self._inner = [edge for edge in edges if edge.source in members]
        self._split(edges, arrays)

    @property
    def updates(self) -> int:
        """Number of updates of all timesteps."""
        return self.n_steps * self.n_samples * self.population.n

    def _split(self, edges: Sequence[Edge], arrays: Arrays) -> None:
        """Sum what is constant; keep other edges for each timestep."""
        population = self.population
        self._base = self._neurons.base
        self._late: list[tuple[int, Sums]] = []
        self._outer: list[Edge] = []
        for edge in edges:
            if edge in self._inner:
                continue
            if population.once or not (edge.hold or is_held(arrays.sent[edge.source])):
                self._outer.append(edge)
                continue
            size = self.n_samples * population.n
            held = np.zeros(size + RUN, np.float32)[:size].reshape(1, self.n_samples, -1)
            edge.synapses.add(
                self._events[edge.source], range(1), range(self.n_samples), held, True
            )
            if edge.delay:
                self._late.append((edge.delay, held[0]))
            else:
                self._base = self._base + held[0]

    def run(self) -> None:
        """Run all timesteps of a few samples, then the next: their states stay near."""
        n = self._n
        block = min(self.n_samples, max(1, _CHUNK // max(1, n * self.n_steps)))
        chunk = max(1, _CHUNK // (n * block))
        for first in range(0, self.n_samples, block):
            samples = range(first, min(first + block, self.n_samples))
            for start in range(0, self.n_steps, chunk):
                steps = range(start, min(start + chunk, self.n_steps))
                self._advance(steps, samples, self._sums(steps, samples))

    def prepare(self, steps: range) -> None:
        """Sum what comes from outside of the cycle in these timesteps."""
        self._steps = steps
        self._given = self._sums(steps, range(self.n_samples))

    def step(self, t: int) -> None:
        """Run a timestep that was prepared."""
        if t not in self._steps:  # what updates once
            return
        at, samples = t - self._steps.start, range(self.n_samples)
        acc, steps = self._given[at : at + 1], range(t, t + 1)
        for edge in self._inner:
            self._add(edge, steps, samples, acc, fresh=False)
        self._advance(steps, samples, acc)

    def _sums(self, steps: range, samples: range) -> Sums:
        """Return the sums (steps, samples, n) of all but inner edges."""
        shape = (len(steps), len(samples), self._n)
        size = shape[0] * shape[1] * shape[2]
        if len(self._buffer) < size + RUN:
            self._buffer = np.zeros(size + RUN, np.float32)
        acc = self._buffer[:size].reshape(shape)
        is_fresh = True
        for edge in self._outer:
            is_fresh &= not self._add(edge, steps, samples, acc, fresh=is_fresh)
        if is_fresh:
            acc[:] = 0
        for delay, currents in self._late:
            acc[max(delay - steps.start, 0) :] += currents[samples.start : samples.stop]
        return acc

    def _add(self, edge: Edge, steps: range, samples: range, acc: Sums, *, fresh: bool) -> bool:
        """Add the currents of an edge; tell whether there were any, which clears fresh sums."""
        events = self._events[edge.source]
        first = max(steps.start - edge.delay, 0)
        stop = min(steps.stop - edge.delay, 1 if edge.once else len(events))
        if stop <= first:
            return False
        is_whole = stop - first == len(steps)
        if fresh and not is_whole:
            acc[:] = 0
        arrives = acc[first + edge.delay - steps.start :][: stop - first]
        edge.synapses.add(events, range(first, stop), samples, arrives, fresh and is_whole)
        return True

    def _advance(self, steps: range, samples: range, acc: Sums) -> None:
        ends = (steps.start, steps.stop, samples.start, samples.stop)
        n_spikes, n_clamped = self._neurons.advance(acc, ends, self._base, self._out)
        if self.population.kind != "readout":
            self.spikes += n_spikes
        self.saturations += n_clamped


def _neurons_of(population: Population, layout: Layout, reach: float) -> AnyNeurons:
    """Return the neurons of a population, ready to start."""
    if population.table is not None:
        return TableNeurons(population, layout)
    if population.kind == "graded":
        return GradedNeurons(population, layout)
    if population.kind == "count":
        return CountingNeurons(population, layout)
    return FiringNeurons(population, layout, reach=reach)


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


def _kernels_into(network: IntNetwork, name: str) -> list[Kernel]:
    return [
        p.weight for p in network.projections if p.target == name and isinstance(p.weight, Kernel)
    ]


def _events_of(sent: NDArray[np.generic], is_signed: bool) -> Events:
    """Return payloads as kernels take them: contiguous, one frame of those that are held."""
    frames = sent[:1] if is_held(sent) else sent
    if is_signed:
        return np.ascontiguousarray(frames, np.int16)
    if frames.dtype.itemsize == 1:
        return np.ascontiguousarray(frames).view(np.uint8)
    return np.ascontiguousarray(frames, np.uint8)
