"""A run, stage after stage: some samples and many timesteps of a stage at a time.

What is said here holds for NumPy (``run``) and for compiled kernels (``fast.stages``): which sums
are constant, which events arrive when, what runs together. How sums and neurons are computed is
theirs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from talon.compiler.network import Population
from talon_sim.golden.arrays import Arrays
from talon_sim.golden.edges import Edge, is_held
from talon_sim.golden.order import Plan

Sums = NDArray[Any]

_NOBODY: frozenset[str] = frozenset()

_STATES = 1 << 15
"""Neurons times samples that run at a time: their state stays near."""


class Stage(ABC):
    """One population with what feeds it, started for some samples.

    Everything that feeds it from outside of its cycle must have run.

    Attributes
    ----------
    spikes, saturations
        Counted so far.
    """

    room: ClassVar[int]
    """Values of a layer's input or sums held at a time: they stay in the second-level cache."""

    def __init__(
        self,
        population: Population,
        edges: Sequence[Edge],
        arrays: Arrays,
        samples: range,
        members: frozenset[str],
    ) -> None:
        self.population, self.samples = population, samples
        self.spikes = self.saturations = 0
        self.n_steps = len(arrays.sent[population.name])
        if population.once:
            self.n_steps = min(1, self.n_steps)
        self._inner = [edge for edge in edges if edge.source in members] if members else []
        self._outer: list[Edge] = []
        self._late: list[tuple[int, Sums]] = []
        self._sent = arrays.sent
        self._edges = edges
        self._steps, self._given = range(0), np.empty(0)

    def _split(self) -> None:
        """Sum what is constant; keep other edges for each timestep."""
        for edge in self._edges:
            if edge in self._inner:
                continue
            # What updates once has no use for a sum that is kept.
            if self.population.once or not (edge.hold or is_held(self._sent[edge.source])):
                self._outer.append(edge)
            elif edge.delay:
                self._late.append((edge.delay, self._held(edge)))
            else:
                self._keep(edge)
        # The first edge that all timesteps need may write the sums: it comes first.
        if len(self._outer) > 1:
            self._outer.sort(key=lambda edge: not self._is_needed_always(edge))

    def _is_needed_always(self, edge: Edge) -> bool:
        return edge.delay == 0 and (self.population.once or not edge.once)

    @property
    def updates(self) -> int:
        """Number of updates of all timesteps."""
        return self.n_steps * len(self.samples) * self.population.n

    @property
    def width(self) -> int:
        """Sums of a timestep."""
        return len(self.samples) * self.population.n

    def run(self) -> None:
        """Run all timesteps, a chunk at a time: nothing that feeds the population waits for it."""
        for steps in _chunks(self.n_steps, self.room, self._widest()):
            self._advance(steps, self._sums(steps))

    def _widest(self) -> int:
        """Return how many values a timestep holds."""
        return self.width

    def prepare(self, steps: range) -> None:
        """Sum what comes from outside of the cycle in these timesteps."""
        self._steps = range(steps.start, min(steps.stop, self.n_steps))
        if self._steps:  # else it updates once
            self._given = self._sums(self._steps)

    def step(self, t: int) -> None:
        """Run a timestep that was prepared."""
        if t not in self._steps:
            return
        steps, sums = range(t, t + 1), self._given[t - self._steps.start :][:1]
        for edge in self._inner:
            self._add(edge, steps, sums)
        self._advance(steps, sums)

    def run_alone(self) -> bool:
        """Run all timesteps of a population that feeds itself alone, if this can be, at once."""
        return False

    def _sums(self, steps: range) -> Sums:
        """Return the sums (steps, samples, n) of all but inner edges."""
        sums, outer = self._room(len(steps)), self._outer
        if outer and self._is_needed_always(outer[0]):
            first, *outer = outer
            self._write(first, steps, sums)
        else:
            self._clear(sums)
        for delay, currents in self._late:
            sums[max(delay - steps.start, 0) :] += currents
        for edge in outer:
            self._add(edge, steps, sums)
        return sums

    def _add(self, edge: Edge, steps: range, sums: Sums) -> None:
        """Add the currents of an edge in these timesteps."""
        first = max(steps.start - edge.delay, 0)
        last = 1 if edge.once else len(self._sent[edge.source])
        stop = min(steps.stop - edge.delay, last)
        if stop > first:
            arrives = sums[first + edge.delay - steps.start :][: stop - first]
            self._add_events(edge, range(first, stop), arrives)

    @abstractmethod
    def _held(self, edge: Edge) -> Sums:
        """Return the sums (samples, n) of a frame that is held."""

    @abstractmethod
    def _keep(self, edge: Edge) -> None:
        """Add the sums of a frame that is held to what each timestep has."""

    @abstractmethod
    def _room(self, n_steps: int) -> Sums:
        """Return an array (steps, samples, n) for sums, which the next one overwrites."""

    @abstractmethod
    def _clear(self, sums: Sums) -> None:
        """Write what sums are without events."""

    @abstractmethod
    def _write(self, edge: Edge, steps: range, sums: Sums) -> None:
        """Write these and the currents of an edge that arrive at once."""

    @abstractmethod
    def _add_events(self, edge: Edge, steps: range, sums: Sums) -> None:
        """Add the currents of events that were sent in these timesteps."""

    @abstractmethod
    def _advance(self, steps: range, sums: Sums) -> None:
        """Advance the neurons by these timesteps, given their sums."""


