"""Networks in several passes: the passes together = the golden model of the whole network = RTL.

Cuts are at random, also through populations, or those that the compiler chooses because the array
is too small.
"""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from talon.arch.params import preset
from talon.backend.programs import Program
from talon.backend.programs import compile as compile_graph
from talon.backend.target import get_target
from talon.compiler.compile import program_of_passes
from talon.compiler.inputs import quantize_inputs
from talon.compiler.passes.mapped import map_stages
from talon.errors import MappingError
from talon.ir import IF, LIF, Affine, Conv2d, Flatten, Graph, Input, MaxPool2d, Output, ReLU
from talon.testing import (
    MapLimits,
    random_inputs,
    random_map_network,
    random_map_payloads,
    random_stages,
)
from talon_sim.cosim.fast import BackPressure
from talon_sim.cosim.target import CosimTarget
from talon_sim.testing import random_network, random_payloads
from talon_sim.trace import compare

HARDWARE = ("zynq_2x2", "zynq_2x2_map", "zynq_2x2_multi")
COUNTERS = ("sops", "spikes", "updates", "saturations")

seeds = st.integers(0, 2**32 - 1)


def cut_at_random(seed, hw):
    """Return a random integer network, in passes that are chosen at random, and payloads."""
    rng = np.random.default_rng(seed)
    has_maps = preset(hw).has_maps
    if has_maps:
        counts = 0.6 if preset(hw).multi_spike else 0.0
        network = random_map_network(rng, MapLimits(counts=counts))
        payloads = random_map_payloads(rng, network, n_steps=int(rng.integers(1, 9)), n_samples=2)
    else:
        network = random_network(rng, max_populations=6)
        payloads = random_payloads(rng, network, n_steps=int(rng.integers(1, 9)), n_samples=2)
    stages = random_stages(rng, network)
    try:
        mapped = map_stages(network, preset(hw), stages)
    except MappingError:
        assume(False)
        raise
    program = program_of_passes(mapped, graph_hash=bytes(32), report={})
    assert len(program.passes) == len(stages)
    return Program(program.image), payloads


def check(golden, run):
    comparison = compare(golden, run)
    assert comparison.equal, comparison
    assert set(golden.spikes) == set(run.spikes)
    assert set(golden.potentials) == set(run.potentials)


def check_program(program, payloads, target):
    """Compare probed and other runs of a program with its golden model."""
    for probe in (True, False):
        golden = get_target("golden").run(program, payloads, probe=probe)
        run = target.run(program, payloads, probe=probe)
        check(golden, run)
        if len(program.passes) > 1:
            assert len(run.passes) == len(program.passes)
            for name, total in run.counters.items():
                assert total == sum(one.counters[name] for one in run.passes)
    return golden, run


@settings(max_examples=60)
@given(seed=seeds, hw=st.sampled_from(HARDWARE), order=st.integers(0, 2**31))
def test_interpreter_is_golden_on_random_cuts(seed, hw, order):
    program, payloads = cut_at_random(seed, hw)
    check_program(program, payloads, get_target("interpreter", seed=order))


@pytest.mark.slow
def test_interpreter_is_golden_on_many_random_cuts():
    @settings(max_examples=600)
    @given(seed=seeds, hw=st.sampled_from(HARDWARE))
    def check_examples(seed, hw):
        program, payloads = cut_at_random(seed, hw)
        check_program(program, payloads, get_target("interpreter", seed=seed))

    check_examples()


def weights(rng, *shape):
    return rng.normal(0, 2.0 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)


