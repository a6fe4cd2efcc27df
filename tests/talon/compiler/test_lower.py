"""Lowering: what populations and synapses a graph means, and what it refuses."""

from dataclasses import dataclass

import numpy as np
import pytest

from talon.compiler.lower import ONE_POPULATION, lower
from talon.compiler.unmapped import find_unmapped
from talon.errors import MappingError, QuantizationError
from talon.ir import (
    IF,
    Affine,
    BatchNorm1d,
    ChannelSplit,
    Concat,
    Dropout,
    Flatten,
    Graph,
    HybridRegion,
    Input,
    Node,
    Output,
    Skip,
)
from talon.testing import GraphLimits, random_graph


def test_layers_become_populations_and_synapses(make_mlp):
    graph = make_mlp(5, 4, 3)
    network = lower(graph)
    assert [(p.name, p.n, p.kind) for p in network.populations] == [
        ("lif1", 4, "spike"),
        ("lif2", 3, "spike"),
    ]
    assert [(s.source, s.target, s.delay) for s in network.synapses] == [
        ("in", "lif1", 0),
        ("lif1", "lif2", 0),
    ]
    (output,) = network.outputs
    assert (output.name, output.population, output.kind) == ("out", "lif2", "spike")


def test_gain_of_the_neuron_is_in_its_synapses_and_bias(make_mlp):
    graph = make_mlp(5, 4)
    affine, neuron = graph.nodes["fc1"], graph.nodes["lif1"]
    neuron.r[:] = 2.0
    neuron.v_leak[:] = 0.5
    network = lower(graph)
    gain = (1 / 4.0) * 2.0
    np.testing.assert_allclose(network.synapses[0].weight, gain * affine.weight, rtol=1e-6)
    (population,) = network.populations
    np.testing.assert_allclose(population.bias, gain * affine.bias + 0.25 * 0.5, rtol=1e-6)
    np.testing.assert_allclose(population.decay, 0.75)


def test_consecutive_affines_fold_exactly(make_affine):
    rng = np.random.default_rng(0)
    first, second = make_affine(rng, 6, 5), make_affine(rng, 3, 6)
    nodes = {"in": Input((5,)), "a": first, "b": second, "out": Output((3,))}
    network = lower(Graph(nodes, [("in", "a"), ("a", "b"), ("b", "out")]))
    (synapses,) = network.synapses
    w1, w2 = first.weight.astype(np.float64), second.weight.astype(np.float64)
    np.testing.assert_allclose(synapses.weight, w2 @ w1)
    (readout,) = network.populations
    assert readout.kind == "readout"
    np.testing.assert_allclose(readout.bias, w2 @ first.bias.astype(np.float64) + second.bias)
    assert [p.where for p in network.placed] == ["host", "folded", "chip", "chip"]


def test_skips_become_identity_and_shifted_identity(make_lif):
    nodes = {
        "in": Input((2, 2)),
        "flat": Flatten(),
        "n1": make_lif(4),
        "add": Skip("residual"),
        "join": Skip("concatenate"),
        "n2": make_lif(8),
        "out": Output((8,)),
    }
    edges = [
        ("in", "flat"),
        ("flat", "n1"),
        ("flat", "add"),
        ("n1", "add"),
        ("n1", "join"),
        ("add", "join"),
        ("join", "n2"),
        ("n2", "out"),
    ]
    network = lower(Graph(nodes, edges))
    found = {(s.source, s.target): s.weight * 4.0 for s in network.synapses}
    eye, zero = np.eye(4), np.zeros((4, 4))
    np.testing.assert_allclose(found["in", "n1"], eye)
    np.testing.assert_allclose(found["in", "n2"], np.concatenate([zero, eye]))
    np.testing.assert_allclose(found["n1", "n2"], np.concatenate([eye, eye]))


def test_bias_behind_a_delay_comes_from_a_neuron_that_always_fires(make_mlp, make_affine):
    graph = make_mlp(5, 4)
    graph.nodes["rec"] = make_affine(np.random.default_rng(1), 4, 4)
    graph = Graph(
        graph.nodes, [*graph.edges, ("lif1", "rec"), ("rec", "lif1")], delays={("rec", "lif1"): 3}
    )
    network = lower(graph)
    (bias,) = [s for s in network.synapses if s.source == ONE_POPULATION]
    assert (bias.target, bias.delay) == ("lif1", 3)
    np.testing.assert_allclose(bias.weight[:, 0], graph.nodes["rec"].bias / 4.0, rtol=1e-6)
    ones = network.populations[0]
    assert (ones.name, ones.bias[0] >= ones.threshold[0]) == (ONE_POPULATION, True)


def test_delays_of_a_path_add_up_and_have_a_limit(make_mlp):
    graph = make_mlp(5, 4, 3)
    graph = Graph(graph.nodes, graph.edges, delays={("lif1", "fc2"): 2, ("fc2", "lif2"): 3})
    for node in ("fc1", "fc2"):
        graph.nodes[node].bias[:] = 0
    assert {s.target: s.delay for s in lower(graph).synapses} == {"lif1": 0, "lif2": 5}
    with pytest.raises(
        MappingError,
        match=r"^Node 'lif2' sees 'lif1' with a delay of 5 timesteps, but the array has at most 4;",
    ):
        lower(graph, max_delay=4)


