"""The contract once more, neuron by neuron in Python integers: slow, and hard to get wrong."""

from __future__ import annotations

import numpy as np

from talon.arch import numerics
from talon.arch.memories import Reset
from talon.compiler.network import IntNetwork
from talon_sim.trace import Trace

RESETS = {
    "none": Reset.NONE,
    "zero": Reset.ZERO,
    "subtract": Reset.SUBTRACT,
    "hold": Reset.HOLD,
}


def run_scalar(network: IntNetwork, inputs: dict[str, np.ndarray]) -> Trace:
    """Run a network synapse by synapse and return its trace, with every counter."""
    n_steps, n_samples = next(iter(inputs.values())).shape[:2]
    populations = {p.name: p for p in network.populations}
    spikes = {p.name: np.zeros((n_steps, n_samples, p.n), bool) for p in network.populations}
    potentials = {name: np.zeros(s.shape, np.int32) for name, s in spikes.items()}
    events = {**inputs, **spikes}
    counters = dict.fromkeys(["events", "sops", "spikes", "updates", "saturations"], 0)
    params = {
        name: [
            numerics.NeuronParams(
                threshold=int(p.threshold[j]),
                bias=int(p.bias[j]),
                v_reset=int(p.v_reset[j]),
                decay=int(p.decay[j]),
                reset=RESETS[p.reset],
                reset_next=p.reset_next,
                strict=p.strict,
            )
            for j in range(p.n)
        ]
        for name, p in populations.items()
    }
    currents = {
        name: [
            numerics.CurrentParams(decay=int(a), bias=int(b))
            for a, b in zip(*p.current, strict=True)
        ]
        for name, p in populations.items()
        if p.current is not None
    }
    for b in range(n_samples):
        i_syn = {name: [0] * p.n for name, p in populations.items()}
        v = {name: [0] * p.n for name, p in populations.items()}
        for t in range(n_steps):
            for name, p in populations.items():
                acc = [0] * p.n
                for q in network.projections:
                    if q.target == name and t >= q.delay:
                        payloads = events[q.source][t - q.delay, b]
                        for i in np.flatnonzero(payloads):
                            for j in range(p.n):
                                acc[j] += int(q.weight[j, i]) * int(payloads[i])
                for j in range(p.n):
                    drive, frac, clamped = acc[j], p.frac, False
                    if name in currents:
                        i_syn[name][j], clamped = numerics.update_current(
                            i_syn[name][j], acc[j], currents[name][j], frac=p.frac
                        )
                        drive, frac = i_syn[name][j], 0
                    v[name][j], fired, saturated = numerics.update(
                        v[name][j], drive, params[name][j], frac=frac
                    )
                    spikes[name][t, b, j] = fired
                    potentials[name][t, b, j] = v[name][j]
                    counters["spikes"] += fired and p.kind == "spike"
                    counters["updates"] += 1
                    counters["saturations"] += saturated or clamped
    for q in network.projections:
        for i in np.argwhere(events[q.source])[:, 2]:
            counters["events"] += 1
            dense = q.form == "dense"
            counters["sops"] += len(q.weight) if dense else int(np.count_nonzero(q.weight[:, i]))
    return Trace(
        target="scalar",
        n_steps=n_steps,
        n_samples=n_samples,
        spikes={name: s for name, s in spikes.items() if populations[name].kind == "spike"},
        potentials=potentials,
        counters=counters,
    )