def deep(rng, sizes):
    """Return layers of neurons, one of them recurrent, with a skip past the second."""
    nodes, edges = {"in": Input((sizes[0],))}, []
    last = "in"
    for k, (n_in, n) in enumerate(pairwise(sizes), 1):
        nodes[f"fc{k}"] = Affine(weights(rng, n, n_in), rng.normal(0, 0.1, n).astype(np.float32))
        full = [np.full(n, value, np.float32) for value in (4, 4, 0, 1)]
        nodes[f"n{k}"] = LIF(*full) if k % 2 else IF(full[3])
        edges += [(last, f"fc{k}"), (f"fc{k}", f"n{k}")]
        last = f"n{k}"
    nodes["back"] = Affine(weights(rng, sizes[2], sizes[2]), np.zeros(sizes[2], np.float32))
    nodes["skip"] = Affine(weights(rng, sizes[-1], sizes[1]), np.zeros(sizes[-1], np.float32))
    nodes["out"] = Output((sizes[-1],))
    edges += [("n2", "back"), ("back", "n2"), ("n1", "skip"), ("skip", last), (last, "out")]
    return Graph(nodes, edges, delays={("back", "n2"): 2, ("skip", last): 3})


def maps(rng):
    """Return spiking and graded maps with pools, and a head."""
    nodes = {
        "in": Input((2, 12, 12)),
        "conv1": Conv2d(weights(rng, 4, 2, 3, 3), bias=np.zeros(4, np.float32), padding=1),
        "relu": ReLU(4),
        "pool": MaxPool2d(2),
        "conv2": Conv2d(weights(rng, 6, 4, 3, 3), np.zeros(6, np.float32), padding=1),
        "lif": LIF(*(np.full((6, 6, 6), value, np.float32) for value in (3, 3, 0, 1))),
        "conv3": Conv2d(weights(rng, 4, 6, 3, 3), np.zeros(4, np.float32)),
        "if3": IF(np.ones((4, 4, 4), np.float32)),
        "flat": Flatten(),
        "fc": Affine(weights(rng, 8, 64), np.zeros(8, np.float32)),
        "if": IF(np.ones(8, np.float32)),
        "out": Output((8,)),
    }
    return Graph(nodes, list(pairwise(nodes)))


def in_passes(graph, hw, n_passes, *, rate=0.3, seed=0):
    rng = np.random.default_rng(seed)
    raster = random_inputs(rng, graph, 6, 2, rate=rate)
    program = compile_graph(graph, hw=hw, calibration=raster)
    assert len(program.passes) == n_passes
    return program, quantize_inputs(program.network, raster)


@pytest.mark.parametrize(
    ("make", "hw", "n_passes"),
    [
        (lambda rng: deep(rng, (100, 100, 40, 110, 110, 10)), "tiny_2x2", 3),
        (maps, "tiny_2x2_map", 3),
    ],
)
@pytest.mark.parametrize("name", ["interpreter", pytest.param("cosim", marks=pytest.mark.cosim)])
def test_networks_larger_than_the_array_are_exact(make, hw, n_passes, name):
    program, payloads = in_passes(make(np.random.default_rng(3)), hw, n_passes)
    options = {}
    if name == "cosim":
        options = {"pressure": BackPressure(seed=1, gap_in=0.2, gap_out=0.3, burst=5)}
    golden, run = check_program(program, payloads, get_target(name, **options))
    assert any(spikes.any() for spikes in golden.spikes.values())
    if name == "cosim":
        assert np.array_equal(run.cycles, np.sum([one.cycles for one in run.passes], axis=0))
        assert run.counters["cycles"] == sum(one.counters["cycles"] for one in run.passes)


@pytest.mark.cosim
@pytest.mark.slow
@pytest.mark.parametrize("hw", ["tiny_2x2", "tiny_2x2_map"])
def test_rtl_is_golden_on_random_cuts(hw):
    @settings(max_examples=40)
    @given(seed=seeds)
    def check_examples(seed):
        program, payloads = cut_at_random(seed, hw)
        pressure = BackPressure(seed=seed % 1000, gap_in=0.3, gap_out=0.5, burst=5)
        check_program(program, payloads, CosimTarget(pressure=pressure))

    check_examples()
