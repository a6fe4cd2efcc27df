"""The golden model: an integer network executed exactly, at the speed of floating-point BLAS.

A stage without feedback runs one matrix product over many timesteps and then its neurons; only
feedback is stepped timestep by timestep. Nothing here rounds: ``synapses`` and ``neurons`` say why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch import numerics
from talon.compiler.network import IntArray, IntNetwork, Population
from talon_sim.golden.checks import accumulator_reach, check_network
from talon_sim.golden.currents import SynapticNeurons
from talon_sim.golden.neurons import Neurons
from talon_sim.golden.order import is_cyclic, stages
from talon_sim.golden.synapses import Currents, Synapses
from talon_sim.trace import Trace

_CHUNK = 1 << 19
"""Values of a layer's input or drive held at a time: they stay in the second-level cache."""

Events = Mapping[str, NDArray[Any]]


def golden_run(network: IntNetwork, inputs: Mapping[str, IntArray], *, probe: bool = True) -> Trace:
    """Run a network once; see :meth:`GoldenModel.run`."""
    return GoldenModel(network).run(inputs, probe=probe)


class GoldenModel:
    """An integer network, checked and made ready to run.

    The counters of its traces are those of the array as far as they do not depend on the mapping.
    ``sops`` counts for each event the target neurons of a ``dense`` projection, and the weights
    that are not zero for the other forms; ``events`` counts each event once a projection;
    ``spikes``, ``updates`` and ``saturations`` count neurons. Events that are still on their way
    after the last timestep count, since the array delivers them.
    """

    def __init__(self, network: IntNetwork) -> None:
        check_network(network)
        self.network = network
        self._populations = {population.name: population for population in network.populations}
        self._synapses: dict[str, list[Synapses]] = {name: [] for name in self._populations}
        for projection in network.projections:
            frac = self._populations[projection.target].frac
            self._synapses[projection.target].append(Synapses(projection, frac=frac))
        self._reach = {
            name: _reach_of(self._populations[name], reach)
            for name, reach in accumulator_reach(network).items()
        }
        self._stages = [(stage, is_cyclic(network, stage)) for stage in stages(network)]

    def run(self, inputs: Mapping[str, IntArray], *, probe: bool = True) -> Trace:
        """Run all samples from a state of zero.

        Parameters
        ----------
        inputs
            Payloads of shape (T, B, n) by input; a zero stride over time means a held frame, whose
            currents are computed once.
        probe
            Record spikes and potentials of every population, not of the outputs alone.
        """
        n_steps, n_samples = self._check_inputs(inputs)
        observed = self._observed(probe)
        events: dict[str, NDArray[Any]] = dict(inputs)
        potentials: dict[str, NDArray[np.int32]] = {}
        neurons: dict[str, Neurons] = {}
        for name, population in self._populations.items():
            shape = (n_steps, n_samples, population.n)
            kind = Neurons if population.current is None else SynapticNeurons
            neurons[name] = kind(population, n_samples=n_samples, reach=self._reach[name])
            events[name] = np.empty(shape, np.bool_)
            if name in observed and (probe or population.kind == "readout"):
                potentials[name] = np.empty(shape, np.int32)
        for stage, cyclic in self._stages:
            run_stage = self._run_cycle if cyclic else self._run_stage
            run_stage(stage, events, potentials, neurons)
        return Trace(
            target="golden",
            n_steps=n_steps,
            n_samples=n_samples,
            spikes={
                name: events[name]
                for name, population in self._populations.items()
                if name in observed and population.kind == "spike"
            },
            potentials=potentials,
            counters=self._count(events, neurons),
        )

    def _observed(self, probe: bool) -> set[str]:
        if probe:
            return set(self._populations)
        return {output.population for output in self.network.outputs}

    def _check_inputs(self, inputs: Mapping[str, IntArray]) -> tuple[int, int]:
        ports = {port.name: port for port in self.network.inputs}
        if set(inputs) != set(ports):
            raise ValueError(f"Inputs must be {sorted(ports)}, not {sorted(inputs)}")
        shape = next(iter(inputs.values())).shape[:2]
        for name, port in ports.items():
            payload = inputs[name]
            if payload.dtype.kind not in "iub":
                raise TypeError(f"Input {name!r} must hold integers, not {payload.dtype}")
            if payload.shape != (*shape, port.n):
                raise ValueError(
                    f"Input {name!r} must have the shape (T, B, {port.n}) with T and B of all "
                    f"inputs, not {payload.shape}"
                )
            low = -port.payload_max if port.signed else 0
            frames = _distinct(payload)
            if frames.size and not low <= frames.min() <= frames.max() <= port.payload_max:
                raise ValueError(
                    f"Input {name!r} payloads must be between {low} and {port.payload_max}, "
                    f"not {frames.min()} to {frames.max()}"
                )
        return shape

    def _run_stage(
        self,
        stage: Sequence[str],
        events: dict[str, NDArray[Any]],
        potentials: dict[str, NDArray[np.int32]],
        neurons: dict[str, Neurons],
    ) -> None:
        """Run the one population of a stage without feedback, many timesteps at a time."""
        (name,) = stage
        n_steps, n_samples, n = events[name].shape
        widest = max([n, *(synapses.n_source for synapses in self._synapses[name])])
        chunk = max(1, _CHUNK // max(1, n_samples * widest))
        held = self._held_currents(name, events)
        buffer = np.empty((min(chunk, n_steps), n_samples, n))
        v = np.empty_like(buffer) if name in potentials else None
        for start in range(0, n_steps, chunk):
            steps = range(start, min(start + chunk, n_steps))
            drive = self._drive(name, events, steps, held, buffer)
            kept = None if v is None else v[: len(steps)]
            neurons[name].advance(drive, events[name][start : steps.stop], kept)
            if kept is not None:
                potentials[name][start : steps.stop] = kept

    def _run_cycle(
        self,
        stage: Sequence[str],
        events: dict[str, NDArray[Any]],
        potentials: dict[str, NDArray[np.int32]],
        neurons: dict[str, Neurons],
    ) -> None:
        """Run populations that feed each other, one timestep at a time."""
        n_steps = len(events[stage[0]])
        held = {name: self._held_currents(name, events) for name in stage}
        buffers = {name: np.empty((1, *events[name].shape[1:])) for name in stage}
        for t in range(n_steps):
            for name in stage:
                steps = range(t, t + 1)
                drive = self._drive(name, events, steps, held[name], buffers[name])
                v = np.empty_like(drive) if name in potentials else None
                neurons[name].advance(drive, events[name][t : t + 1], v)
                if v is not None:
                    potentials[name][t] = v[0]

    def _held_currents(self, name: str, events: Events) -> dict[int, Currents]:
        """Return the currents of sources that hold one frame, by position of the projection."""
        return {
            i: synapses.currents(events[synapses.source][0])
            for i, synapses in enumerate(self._synapses[name])
            if _is_held(events[synapses.source])
        }

    def _drive(
        self,
        name: str,
        events: Events,
        steps: range,
        held: Mapping[int, Currents],
        out: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Write scaled currents plus their bias of some timesteps into the start of ``out``."""
        population: Population = self._populations[name]
        drive = out[: len(steps)]
        drive[:] = population.bias if population.i_bias is None else population.i_bias
        for i, synapses in enumerate(self._synapses[name]):
            first = max(steps.start - synapses.delay, 0)
            stop = steps.stop - synapses.delay
            if stop <= first:
                continue
            arrives = drive[first + synapses.delay - steps.start :]
            if i in held:
                arrives += held[i]
            else:
                flat = events[synapses.source][first:stop].reshape(-1, synapses.n_source)
                arrives += synapses.currents(flat).reshape(arrives.shape)
        return drive

    def _count(self, events: Events, neurons: Mapping[str, Neurons]) -> dict[str, int]:
        counters = {"events": 0, "sops": 0}
        for synapses in (synapses for target in self._synapses.values() for synapses in target):
            frames = _distinct(events[synapses.source])
            repeats = len(events[synapses.source]) // max(1, len(frames))
            flat = frames.reshape(-1, synapses.n_source)
            counters["events"] += repeats * int(np.count_nonzero(flat))
            counters["sops"] += repeats * synapses.count_sops(flat)
        fired = [events[p.name] for p in self.network.populations if p.kind == "spike"]
        counters["spikes"] = sum(int(np.count_nonzero(spikes)) for spikes in fired)
        counters["updates"] = sum(events[name].size for name in self._populations)
        counters["saturations"] = sum(group.saturations for group in neurons.values())
        return counters


def _reach_of(population: Population, sums: NDArray[np.int64]) -> float:
    """Return the largest magnitude of what drives a potential, from that of a timestep's sums."""
    reach = int(sums.max(initial=0)) << population.frac
    if population.current is not None:
        reach = -numerics.V_MIN  # currents saturate
    return float(reach + np.abs(population.bias.astype(np.int64)).max(initial=0))


def _is_held(frames: NDArray[Any]) -> bool:
    return len(frames) > 1 and frames.strides[0] == 0


def _distinct(frames: NDArray[Any]) -> NDArray[Any]:
    """Return one frame of those that are held, else all."""
    return frames[:1] if _is_held(frames) else frames