class Done(Protocol):
    """What a run of a population for some samples counts."""

    population: Population
    spikes: int
    saturations: int

    @property
    def updates(self) -> int:
        """Number of updates of all timesteps."""
        ...


Starter = Callable[[Population, range, frozenset[str]], Stage]
"""Starts a population for some samples, with the members of its cycle, or none."""


class Engine(ABC):
    """Runs a network.

    Attributes
    ----------
    edges
        The projections into each population, ready to run.
    """

    edges: dict[str, list[Edge]]

    def __init__(self, plan: Plan) -> None:
        self._plan = [
            (populations, frozenset(p.name for p in populations) if is_cyclic else _NOBODY)
            for populations, is_cyclic in plan
        ]

    @cached_property
    def every_edge(self) -> list[Edge]:
        """All projections, ready to run."""
        return [edge for into in self.edges.values() for edge in into]

    def run(self, arrays: Arrays) -> tuple[dict[str, int], dict[str, int]]:
        """Run all samples of ``arrays``.

        Returns
        -------
        counters
            ``spikes``, ``updates`` and ``saturations``.
        n_sent
            How many payloads populations without a pool have sent.
        """
        n_spikes = n_updates = n_saturated = 0
        n_sent: dict[str, int] = {}
        start = self._starter(arrays)
        for populations, members in self._plan:
            for done in self._run(populations, members, arrays, start):
                n_spikes += done.spikes
                n_updates += done.updates
                n_saturated += done.saturations
                if done.population.pool is None:
                    name = done.population.name
                    n_sent[name] = n_sent.get(name, 0) + done.spikes
        counters = {"spikes": n_spikes, "updates": n_updates, "saturations": n_saturated}
        return counters, n_sent

    def _run(
        self,
        populations: Sequence[Population],
        members: frozenset[str],
        arrays: Arrays,
        start: Starter,
    ) -> Iterable[Done]:
        """Run a stage of the plan, some samples after the other; yield what has been done."""
        for samples in self._blocks(populations, arrays):
            stages = [start(p, samples, members) for p in populations]
            if members:
                _run_together(stages)
            else:
                stages[0].run()
            yield from stages

    def _blocks(self, populations: Sequence[Population], arrays: Arrays) -> Iterable[range]:
        """Yield as many samples at a time as the states of the widest population leave room for."""
        n_samples = arrays.sent[populations[0].name].shape[1]
        block = max(1, _STATES // max(p.n for p in populations))
        for first in range(0, n_samples, block):
            yield range(first, min(first + block, n_samples))

    @abstractmethod
    def _starter(self, arrays: Arrays) -> Starter:
        """Return what starts the stages of a run."""


def _chunks(n_steps: int, room: int, width: int) -> Iterable[range]:
    chunk = max(1, room // max(1, width))
    for start in range(0, n_steps, chunk):
        yield range(start, min(start + chunk, n_steps))


def _run_together(stages: Sequence[Stage]) -> None:
    """Run populations that feed each other, timestep by timestep."""
    if len(stages) == 1 and stages[0].run_alone():
        return
    n_steps = max(stage.n_steps for stage in stages)
    width = sum(stage.width for stage in stages)
    for steps in _chunks(n_steps, stages[0].room, width):
        for stage in stages:
            stage.prepare(steps)
        for t in steps:
            for stage in stages:
                stage.step(t)
