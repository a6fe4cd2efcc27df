"""A run with compiled kernels: sums are in int32, and neurons add what is constant to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler.kernel import Kernel
from talon.compiler.network import IntNetwork, Population
from talon_sim.golden.arrays import Arrays
from talon_sim.golden.edges import Edge, edges_of, is_held, sends_ones_alone
from talon_sim.golden.fast.alone import Alone, out_of
from talon_sim.golden.fast.llvm import LANES
from talon_sim.golden.fast.neurons import (
    AnyNeurons,
    CountingNeurons,
    FiringNeurons,
    GradedNeurons,
    TableNeurons,
    advance,
)
from talon_sim.golden.fast.synapses import (
    Events,
    Layout,
    Sums,
    Way,
    add_events,
    ends_of,
    synapses_of,
)
from talon_sim.golden.order import Plan
from talon_sim.golden.reach import drive_reach
from talon_sim.golden.stages import Done, Engine, Stage, Starter


class FastStage(Stage):
    """One population with what feeds it; arrays and ``events`` are those of all samples."""

    room = 1 << 16

    def __init__(
        self,
        population: Population,
        edges: Sequence[Edge],
        neurons: AnyNeurons,
        arrays: Arrays,
        events: Mapping[str, Events],
        samples: range,
        members: frozenset[str],
    ) -> None:
        super().__init__(population, edges, arrays, samples, members)
        self._events = events
        self._neurons, self._states = neurons, neurons.at_rest(len(samples))
        self._base = neurons.base
        self._buffer = np.empty(0, np.int32)
        self._out = out_of(population, arrays)
        self._split()

    def run(self) -> None:
        """Run all timesteps, in one call if one edge alone feeds the population."""
        if not self.run_alone():
            super().run()

    def run_alone(self) -> bool:
        """Do so, also where the population feeds itself; tell whether it could be."""
        if self._late or not self.n_steps or not self.samples:
            return False
        alone = Alone.of(self.population, self._neurons, self._outer, self._inner)
        if alone is None:
            return False
        given = (self.n_steps, self.room, self._base, self._states, self._out)
        self._count(*alone.run(self._events, self.samples, *given))
        return True

    def _held(self, edge: Edge) -> Sums:
        held = _sums_for(1, len(self.samples), self.population.n)
        add_events(edge.synapses, self._events[edge.source], range(1), self.samples, held)
        return held[0]

    def _keep(self, edge: Edge) -> None:
        self._base = self._base + (self._held(edge) << np.int32(self._neurons.frac))

    def _room(self, n_steps: int) -> Sums:
        if len(self._buffer) < n_steps:
            self._buffer = _sums_for(n_steps, len(self.samples), self.population.n)
        return self._buffer[:n_steps]

    def _clear(self, sums: Sums) -> None:
        sums[:] = 0

    def _write(self, edge: Edge, steps: range, sums: Sums) -> None:
        sums[:] = 0
        self._add_events(edge, steps, sums)

    def _add_events(self, edge: Edge, steps: range, sums: Sums) -> None:
        add_events(edge.synapses, self._events[edge.source], steps, self.samples, sums)

    def _advance(self, steps: range, sums: Sums) -> None:
        ends, neurons = ends_of(steps, self.samples), self._neurons
        if isinstance(neurons, TableNeurons):
            self._count(*neurons.look_up(sums, ends, self._base, self._out))
        else:
            self._count(*advance(self._way(), self._states, sums, ends, self._base))

    def _way(self) -> Way:
        return self._neurons.way(self.n_steps, self._base, self._out)

    def _count(self, n_spikes: int, n_clamped: int) -> None:
        if self.population.kind != "readout":
            self.spikes += n_spikes
        self.saturations += n_clamped


class FastEngine(Engine):
    """Runs a network with compiled kernels."""

    def __init__(self, network: IntNetwork, plan: Plan) -> None:
        super().__init__(plan)
        self.signed = {port.name for port in network.inputs if port.signed}
        self.signed |= {p.name for p in network.populations if p.table is not None}
        layouts = {p.name: Layout(p, _kernels_into(network, p.name)) for p in network.populations}
        self.edges = edges_of(
            network,
            lambda projection, target, source: synapses_of(
                projection, layout=layouts[target.name], is_binary=sends_ones_alone(source)
            ),
        )
        reach = drive_reach(network)
        self.neurons: dict[str, AnyNeurons] = {
            p.name: _neurons_of(p, layouts[p.name], reach[p.name]) for p in network.populations
        }

        self._alone = {
            p.name: self._alone_of(p, members) for stage, members in self._plan for p in stage
        }

    def _alone_of(self, population: Population, members: frozenset[str]) -> Alone | None:
        """Return a population that one call runs, if no source sends one frame all the time."""
        if len(members) > 1:
            return None
        edges = self.edges[population.name]
        if any(edge.hold and not population.once for edge in edges):
            return None
        inner = [edge for edge in edges if edge.source in members]
        outer = [edge for edge in edges if edge.source not in members]
        return Alone.of(population, self.neurons[population.name], outer, inner)

    def _run(
        self,
        populations: Sequence[Population],
        members: frozenset[str],
        arrays: Arrays,
        start: Starter,
    ) -> Iterable[Done]:
        """Run a stage of the plan: in one call where this can be told without looking closer."""
        alone = self._alone[populations[0].name]
        if alone is None or not alone.can_run(arrays):
            return super()._run(populations, members, arrays, start)
        assert isinstance(start, _Start)
        return (alone.run_whole(arrays, start.events, FastStage.room),)

    def _starter(self, arrays: Arrays) -> Starter:
        return _Start(self, arrays)

    def _blocks(self, populations: Sequence[Population], arrays: Arrays) -> Iterable[range]:
        """Yield all samples at once where one call runs them, since it makes blocks itself."""
        name = populations[0].name
        n_samples = arrays.sent[name].shape[1]
        if n_samples and len(populations) == 1 and len(self.edges[name]) <= 2:
            return [range(n_samples)]
        return super()._blocks(populations, arrays)


class _Start:
    """Starts populations, given what a run has sent so far."""

    def __init__(self, engine: FastEngine, arrays: Arrays) -> None:
        self._engine, self._arrays = engine, arrays
        self.events = _Sent(arrays.sent, engine.signed)

    def __call__(
        self, population: Population, samples: range, members: frozenset[str]
    ) -> FastStage:
        name = population.name
        edges, neurons = self._engine.edges[name], self._engine.neurons[name]
        return FastStage(population, edges, neurons, self._arrays, self.events, samples, members)


class _Sent(dict[str, Events]):
    """Payloads by source, as kernels take them, made when asked for."""

    def __init__(self, sent: dict[str, NDArray[Any]], signed: set[str]) -> None:
        super().__init__()
        self._sent, self._signed = sent, signed

    def __missing__(self, name: str) -> Events:
        self[name] = events = _events_of(self._sent[name], name in self._signed)
        return events


def _neurons_of(population: Population, layout: Layout, reach: float) -> AnyNeurons:
    """Return the neurons of a population, ready to start."""
    if population.table is not None:
        return TableNeurons(population, layout)
    if population.kind == "graded":
        return GradedNeurons(population, layout)
    if population.kind == "count":
        return CountingNeurons(population, layout)
    return FiringNeurons(population, layout, reach=reach)


def _kernels_into(network: IntNetwork, name: str) -> list[Kernel]:
    return [
        p.weight for p in network.projections if p.target == name and isinstance(p.weight, Kernel)
    ]


def _sums_for(n_steps: int, n_samples: int, n: int) -> Sums:
    """Return sums (steps, samples, n), zero, with the room behind them that kernels want."""
    size = n_steps * n_samples * n
    return np.zeros(size + LANES, np.int32)[:size].reshape(n_steps, n_samples, n)


def _events_of(sent: NDArray[np.generic], is_signed: bool) -> Events:
    """Return payloads as kernels take them: contiguous, one frame of those that are held.

    Kernels are compiled for arrays that may be written, so what may not is copied.
    """
    frames: NDArray[Any] = sent[:1] if is_held(sent) else sent
    kind = np.int16 if is_signed else np.uint8
    if not is_signed and frames.dtype.itemsize == 1:
        frames = frames.view(np.uint8)
    if frames.dtype != kind or not (frames.flags.c_contiguous and frames.flags.writeable):
        frames = frames.astype(kind, order="C")
    return frames
