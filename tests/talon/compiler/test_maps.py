"""Lowering over feature maps: kernels, graded populations and pools mean what the graph means."""

import numpy as np
import pytest

from talon.backend.cpu.simulator import simulate_float
from talon.compiler.kernel import Kernel
from talon.compiler.lower import lower
from talon.testing import random_map_graph


def steps_of(graph, rng, n_steps=5, n_samples=2):
    shape = graph.inputs["input"].shape
    return {"input": rng.random((n_steps, n_samples, *shape)).astype(np.float32)}


@pytest.mark.parametrize("seed", range(120))
def test_lowered_maps_run_as_the_float_simulation(seed, run_lowered):
    rng = np.random.default_rng(seed)
    graph = random_map_graph(rng)
    network = lower(graph, maps=True)
    inputs = steps_of(graph, rng)
    wanted = simulate_float(graph, inputs, dtype=np.float64)
    spikes, potentials = run_lowered(network, inputs, 5, 2)
    assert any(isinstance(s.weight, Kernel) for s in network.synapses)
    for port in network.outputs:
        exact = wanted.outputs[port.name]
        kept = spikes if port.kind == "spike" else potentials
        found = kept[port.population].reshape(exact.shape)
        if port.kind == "graded":
            found = np.maximum(found, 0)
        np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-6)
