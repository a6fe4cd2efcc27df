"""What depends on held frames alone is computed once, and nothing that is seen changes."""

from itertools import pairwise

import numpy as np
import pytest

from talon.arch.params import preset
from talon.backend.inputs import prepare_inputs
from talon.backend.programs import held_names, statistics_of
from talon.compiler.compile import quantize_graph
from talon.compiler.hoist import held_inputs, hoist
from talon.compiler.inputs import quantize_inputs
from talon.errors import QuantizationError
from talon.ir import IF, Conv2d, Graph, Input, Output, ReLU
from talon.testing import random_map_graph

HW = preset("zynq_us_plus_map")
STEPS, SAMPLES = 5, 2


def conv(rng, n_out, n_in):
    weight = rng.normal(0.1, 0.4, (n_out, n_in, 3, 3)).astype(np.float32)
    return Conv2d(weight, np.zeros(n_out, np.float32), padding=1)


def spiking(n):
    return IF(np.full(n, 0.7, np.float32), reset="subtract")


def chain(*nodes):
    named = {"input": Input((2, 6, 6)), **{f"n{k}": node for k, node in enumerate(nodes)}}
    named["output"] = Output((2, 6, 6))
    return Graph(named, list(pairwise(named)))


def held_network(graph, rng, held=True):
    frames = rng.random((SAMPLES, *graph.inputs["input"].shape)).astype(np.float32)
    data = prepare_inputs(graph, {"input": frames}, STEPS, layout="images")
    network, _, _ = quantize_graph(
        graph, HW, calibration=statistics_of(graph, data), held=["input"] if held else []
    )
    return network, quantize_inputs(network, data.values)


def parts(network):
    once = {p.name for p in network.populations if p.once}
    hold = {(p.source, p.target) for p in network.projections if p.hold}
    return once, hold


@pytest.mark.parametrize("seed", range(40))
def test_potentials_and_spikes_are_the_same(seed, run_integers):
    graph = random_map_graph(np.random.default_rng(seed), spikes=0.4, delays=0.1)
    plain, payloads = held_network(graph, np.random.default_rng(seed), held=False)
    network, same = held_network(graph, np.random.default_rng(seed))
    np.testing.assert_array_equal(payloads["input"], same["input"])
    assert parts(plain) == (set(), set())
    _, v, spikes = run_integers(plain, payloads, STEPS, SAMPLES)
    _, hoisted_v, hoisted_spikes = run_integers(network, payloads, STEPS, SAMPLES)
    once, _ = parts(network)
    for name in v:
        np.testing.assert_array_equal(hoisted_v[name], v[name])
        if name not in once:
            np.testing.assert_array_equal(hoisted_spikes[name], spikes[name])


def test_all_before_the_first_neurons_is_computed_once():
    rng = np.random.default_rng(0)
    graph = chain(conv(rng, 3, 2), ReLU(3), conv(rng, 2, 3), ReLU(2), conv(rng, 2, 2), spiking(2))
    network, _ = held_network(graph, rng)
    assert parts(network) == ({"n1", "n3"}, {("input", "n1"), ("n1", "n3"), ("n3", "n5")})
    assert held_inputs(network) == {"input"}


def test_a_target_with_another_source_stops_it():
    rng = np.random.default_rng(0)
    graph = chain(conv(rng, 2, 2), ReLU(2), conv(rng, 2, 2), ReLU(2), conv(rng, 2, 2), spiking(2))
    graph.nodes["back"] = conv(rng, 2, 2)
    edges = [*graph.edges, ("n5", "back"), ("back", "n5")]
    network, _ = held_network(Graph(graph.nodes, edges, delays={("back", "n5"): 1}), rng)
    # n3 must send in every timestep, so it takes what n1 sent once in every timestep.
    assert parts(network) == ({"n1"}, {("input", "n1"), ("n1", "n3")})


def test_a_source_of_something_else_is_sent_in_every_timestep():
    rng = np.random.default_rng(0)
    graph = chain(conv(rng, 2, 2), ReLU(2), conv(rng, 2, 2), spiking(2))
    graph.nodes["direct"] = conv(rng, 2, 2)
    late = Graph(
        graph.nodes,
        [*graph.edges, ("input", "direct"), ("direct", "n3")],
        delays={("direct", "n3"): 1},
    )
    network, _ = held_network(late, rng)
    assert parts(network) == (set(), set())


def test_what_the_host_receives_is_sent_in_every_timestep():
    rng = np.random.default_rng(0)
    network, _ = held_network(chain(conv(rng, 2, 2), ReLU(2)), rng)
    assert network.outputs[0].kind == "graded"
    assert parts(network) == (set(), {("input", "n1")})


def test_frames_that_change_are_refused():
    rng = np.random.default_rng(0)
    graph = chain(conv(rng, 2, 2), ReLU(2), conv(rng, 2, 2), spiking(2))
    network, payloads = held_network(graph, rng)
    frames = rng.random((STEPS, SAMPLES, 2, 6, 6)).astype(np.float32)
    with pytest.raises(
        QuantizationError,
        match=r"^Input 'input' must be the same in every timestep.*hoist=False \(--no-hoist\)$",
    ):
        quantize_inputs(network, {"input": frames})
    same = np.repeat(frames[:1], STEPS, axis=0)
    assert quantize_inputs(network, {"input": same})["input"].shape == payloads["input"].shape
    assert hoist(network, []) is network


def test_samples_decide_what_is_held():
    rng = np.random.default_rng(0)
    graph = chain(conv(rng, 2, 2), ReLU(2))
    images = rng.random((SAMPLES, 2, 6, 6)).astype(np.float32)
    held = prepare_inputs(graph, images, STEPS, layout="images")
    raster = prepare_inputs(graph, np.repeat(images[None], STEPS, axis=0))
    assert held_names(graph, held, "auto") == ["input"]
    assert held_names(graph, raster, "auto") == held_names(graph, None, "auto") == []
    assert held_names(graph, None, True) == ["input"]
    assert held_names(graph, held, False) == []
    with pytest.raises(ValueError, match=r"^hoist must be True, False or 'auto', not 'no'$"):
        held_names(graph, held, "no")
