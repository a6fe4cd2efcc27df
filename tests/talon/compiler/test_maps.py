"""Lowering over feature maps: kernels, graded populations and pools mean what the graph means."""

import re
from itertools import pairwise

import numpy as np
import pytest

from talon.backend.cpu.simulator import simulate_float
from talon.compiler.kernel import Kernel
from talon.compiler.lower import lower
from talon.compiler.unmapped import find_unmapped
from talon.errors import MappingError
from talon.ir import (
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    ChannelSplit,
    Concat,
    Conv1d,
    Conv2d,
    Graph,
    Input,
    MaxPool2d,
    Output,
    Scale,
    SepConv2d,
    SumPool2d,
    Upsample,
)
from talon.testing import random_graph_of_primitives, random_map_graph


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


def weights(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def joined(dim, shape, out):
    """Return a graph that splits along a dimension and joins in another order."""
    half = shape[dim] // 2
    nodes = {
        "input": Input(shape),
        "split": ChannelSplit((half, shape[dim] - half), dim=dim),
        "first": Scale(np.full(1, 2.0).reshape(())),
        "last": Scale(np.full(1, 3.0).reshape(())),
        "join": Concat(2, dim=dim),
        "output": Output(out),
    }
    edges = [("input", "split"), ("split", "first"), ("split", "last"), ("last", "join")]
    return Graph(nodes, [*edges, ("first", "join"), ("join", "output")])


def alone(shape, node):
    nodes = {"input": Input(shape), "node": node, "output": Output(node.output_shape(shape))}
    return Graph(nodes, list(pairwise(nodes)))


NORM = (1.5, 0.2), (0.1, -0.3), (0.4, 0.1), (0.9, 2.0)

CASES = {
    "conv1d": alone((4, 11), Conv1d(weights(6, 2, 3), weights(6), 2, 3, 2, 2)),
    "norm of a sequence": alone((2, 7), BatchNorm1d(2, *map(np.float32, NORM))),
    "norm of a map": alone((2, 3, 4), BatchNorm2d(2, *map(np.float32, NORM))),
    "kernel of 1": alone((2, 5, 7), MaxPool2d(1, stride=(2, 3))),
    "up by 1.5": alone((2, 4, 6), Upsample(scale_factor=1.5)),
    "up to a size": alone((2, 3, 4), Upsample(size=(7, 5), mode="bilinear")),
    "corners": alone((2, 3, 4), Upsample(size=(5, 7), mode="bilinear", align_corners=True)),
    "many shares": alone((1, 20, 1), Upsample(size=(73, 1), mode="bilinear")),
    "mean without padding": alone((2, 6, 7), AvgPool2d(3, 2, 1, True, False)),
    "mean with padding": alone((2, 6, 7), AvgPool2d((2, 3), (1, 2), (1, 1), True)),
    "sum": alone((2, 6, 7), SumPool2d(3, 1, 1)),
    "groups": alone((4, 6, 7), Conv2d(weights(6, 2, 3, 2), weights(6), (2, 1), 1, (1, 2), 2)),
    "separable": alone(
        (3, 6, 7),
        SepConv2d(weights(3, 1, 3, 3), weights(4, 3, 1, 1), weights(3), weights(4), 2, 1),
    ),
    **{f"parts along {dim}": joined(dim, (4, 5, 6), (4, 5, 6)) for dim in range(3)},
    **{f"parts of a sequence along {dim}": joined(dim, (4, 5), (4, 5)) for dim in range(2)},
}


@pytest.mark.parametrize("maps", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_linear_nodes_are_what_they_compute(case, maps, run_lowered):
    graph = CASES[case]
    if not maps and find_unmapped(graph, maps=False):
        pytest.skip("an array without maps has no such node")
    network = lower(graph, maps=maps)
    inputs = steps_of(graph, np.random.default_rng(0), 2, 2)
    _, potentials = run_lowered(network, inputs, 2, 2)
    wanted = simulate_float(graph, inputs, dtype=np.float64).outputs["output"]
    found = potentials["output"].reshape(wanted.shape)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)
    are_kernels = all(isinstance(s.weight, Kernel) for s in network.synapses)
    assert are_kernels == (maps and case != "many shares")


def test_graphs_of_all_primitives_mean_the_same(run_lowered):
    """Whatever is lowered at all is what the float simulation computes."""
    n_equal, types = 0, set()
    for seed in range(500):
        rng = np.random.default_rng(seed)
        graph = random_graph_of_primitives(rng, 3)
        if find_unmapped(graph):
            continue
        try:
            network = lower(graph, maps=True)
        except MappingError as error:
            assert re.search("has no neuron|share parameters over the pixels", str(error))
            continue
        inputs = {
            name: rng.random((3, 2, *node.shape)).astype(np.float32)
            for name, node in graph.inputs.items()
        }
        wanted = simulate_float(graph, inputs, dtype=np.float64).outputs
        spikes, potentials = run_lowered(network, inputs, 3, 2)
        for port in network.outputs:
            exact = wanted[port.name]
            found = (spikes if port.kind in ("spike", "count") else potentials)[port.population]
            if port.kind == "graded":
                (sender,) = (p for p in network.populations if p.name == port.population)
                curve = sender.curve
                found = np.maximum(found, 0) if curve is None else curve.value(found)
            tolerance = 1e-5 * max(1, np.abs(exact).max(initial=0))
            np.testing.assert_allclose(found.reshape(exact.shape), exact, atol=tolerance)
            n_equal += 1
        types |= {type(node).__name__ for node in graph.nodes.values()}
    assert n_equal > 300
    assert {"Sigmoid", "Tanh", "GELU", "ELU", "PReLU"} <= types
    assert {"SDDetect", "Conv1d", "SepConv2d", "Upsample", "GhostBasicBlock1", "Delay"} <= types
