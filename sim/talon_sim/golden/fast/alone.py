"""A population in one call: into which one edge leads at most, and one more from itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from talon.compiler.network import Population
from talon_sim.golden.arrays import Arrays
from talon_sim.golden.edges import Edge, is_held
from talon_sim.golden.fast.fused import run_stage
from talon_sim.golden.fast.neurons import AnyNeurons, Out, States, TableNeurons
from talon_sim.golden.fast.synapses import Events, Sums

_ARGUMENTS = (
    *("events", "rows", "windows", "row_product", "map_product", "lists", "picked"),
    *("own", "delay", "own_rows", "own_windows", "own_lists", "own_picked"),
    *("states", "firing", "advancing", "counting", "grading", "grading_windows"),
)
"""What ``run_stage`` takes after its base, in this order."""

_AT = {name: place for place, name in enumerate(_ARGUMENTS)}
_EVENTS, _OWN, _DELAY, _STATES = (_AT[name] for name in ("events", "own", "delay", "states"))


class Alone:
    """A population and the edges of which one call takes care.

    Attributes
    ----------
    outer, inner
        The edge from outside of its cycle, and the one from itself; None where there is none.
    """

    def __init__(
        self, population: Population, neurons: AnyNeurons, outer: Edge | None, inner: Edge | None
    ) -> None:
        self.population, self.outer, self.inner = population, outer, inner
        self._neurons = neurons
        self._n, self._is_silent = population.n, population.kind == "readout"

    @staticmethod
    def of(
        population: Population,
        neurons: AnyNeurons,
        outer: Sequence[Edge],
        inner: Sequence[Edge],
    ) -> Alone | None:
        """Return it, or None where edges, or neurons, are more than one call takes."""
        if isinstance(neurons, TableNeurons):  # tables are looked up by NumPy
            return None
        if max(len(outer), len(inner)) > 1 or (inner and population.once):
            return None
        if any(edge.delay or (edge.once and not population.once) for edge in outer):
            return None
        return Alone(population, neurons, next(iter(outer), None), next(iter(inner), None))

    def can_run(self, arrays: Arrays) -> bool:
        """Tell whether there is something to run, and no frame that is held."""
        if not arrays.sent[self.population.name].size:
            return False
        if self.outer is None or self.population.once:
            return True
        return not is_held(arrays.sent[self.outer.source])

    def run_whole(self, arrays: Arrays, events: Mapping[str, Events], room: int) -> Whole:
        """Run all samples and timesteps."""
        population, neurons = self.population, self._neurons
        n_steps, n_samples = arrays.sent[population.name].shape[:2]
        if population.once:
            n_steps = 1
        n_spikes, n_clamped = self.run(
            events, range(n_samples), n_steps, room, neurons.base, neurons.at_rest(n_samples),
            out_of(population, arrays),
        )  # fmt: skip
        updates = n_steps * n_samples * self._n
        return Whole(population, 0 if self._is_silent else n_spikes, n_clamped, updates)

    def run(
        self,
        events: Mapping[str, Events],
        samples: range,
        n_steps: int,
        room: int,
        base: Sums,
        states: States,
        out: Out,
    ) -> tuple[int, int]:
        """Run all timesteps of some samples.

        Parameters
        ----------
        events
            What sources send, (T, B, n), by name.
        room
            How many sums there may be at a time.
        base
            What is constant of each sum, (1 or samples, n).
        states
            Those of the samples, which are overwritten.

        Returns
        -------
        tuple
            Spikes, or payloads that are not zero, and saturations.
        """
        arguments: list[Any] = [None] * len(_ARGUMENTS)
        if self.outer is not None:
            arrives = arguments[_EVENTS] = events[self.outer.source]
            name, given = self.outer.synapses.way(arrives[0, samples.start])
            arguments[_AT[name]] = given
        if self.inner is not None:
            arguments[_OWN], arguments[_DELAY] = events[self.inner.source], self.inner.delay
            name, given = self.inner.synapses.way(None)
            arguments[_AT[f"own_{name}"]] = given
        name, given = self._neurons.way(n_steps, base, out)
        arguments[_AT[name]] = given
        arguments[_STATES] = states or None
        return run_stage(n_steps, samples.start, samples.stop, room, base, *arguments)


@dataclass(slots=True)
class Whole:
    """What a population counts that has run as a whole."""

    population: Population
    spikes: int
    saturations: int
    updates: int


def out_of(population: Population, arrays: Arrays) -> Out:
    """Return where a population writes."""
    name = population.name
    own, sent = arrays.own.get(name), arrays.sent[name]
    byte: Any = np.int16 if population.table is not None else np.uint8
    return Out(
        None if own is None or population.kind == "readout" else own.view(byte),
        None if population.pool is None else sent.view(byte),
        arrays.potentials.get(name),
    )
