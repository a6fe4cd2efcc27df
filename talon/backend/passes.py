"""Passes one after another: the host records what a pass sends and feeds it to later ones.

All timesteps of all samples go through a pass before the next one begins.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from talon.arch.numerics import PAYLOAD_MAX
from talon.backend.target import Progress, Run, Runnable, Target
from talon.backend.trace import Trace
from talon.compiler.hoist import held_inputs
from talon.compiler.network import IntArray, IntNetwork, Population
from talon.compiler.passes.flow import Flow
from talon.compiler.passes.parts import Part, part_of

Array = NDArray[Any]


class Passing(Runnable, Protocol):
    """A program of several passes."""

    @property
    def passes(self) -> Sequence[Runnable]:
        """The programs of one image each."""
        ...

    @property
    def flows(self) -> Sequence[Flow]:
        """What the host does between them."""
        ...


def has_passes(program: Runnable) -> bool:
    """Tell whether a program has several passes, so that its file is not one image."""
    return len(getattr(program, "passes", ())) > 1


def image_of(program: Runnable) -> bytes:
    """Return the bytes of the one image of a program, without what the host computes around it."""
    passes = getattr(program, "passes", ())
    return passes[0].image if len(passes) == 1 else program.image


def run_passes(
    target: Target,
    program: Passing,
    inputs: Mapping[str, IntArray],
    *,
    probe: bool = False,
    progress: Progress | None = None,
) -> Trace:
    """Run the passes of a program on a target and return one record of them all.

    Parameters
    ----------
    target
        Runs each pass.
    program
        A program of several passes.
    inputs
        Payloads of shape (T, B, n) by input of the whole network.
    probe, progress
        As in :meth:`talon.backend.target.Target.run`.
    """
    network = program.network
    known: dict[str, Array] = dict(inputs)
    merged = _Merged(network, probe=probe)
    for number, (one, flow) in enumerate(zip(program.passes, program.flows, strict=True)):
        taken = _taken(one, flow, known)
        run = target.run(
            one, taken, probe=probe, progress=_shared(progress, number, len(program.passes))
        )
        for name, part in flow.sends.items():
            _record(known, network, part, run, name)
        merged.add(number, flow, run)
    return merged.trace()


def _taken(one: Runnable, flow: Flow, known: Mapping[str, Array]) -> dict[str, Array]:
    """Return the payloads that enter a pass, of what is known of the whole network."""
    held = held_inputs(one.network)
    taken: dict[str, Array] = {}
    for port, source in flow.sources.items():
        payloads = known[source]
        if port in flow.rests:
            rest = flow.rests[port].within(payloads)
            payloads = rest.reshape(*payloads.shape[:2], -1)
        if port in held:
            payloads = np.broadcast_to(payloads[:1], payloads.shape)
        taken[port] = payloads
    return taken


def _shared(progress: Progress | None, number: int, n_passes: int) -> Progress | None:
    """Return the progress of one pass of several."""
    if progress is None:
        return None
    return lambda done, total: progress((number * total + done) // n_passes, total)


def _record(known: dict[str, Array], network: IntNetwork, part: Part, run: Run, name: str) -> None:
    """Write what a part of a population sent, as payloads (T, B, n), to those of the whole."""
    population = next(p for p in network.populations if p.name == part.population)
    received = run.potentials[name] if population.kind == "graded" else run.spikes[name]
    sent = _payloads(part_of(population, part), received)
    if population.once and len(sent) > 1:
        sent[1:] = 0
    if part.is_whole:
        known[part.population] = sent
        return
    if part.population not in known:
        shape = (*sent.shape[:2], population.n_sent)
        known[part.population] = np.zeros(shape, sent.dtype)
    _fill(part.sent(population), known[part.population], sent)


def _fill(part: Part, values: Array, own: Array) -> None:
    """Write the values (T, B, n) of a part into those of the whole population."""
    place = part.within(values)
    place[:] = own.reshape(place.shape)


def _payloads(population: Population, received: Array) -> Array:
    """Return what a population sends: of windows, if the host received what its neurons do."""
    pool = population.pool
    values = received.astype(np.int16 if population.signed else np.uint8)
    if pool is None or received.shape[2] != population.n:
        return values
    channels, height, width = population.shape
    rows, columns = pool.size
    shape = (*values.shape[:2], channels, height // rows, rows, width // columns, columns)
    blocks = values.reshape(shape)
    if pool.kind == "max":
        windows = blocks.max(axis=(4, 6))
    else:
        windows = np.minimum(blocks.sum(axis=(4, 6), dtype=np.uint16), PAYLOAD_MAX)
    return windows.astype(values.dtype).reshape(*values.shape[:2], population.n_sent)


class _Merged:
    """The records of the passes, as they become one."""

    def __init__(self, network: IntNetwork, *, probe: bool) -> None:
        self._populations = {p.name: p for p in network.populations}
        outputs = {port.population for port in network.outputs}
        self._kept = set(self._populations) if probe else outputs
        self._arrays: dict[str, dict[str, Array]] = {"spikes": {}, "potentials": {}}
        self._unseen: set[str] = set()
        self._runs: list[Trace] = []
        self._cores: list[dict[str, int]] = []

    def add(self, number: int, flow: Flow, run: Run) -> None:
        """Take the record of one pass."""
        self._unseen |= {
            part.population
            for name, part in flow.parts.items()
            if self._populations[part.population].kind == "count" and name not in run.spikes
        }
        for what, arrays in self._arrays.items():
            found = getattr(run, what)
            for name, part in flow.parts.items():
                if name in found and part.population in self._kept:
                    self._put(arrays, part, found[name])
        cores = [dict(core) for core in getattr(run, "cores", ())]
        self._cores += [{"pass": number, **core} for core in cores]
        self._runs.append(
            Trace(
                target=run.target,
                n_steps=run.n_steps,
                n_samples=run.n_samples,
                spikes={},
                potentials={},
                counters=dict(run.counters),
                cycles=run.cycles,
                cores=cores,
            )
        )

    def _put(self, arrays: dict[str, Array], part: Part, values: Array) -> None:
        name, population = part.population, self._populations[part.population]
        if part.is_whole:
            arrays[name] = values
            return
        if values.shape[2] != part.n:
            part = part.sent(population)
        if name not in arrays:
            arrays[name] = np.zeros((*values.shape[:2], math.prod(part.shape)), values.dtype)
        _fill(part, arrays[name], values)

    def trace(self) -> Trace:
        """Return the one record."""
        counters: Counter[str] = Counter()
        for run in self._runs:
            counters.update(run.counters)
        cycles = [run.cycles for run in self._runs if run.cycles is not None]
        order = list(self._populations)
        for name in self._unseen:  # how often neurons fired is not known of all of its parts
            self._arrays["spikes"].pop(name, None)
        spikes, potentials = (
            dict(sorted(arrays.items(), key=lambda item: order.index(item[0])))
            for arrays in self._arrays.values()
        )
        return replace(
            self._runs[-1],
            spikes=spikes,
            potentials=potentials,
            counters=dict(counters),
            cycles=np.sum(cycles, axis=0) if len(cycles) == len(self._runs) else None,
            cores=self._cores,
            passes=self._runs,
        )