def test_cycle_without_a_neuron_is_refused(make_affine):
    rng = np.random.default_rng(0)
    nodes = {"in": Input((3,)), "a": make_affine(rng, 3, 3), "out": Output((3,))}
    graph = Graph(nodes, [("in", "a"), ("a", "a"), ("a", "out")], delays={("a", "a"): 1})
    with pytest.raises(MappingError, match=r"^Cycle a -> a has no neuron.*put a LIF or IF node"):
        lower(graph)


@dataclass(eq=False, repr=False)
class Foreign(Node):
    def output_shape(self, shape):
        return shape


def test_foreign_node_is_named_with_ways_out():
    nodes = {"in": Input((3,)), "odd": Foreign(), "out": Output((3,))}
    graph = Graph(nodes, [("in", "odd"), ("odd", "out")])
    (unmapped,) = find_unmapped(graph)
    assert (unmapped.node, unmapped.type) == ("odd", "Foreign")
    assert len(unmapped.ways) > 1
    with pytest.raises(
        MappingError,
        match=r"^Node 'odd' \(Foreign\) cannot be mapped: the compiler lowers only Affine, .*; "
        "express it with these or ",
    ):
        lower(graph)


def test_if_neurons_keep_their_gain_and_do_not_leak(make_affine):
    rng = np.random.default_rng(0)
    ones = np.ones(3, np.float32)
    nodes = {
        "in": Input((4,)),
        "fc": make_affine(rng, 3, 4),
        "n": IF(ones, r=ones * 3, reset="subtract"),
        "out": Output((3,)),
    }
    network = lower(Graph(nodes, [("in", "fc"), ("fc", "n"), ("n", "out")]))
    np.testing.assert_allclose(network.synapses[0].weight, 3 * nodes["fc"].weight, rtol=1e-6)
    np.testing.assert_array_equal(network.populations[0].decay, 1)


@pytest.mark.parametrize("seed", range(40))
def test_lowered_graph_runs_as_the_float_simulation(seed, run_lowered):
    from talon.backend.cpu.simulator import simulate_float
    from talon.testing import random_inputs

    rng = np.random.default_rng(seed)
    more = GraphLimits(synaptic=0.5, elementwise=0.3, integrators=0.5)
    graph = random_graph(rng, more if seed % 2 else None)
    inputs = random_inputs(rng, graph, 8, 2)
    wanted = simulate_float(graph, inputs, dtype=np.float64)
    spikes, potentials = run_lowered(lower(graph), inputs, 8, 2)
    for name, found in potentials.items():
        if name in wanted.potentials:
            exact = wanted.potentials[name].reshape(found.shape)
            np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-6)
        if name in wanted.spikes:
            np.testing.assert_array_equal(spikes[name], wanted.spikes[name].reshape(found.shape))
    for port in lower(graph).outputs:
        kept = potentials if port.kind == "readout" else spikes
        found = kept[port.population]
        exact = wanted.outputs[port.name].reshape(found.shape)
        np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("node", "field", "what"),
    [("fc1", "weight", "weight"), ("fc1", "bias", "bias"), ("lif1", "v_threshold", "v_threshold")],
)
def test_values_beyond_the_arithmetic_are_refused_by_name(make_mlp, node, field, what):
    graph = make_mlp(5, 4)
    values = getattr(graph.nodes[node], field).astype(np.float64)
    values[0] = 1e300
    setattr(graph.nodes[node], field, values)
    with pytest.raises(
        QuantizationError,
        match=rf"^Node 'lif1' must have a {what} of magnitude 3\.4e\+38 at most, .*; scale weights",
    ):
        lower(graph)


def test_folded_layers_that_overflow_are_refused_by_name(make_mlp):
    graph = make_mlp(5, 4)
    graph.nodes["fc1"].weight = np.full((4, 5), 1e200)
    graph.nodes["fc0"] = Affine(np.full((5, 5), 1e200), np.zeros(5))
    graph = Graph(graph.nodes, [("in", "fc0"), ("fc0", "fc1"), *graph.edges[1:]])
    with pytest.raises(QuantizationError, match=r"^Node 'lif1' must have a weight .* not inf;"):
        lower(graph)


@pytest.mark.parametrize("maps", [False, True])
def test_vectors_are_normalized_split_and_joined(maps, make_affine, make_lif, run_lowered):
    from talon.backend.cpu.simulator import simulate_float

    rng = np.random.default_rng(0)
    norm = BatchNorm1d(6, *rng.uniform(0.5, 1.5, (4, 6)).astype(np.float32))
    nodes = {
        "in": Input((5,)),
        "fc": make_affine(rng, 6, 5, scale=2.0),
        "norm": norm,
        "split": ChannelSplit((2, 4)),
        "few": make_affine(rng, 3, 2),
        "join": Concat(2),
        "drop": Dropout(7),
        "region": HybridRegion("snn", 7),
        "n": make_lif(7, threshold=0.1),
        "out": Output((7,)),
    }
    edges = [("in", "fc"), ("fc", "norm"), ("norm", "split"), ("split", "few"), ("split", "join")]
    edges += [("few", "join"), ("join", "drop"), ("drop", "region"), ("region", "n"), ("n", "out")]
    graph = Graph(nodes, edges)
    x = {"in": rng.random((6, 2, 5)).astype(np.float32)}
    network = lower(graph, maps=maps)
    assert [s.weight.shape for s in network.synapses] == [(7, 5)]
    spikes, potentials = run_lowered(network, x, 6, 2)
    wanted = simulate_float(graph, x, dtype=np.float64)
    np.testing.assert_allclose(potentials["n"], wanted.potentials["n"], rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(spikes["n"], wanted.spikes["n"])
    assert spikes["n"].any()
