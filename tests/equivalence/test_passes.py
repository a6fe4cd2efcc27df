"""Networks in several passes: the passes together = the golden model of the whole network = RTL.

Cuts are at random, also through populations, or those that the compiler chooses because the array
is too small.
"""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from talon.arch.params import preset
from talon.backend.performance import performance_of_passes
from talon.backend.programs import Program
from talon.backend.programs import compile as compile_graph
from talon.backend.target import get_target
from talon.compiler.compile import program_of_passes
from talon.compiler.inputs import quantize_inputs
from talon.compiler.passes.mapped import map_stages
from talon.errors import MappingError
from talon.testing import (
    MapLimits,
    random_inputs,
    random_map_network,
    random_map_payloads,
    random_stages,
)
from talon.testing.passes import layers_in_passes, maps_in_passes
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
    @settings(max_examples=300)
    @given(seed=seeds, hw=st.sampled_from(HARDWARE))
    def check_examples(seed, hw):
        program, payloads = cut_at_random(seed, hw)
        check_program(program, payloads, get_target("interpreter", seed=seed))

    check_examples()


def in_passes(graph, hw, n_passes, *, rate=0.3, seed=0):
    rng = np.random.default_rng(seed)
    raster = random_inputs(rng, graph, 6, 2, rate=rate)
    program = compile_graph(graph, hw=hw, calibration=raster)
    assert len(program.passes) == n_passes
    return program, quantize_inputs(program.network, raster)


@pytest.mark.parametrize(
    ("make", "hw", "n_passes"),
    [
        (layers_in_passes, "tiny_2x2", 3),
        (maps_in_passes, "tiny_2x2_map", 3),
    ],
)
@pytest.mark.parametrize("name", ["interpreter", pytest.param("cosim", marks=pytest.mark.cosim)])
def test_networks_larger_than_the_array_are_exact(make, hw, n_passes, name):
    program, payloads = in_passes(make(), hw, n_passes)
    options = {}
    if name == "cosim":
        options = {"pressure": BackPressure(seed=1, gap_in=0.2, gap_out=0.3, burst=5)}
    golden, run = check_program(program, payloads, get_target(name, **options))
    assert any(spikes.any() for spikes in golden.spikes.values())
    if name == "cosim":
        assert np.array_equal(run.cycles, np.sum([one.cycles for one in run.passes], axis=0))
        assert run.counters["cycles"] == sum(one.counters["cycles"] for one in run.passes)


@pytest.mark.cosim
def test_performance_of_each_pass_is_known_without_rtl():
    program, payloads = in_passes(maps_in_passes(), "tiny_2x2_map", 3)
    run = get_target("cosim").run(program, payloads)
    predicted = performance_of_passes(program, payloads)
    for found, one in zip(predicted, run.passes, strict=True):
        assert found.cycles == pytest.approx(one.cycles, rel=0.05)
        for core, counters in zip(found.cores, one.cores, strict=True):
            for name in ("events", "rows", "sops", "spikes", "updates"):
                assert int(getattr(core, name).sum()) == counters[name]
    assert {core["pass"] for core in run.cores} == {0, 1, 2}


@pytest.mark.cosim
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_trained_network_on_a_smaller_array_is_exact():
    from talon.backend.inputs import load_inputs, prepare_inputs
    from talon.ir import read
    from talon.sdk.examples import CONVSNN

    model, images = CONVSNN.require()
    graph = read(model)
    inputs = prepare_inputs(graph, load_inputs(images))
    program = compile_graph(graph, hw="zynq_2x2_map", calibration=inputs.take(50))
    assert len(program.passes) > 1
    few = inputs.take(2)
    golden = program.run(few)
    check(golden, program.run(few, target="cosim"))
    assert (golden.spikes[program.network.outputs[0].population].sum(axis=0) > 0).any()


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
