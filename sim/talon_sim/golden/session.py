"""The golden model timestep by timestep, for events that come as it runs.

It computes what :mod:`talon_sim.golden.run` does with the same synapses and neurons, only one
timestep at a time: of what was sent, as many timesteps are kept as the longest delay reaches back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler.network import InputPort, IntArray, IntNetwork, Population
from talon.errors import BackendError
from talon_sim.golden.checks import check_network
from talon_sim.golden.edges import Edge, edges_of
from talon_sim.golden.kinds import neurons_of
from talon_sim.golden.order import plan_of
from talon_sim.golden.reach import drive_reach
from talon_sim.golden.windows import own_type, payload_type, send_windows

_ENDLESS = 1 << 62
"""Timesteps for which nothing may be proved that does not hold for ever."""


@dataclass(frozen=True, kw_only=True)
class GoldenStep:
    """What one timestep gave: arrays (1, n_samples, n) by population."""

    spikes: dict[str, NDArray[np.bool_ | np.uint8]]
    potentials: dict[str, NDArray[np.int32]]


class GoldenSession:
    """A run without an end, from a state of zero.

    Parameters
    ----------
    network
        An integer network that computes nothing once.
    n_samples
        Samples that run side by side.
    probe
        Record all populations, not the outputs alone.

    Raises
    ------
    BackendError
        The network holds frames of timestep 0, so it cannot take events as they come.
    """

    def __init__(self, network: IntNetwork, *, n_samples: int = 1, probe: bool = False) -> None:
        check_network(network)
        held = [p.source for p in network.projections if p.hold]
        held += [p.name for p in network.populations if p.once]
        if held:
            raise BackendError(
                f"{held[0]!r} is computed once, from frames that are held, so this program cannot "
                "take events as they come; compile with hoist=False"
            )
        self._ports = {port.name: port for port in network.inputs}
        self._n_samples = n_samples
        edges, reach = edges_of(network), drive_reach(network)
        deepest = 1 + max((edge.delay for into in edges.values() for edge in into), default=0)
        self._sent: dict[str, deque[NDArray[Any]]] = {
            name: deque(maxlen=deepest) for name in (*self._ports, *edges)
        }
        outputs = {output.population for output in network.outputs}
        self._stages: list[_Stage] = []
        sent_before = set(self._ports)
        for population in (p for populations, _ in plan_of(network) for p in populations):
            name = population.name
            # What a source that runs later has sent last is of the timestep before.
            arriving = [
                (edge, edge.delay - (edge.source not in sent_before)) for edge in edges[name]
            ]
            neurons = neurons_of(population, reach[name]).start(n_samples, _ENDLESS)
            records = probe or name in outputs
            stage = _Stage(population, arriving, neurons, n_samples, records=records, probe=probe)
            self._stages.append(stage)
            sent_before.add(name)
        self.n_steps = 0

    def step(self, inputs: Mapping[str, IntArray]) -> GoldenStep:
        """Run a timestep.

        Parameters
        ----------
        inputs
            Payloads of shape (1, n_samples, n) by input.

        Raises
        ------
        ValueError
            The inputs are not those of the network, or out of range.
        """
        if set(inputs) != set(self._ports):
            raise ValueError(f"Inputs must be {sorted(self._ports)}, not {sorted(inputs)}")
        for name, port in self._ports.items():
            self._sent[name].appendleft(self._checked(port, inputs[name]))
        step = GoldenStep(spikes={}, potentials={})
        # As in GoldenModel.run: OpenBLAS may leave the flag set, though nothing is invalid.
        with np.errstate(invalid="ignore"):
            for stage in self._stages:
                self._sent[stage.name].appendleft(stage.run(self._sent, step))
        self.n_steps += 1
        return step

    def close(self) -> None:
        """End the run; there is nothing to free."""

    def _checked(self, port: InputPort, payload: IntArray) -> NDArray[Any]:
        if payload.dtype.kind not in "iub":
            raise TypeError(f"Input {port.name!r} must hold integers, not {payload.dtype}")
        if payload.shape != (1, self._n_samples, port.n):
            raise ValueError(
                f"Input {port.name!r} must have the shape {(1, self._n_samples, port.n)}, "
                f"not {payload.shape}"
            )
        low = -port.payload_max if port.signed else 0
        if payload.size and not low <= payload.min() <= payload.max() <= port.payload_max:
            raise ValueError(
                f"Input {port.name!r} payloads must be between {low} and {port.payload_max}, "
                f"not {payload.min()} to {payload.max()}"
            )
        return payload[0].copy()


class _Stage:
    """One population, stepped."""

    def __init__(
        self,
        population: Population,
        edges: Sequence[tuple[Edge, int]],
        neurons: Any,
        n_samples: int,
        *,
        records: bool,
        probe: bool,
    ) -> None:
        self.name = population.name
        self._population, self._edges, self._neurons = population, edges, neurons
        shape = (1, n_samples, population.n)
        self._sums = np.empty(shape)
        self._shape = shape
        kind = population.kind
        self._gives_spikes = records and (
            kind in ("spike", "count") or (probe and kind == "graded")
        )
        self._gives_potentials = records and (probe or kind not in ("spike", "count"))
        self._is_graded = kind == "graded"

    def run(self, sent: Mapping[str, deque[NDArray[Any]]], step: GoldenStep) -> NDArray[Any]:
        """Advance by a timestep, record it, and return what the population sends."""
        population, sums = self._population, self._sums
        sums[:] = self._neurons.base
        for edge, age in self._edges:
            frames = sent[edge.source]
            if age < len(frames) and frames[age].any():
                edge.synapses.add_to(sums[0], frames[age])
        own = np.empty(self._shape, own_type(population))
        v = np.empty(self._shape) if self._gives_potentials and not self._is_graded else None
        self._neurons.advance(sums, own, v)
        if self._gives_spikes:
            step.spikes[self.name] = own != 0 if self._is_graded else own.copy()
        if self._gives_potentials:
            step.potentials[self.name] = (own if v is None else v).astype(np.int32)
        if population.pool is None:
            return own[0]
        out = np.empty((1, self._shape[1], population.n_sent), payload_type(population))
        send_windows(population, own, out)
        return out[0]
