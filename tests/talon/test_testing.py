"""The random networks must cover what they claim to, else tests with them prove little."""

from collections import Counter

import numpy as np
import pytest

from talon import ir
from talon.backend.cpu import simulate_float
from talon.testing import GraphLimits, random_graph, random_inputs, random_raster


def test_same_seed_gives_the_same_network():
    first, second = (random_graph(np.random.default_rng(8)) for _ in range(2))
    assert first.edges == second.edges
    assert first.delays == second.delays
    for name, node in first.nodes.items():
        for key, value in node.to_dict().items():
            np.testing.assert_array_equal(value, second.nodes[name].to_dict()[key])


def features(graph):
    """Give a word for everything that a network has."""
    for name, node in graph.nodes.items():
        yield type(node).__name__
        if isinstance(node, ir.Skip):
            yield node.mode
        if isinstance(node, ir.Neuron):
            yield f"{type(node).__name__} {node.reset} {node.reset_delay} {node.strict}"
            yield "v_reset" if node.v_reset.any() else "no v_reset"
        if isinstance(node, ir.LIF):
            yield "v_leak" if node.v_leak.any() else "no v_leak"
            yield "tau of 1" if (node.tau == 1).any() else "tau above 1"
        if isinstance(node, ir.IF):
            yield "gain" if (node.r != 1).any() else "no gain"
        if not isinstance(node, ir.Skip) and len(graph.predecessors(name)) > 1:
            yield "sum"
        if isinstance(node, ir.Output) and isinstance(
            graph.nodes[graph.predecessors(name)[0]], ir.Affine | ir.SpikingAffine
        ):
            yield "readout"
    for (src, dst), delay in graph.delays.items():
        yield f"delay {delay}"
        yield "self-loop" if src == dst else "delayed edge"
    yield f"inputs {len(graph.inputs)}"
    yield "outputs" if len(graph.outputs) > 1 else "one output"
    yield "feed-forward" if graph.is_dag else "recurrent"


@pytest.fixture(scope="module")
def networks():
    return [random_graph(np.random.default_rng(seed)) for seed in range(400)]


def test_every_feature_occurs(networks):
    found = Counter(feature for graph in networks for feature in set(features(graph)))
    modes = {
        f"{kind} {reset} {delay} {strict}"
        for kind in ("LIF", "IF")
        for reset in ("zero", "subtract", "none")
        for delay in (False, True)
        for strict in (False, True)
    }
    others = {
        *("Affine", "SpikingAffine", "LIF", "IF", "Flatten", "Skip", "residual", "concatenate"),
        *("passthrough", "v_reset", "no v_reset", "v_leak", "no v_leak", "tau of 1", "tau above 1"),
        *("gain", "no gain", "sum", "readout", "self-loop", "delayed edge", "inputs 1", "inputs 2"),
        *("outputs", "one output", "feed-forward", "recurrent"),
        *(f"delay {d}" for d in (1, 2, 3, 4)),
    }
    assert not {feature: n for feature in modes | others if (n := found[feature]) < 4}


def test_extensions_occur_and_leave_other_networks_as_they_are(networks):
    shares = {"synaptic": 0.5, "elementwise": 0.4, "integrators": 0.7, "readouts": 0.6}
    found = Counter(
        type(node).__name__
        for seed in range(200)
        for node in random_graph(np.random.default_rng(seed), GraphLimits(**shares)).nodes.values()
    )
    wanted = ("CubaLIF", "I", "LI", "CubaLI", "Scale", "Delay", "Threshold", "SumPool2d", "LIF")
    assert not {name: found[name] for name in wanted if found[name] < 10}
    usual = {type(node).__name__ for graph in networks for node in graph.nodes.values()}
    assert not usual & set(wanted[:-1])


def test_limits_are_kept():
    limits = GraphLimits(
        max_layers=3, max_neurons=200, max_inputs=30, max_delay=2, recurrence=0, skips=0, late=0
    )
    for seed in range(60):
        graph = random_graph(np.random.default_rng(seed), limits)
        neurons = [n for n in graph.nodes.values() if isinstance(n, ir.Neuron)]
        assert len(neurons) <= 3
        assert all(neuron.v_threshold.size <= 200 for neuron in neurons)
        assert all(np.prod(shape) <= 30 for shape in graph.input_type.values())
        assert graph.is_dag
        assert not graph.delays


def test_most_networks_neither_sleep_nor_saturate(networks):
    rates = []
    for seed, graph in enumerate(networks[:100]):
        inputs = random_inputs(np.random.default_rng(seed), graph, 20, 2)
        rates += [s.mean() for s in simulate_float(graph, inputs).spikes.values()]
    lively = np.mean([0.005 < rate < 0.95 for rate in rates])
    assert lively > 0.75


def test_rasters_have_their_rate():
    rng = np.random.default_rng(0)
    assert random_raster(rng, 50, 4, (2, 30), rate=0.3).mean() == pytest.approx(0.3, abs=0.02)
    assert not random_raster(rng, 5, 1, 9, rate=0).any()
    assert random_raster(rng, 5, 1, 9, rate=1).all()
