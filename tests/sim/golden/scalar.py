"""The contract once more, neuron by neuron in Python integers: slow, and hard to get wrong."""

from __future__ import annotations

import numpy as np

from talon.arch import numerics
from talon.arch.memories import Reset
from talon.compiler.kernel import Kernel
from talon.compiler.network import IntNetwork, Population
from talon_sim.trace import Trace

RESETS = {
    "none": Reset.NONE,
    "zero": Reset.ZERO,
    "subtract": Reset.SUBTRACT,
    "hold": Reset.HOLD,
    "double": Reset.DOUBLE,
}


def run_scalar(network: IntNetwork, inputs: dict[str, np.ndarray]) -> Trace:
    """Run a network synapse by synapse and return its trace, with every counter."""
    n_steps, n_samples = next(iter(inputs.values())).shape[:2]
    populations = {p.name: p for p in network.populations}
    own = {p.name: np.zeros((n_steps, n_samples, p.n), int) for p in network.populations}
    potentials = {name: np.zeros(s.shape, np.int32) for name, s in own.items()}
    sent = {p.name: np.zeros((n_steps, n_samples, p.n_sent), int) for p in network.populations}
    events = {**inputs, **sent}
    counters = dict.fromkeys(["events", "sops", "spikes", "updates", "saturations"], 0)
    neurons = {name: neurons_of(p) for name, p in populations.items()}
    weights = [
        q.weight.dense() if isinstance(q.weight, Kernel) else q.weight for q in network.projections
    ]
    for b in range(n_samples):
        for group in neurons.values():
            for neuron in group:
                neuron.rest()
        for t in range(n_steps):
            for name, p in populations.items():
                if p.once and t:
                    potentials[name][t, b] = potentials[name][0, b]
                    continue
                acc = [0] * p.n
                for q, weight in zip(network.projections, weights, strict=True):
                    at = 0 if q.hold else t - q.delay
                    if q.target == name and at >= 0:
                        payloads = events[q.source][at, b]
                        for i in np.flatnonzero(payloads):
                            for j in range(p.n):
                                acc[j] += int(weight[j, i]) * int(payloads[i])
                for j, neuron in enumerate(neurons[name]):
                    value, v, saturated = neuron.update(acc[j])
                    own[name][t, b, j] = value
                    potentials[name][t, b, j] = v
                    counters["spikes"] += value != 0 and p.kind != "readout"
                    counters["updates"] += 1
                    counters["saturations"] += saturated
                sent[name][t, b] = windows(p, own[name][t, b])
    for q, weight in zip(network.projections, weights, strict=True):
        seen = events[q.source][:1] if q.hold else events[q.source]
        for i in np.argwhere(seen)[:, 2]:
            counters["events"] += 1
            dense = q.form == "dense"
            counters["sops"] += len(weight) if dense else int(np.count_nonzero(weight[:, i]))
    return Trace(
        target="scalar",
        n_steps=n_steps,
        n_samples=n_samples,
        spikes={
            name: s if populations[name].kind == "count" else s != 0
            for name, s in own.items()
            if populations[name].kind != "readout"
        },
        potentials=potentials,
        counters=counters,
    )


class Neuron:
    """One neuron of ``talon.arch.numerics`` and its state."""

    def __init__(self, p: Population, j: int) -> None:
        self.frac = p.frac
        self.params = numerics.NeuronParams(
            threshold=int(p.threshold[j]),
            bias=int(p.bias[j]),
            v_reset=int(p.v_reset[j]),
            decay=int(p.decay[j]),
            reset=RESETS[p.reset],
            reset_next=p.reset_next,
            strict=p.strict,
        )
        self.current = None
        if p.current is not None:
            decay, bias = p.current
            self.current = numerics.CurrentParams(decay=int(decay[j]), bias=int(bias[j]))
        self.rest()

    def rest(self) -> None:
        self.v = self.i = 0

    def update(self, acc: int) -> tuple[int, int, bool]:
        """Return spike, potential and whether the update saturated."""
        drive, frac, clamped = acc, self.frac, False
        if self.current is not None:
            self.i, clamped = numerics.update_current(self.i, acc, self.current, frac=frac)
            drive, frac = self.i, 0
        self.v, fired, saturated = numerics.update(self.v, drive, self.params, frac=frac)
        return int(fired), self.v, saturated or clamped


class Rectifier:
    """One graded neuron."""

    def __init__(self, p: Population, j: int) -> None:
        self.params = numerics.GradedParams(
            multiplier=int(p.decay[j]), offset=int(p.v_reset[j]), payload_max=int(p.threshold[j])
        )
        self.table = None if p.table is None else p.table.tolist()

    def rest(self) -> None:
        """There is no state."""

    def update(self, acc: int) -> tuple[int, int, bool]:
        """Return the payload, twice, and that nothing saturates."""
        payload = numerics.graded(acc, self.params)
        if self.table is not None:
            payload = numerics.looked_up(acc, self.params, self.table)
        return payload, payload, False


class Counter:
    """One neuron that counts."""

    def __init__(self, p: Population, j: int) -> None:
        self.params = numerics.CountingParams(
            gain=int(p.gain[j]),
            max_spikes=int(p.threshold[j]) >> numerics.COUNT_BITS,
            bias=int(p.bias[j]),
            v_reset=int(p.v_reset[j]),
            decay=int(p.decay[j]),
            reset=RESETS[p.reset],
            strict=p.strict,
        )
        self.rest()

    def rest(self) -> None:
        self.v = 0

    def update(self, acc: int) -> tuple[int, int, bool]:
        """Return how often it fires, potential and whether the update saturated."""
        self.v, count, saturated = numerics.update_counting(self.v, acc, self.params)
        return count, self.v, saturated


def neurons_of(p: Population) -> list[Neuron | Rectifier | Counter]:
    kind = {"graded": Rectifier, "count": Counter}.get(p.kind, Neuron)
    return [kind(p, j) for j in range(p.n)]


def windows(p: Population, values: np.ndarray) -> np.ndarray:
    """Return what a population sends, window by window."""
    if p.pool is None:
        return values
    maps, (rows, columns) = values.reshape(p.shape), p.pool.size
    out = np.zeros(p.sent_shape, int)
    for c, y, x in np.ndindex(out.shape):
        window = maps[c, y * rows : (y + 1) * rows, x * columns : (x + 1) * columns]
        largest = int(window.max()) if p.pool.kind == "max" else min(255, int(window.sum()))
        out[c, y, x] = largest
    return out.reshape(-1)
