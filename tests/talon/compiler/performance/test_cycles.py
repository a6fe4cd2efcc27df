"""Cycles of the performance model are those of the gateware, to the last one."""

import itertools

import numpy as np
import pytest

import talon
from talon.arch.params import preset
from talon.backend.inputs import prepare_inputs
from talon.backend.programs import Program
from talon.backend.target import get_target
from talon.compiler.compile import program_of
from talon.compiler.inputs import quantize_inputs
from talon.compiler.mapping import map_network
from talon.compiler.performance import estimate
from talon.ir import LIF, Affine, Conv2d, Flatten, Graph, Input, MaxPool2d, Output, ReLU
from talon.testing import (
    MapLimits,
    narrowed,
    random_map_network,
    random_map_payloads,
    random_raster,
)
from talon.testing.blocks import BLOCKS
from talon_sim.testing import random_network, random_payloads

pytestmark = pytest.mark.cosim

COUNTS = ("events", "rows", "sops", "spikes", "updates")


def assert_equal(program, payloads):
    golden = get_target("golden").run(program, payloads, probe=True)
    found = estimate(program.contents, golden, payloads)
    trace = get_target("cosim").run(program, payloads, probe=False)
    for core, counters in zip(found.cores, trace.cores, strict=True):
        for name in COUNTS:
            assert int(getattr(core, name).sum()) == counters[name]
    assert found.cycles.tolist() == trace.cycles.tolist()


def of_graph(graph, hw, *, rate, **options):
    (name,) = graph.inputs
    shape = tuple(int(n) for n in np.ravel(graph.nodes[name].shape))
    raster = random_raster(np.random.default_rng(1), 10, 2, int(np.prod(shape)), rate=rate)
    raster = raster.reshape(10, 2, *shape)
    program = talon.compile(graph, hw=hw, calibration=raster, **options)
    return program, quantize_inputs(program.network, prepare_inputs(graph, raster).values)


def of_network(network, hw, *, objective="latency"):
    placed = map_network(network, preset(hw), objective=objective)
    return Program(program_of(placed, graph_hash=bytes(32), report={}).image)


# In the fifth eight cores send an event or two each to one, through a sparse projection.
@pytest.mark.parametrize("seed", [*range(8), 16, 20])
@pytest.mark.parametrize(
    "hw", ["zynq_us_plus_map", "zynq_2x2_int4", "tiny_2x2_map", "tiny_2x2_table"]
)
def test_random_networks_of_maps(seed, hw):
    rng = np.random.default_rng(seed)
    has_tables = preset(hw).table_activation
    limits = MapLimits(graded=0.8, tables=0.8) if has_tables else MapLimits()
    network = random_map_network(rng, limits)
    payloads = random_map_payloads(rng, network, n_steps=10, n_samples=2)
    assert_equal(of_network(narrowed(network, preset(hw)), hw), payloads)


@pytest.mark.parametrize(
    ("hw", "objective", "seed"),
    [
        *(("zynq_2x2", "latency", seed) for seed in (112, 113, 115)),
        *(("tiny_2x2", "latency", seed) for seed in (6, 9, 11)),
        *(("zynq_us_plus_map", "cores", seed) for seed in (122, 124, 125)),
        ("tiny_2x2_map", "latency", 19),
    ],
)
def test_random_networks(hw, objective, seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng, max_neurons=60, max_populations=5)
    payloads = random_payloads(rng, network, n_steps=10, n_samples=2)
    assert_equal(of_network(network, hw, objective=objective), payloads)


@pytest.mark.parametrize("objective", ["latency", "cores"])
@pytest.mark.parametrize("sizes", [(4, 4), (40, 40, 4), (30, 20, 20, 10)])
def test_fully_connected_networks(sizes, objective, make_mlp):
    graph = make_mlp(*sizes, tau=4.0, threshold=0.6)
    assert_equal(*of_graph(graph, "tiny_2x2", rate=0.3, objective=objective))


# Graded, three senders keep one core busy nine cycles in ten.
@pytest.mark.parametrize("graded", [True, False])
def test_a_convolution_with_a_pool(graded):
    rng = np.random.default_rng(2)

    def lif(n):
        full = np.full(n, 4, np.float32)
        return LIF(full, full.copy(), 0 * full, np.full(n, 0.5, np.float32))

    def weights(*shape):
        return rng.normal(0.1, 1.5 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)

    nodes = {
        "input": Input((1, 10, 10)),
        "conv": Conv2d(weights(8, 1, 3, 3), np.zeros(8, np.float32), padding=1),
        "neurons": ReLU(8) if graded else lif(8),
        "pool": MaxPool2d(2),
        "flat": Flatten(),
        "fc": Affine(weights(10, 200), np.zeros(10, np.float32)),
        "last": lif(10),
        "output": Output((10,)),
    }
    names = list(nodes)
    graph = Graph(nodes, list(itertools.pairwise(names)))
    assert_equal(*of_graph(graph, "zynq_us_plus_map", rate=0.25, objective="cores"))


# Rows of 32 lanes are eight beats, so that room for beats is short, not numbers of rows.
@pytest.mark.parametrize("block", ["residual", "pyramid", "recurrent maps"])
def test_blocks_with_32_lanes(block):
    assert_equal(*of_graph(BLOCKS[block](8, 6), "zynq_2x2_int4", rate=0.2))
