"""Feature maps: golden model = image interpreter = RTL, in every value of every timestep.

Graphs of convolutions (strides, padding, dilation, groups), pools, graded and spiking layers,
residuals, splits, concatenations and upsampling, and integer networks of arbitrary kernels with
delays, recurrence and what is constant over timesteps.
"""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from talon.arch.memories import EdgeKind
from talon.arch.params import preset
from talon.backend.programs import compile as compile_graph
from talon.backend.target import get_target
from talon.compiler.compile import program_of
from talon.compiler.inputs import quantize_inputs
from talon.compiler.mapping import map_network
from talon.compiler.performance.tables import tables_of
from talon.errors import MappingError
from talon.testing import random_inputs, random_map_graph
from talon_sim.cosim.fast import BackPressure
from talon_sim.cosim.target import CosimTarget
from talon_sim.testing import assert_same_run, pressures, random_map_program
from talon_sim.trace import compare

seeds = st.integers(0, 2**32 - 1)


def program_of_graph(seed, hw):
    """Return a random graph as a program, calibrated or not, and its payloads."""
    rng = np.random.default_rng(seed)
    params = preset(hw)
    options = {"curves": 0.7, "spikes": 0.3} if params.table_activation else {}
    graph = random_map_graph(rng, counts=0.6 * params.multi_spike, **options)
    raster = random_inputs(rng, graph, 5, 2, rate=0.3)
    program = compile_graph(graph, hw=hw, calibration=raster if seed % 2 else None)
    return program, quantize_inputs(program.network, raster)


def program_of_network(seed, hw, objective="latency"):
    """Return a random integer network as a program, and payloads; give up one that is too large."""
    try:
        return random_map_program(np.random.default_rng(seed), hw, objective=objective)
    except MappingError:
        assume(False)
        raise


@settings(max_examples=60)
@given(
    seed=seeds,
    hw=st.sampled_from([f"zynq_us_plus_{option}" for option in ("map", "multi", "int4", "table")]),
    order=st.integers(0, 2**31),
)
def test_interpreter_is_golden_on_graphs(seed, hw, order):
    program, payloads = program_of_graph(seed, hw)
    golden = get_target("golden").run(program, payloads, probe=True)
    run = get_target("interpreter", seed=order).run(program, payloads, probe=True)
    assert_same_run(golden, run, program)
    unprobed = get_target("golden").run(program, payloads)
    received = get_target("interpreter", seed=order).run(program, payloads)
    assert set(received.spikes) == set(unprobed.spikes)
    assert set(received.potentials) == set(unprobed.potentials)
    assert compare(unprobed, received).equal


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 300, 20))
def test_interpreter_is_golden_on_many_graphs(first):
    for seed in range(first, first + 20):
        program, payloads = program_of_graph(seed, "zynq_us_plus_map")
        golden = get_target("golden").run(program, payloads, probe=True)
        run = get_target("interpreter", seed=seed).run(program, payloads, probe=True)
        assert_same_run(golden, run, program)


def test_a_graph_in_several_passes():
    program, payloads = program_of_graph(12, "zynq_2x2_map")
    assert len(program.passes) > 1
    golden = get_target("golden").run(program, payloads, probe=True)
    assert_same_run(
        golden, get_target("interpreter", seed=0).run(program, payloads, probe=True), program
    )


def test_dense_edges_reach_the_rows_of_groups_that_keep_few_slots():
    program, payloads = program_of_graph(0, "zynq_2x2_map")
    # A pixel a row of lanes, so that rows are many.
    placed = map_network(program.network, program.params, pack=False)
    program = program_of(placed, graph_hash=bytes(32), report={})
    ends = [
        edge["row_start"] + edge["rows"]
        for tables in tables_of(program.contents).values()
        for edge in tables.edges
        if edge["kind"] == EdgeKind.DENSE
    ]
    assert max(ends) > program.params.n_rows
    golden = get_target("golden").run(program, payloads, probe=True)
    assert_same_run(
        golden, get_target("interpreter", seed=0).run(program, payloads, probe=True), program
    )


@settings(max_examples=80)
@given(
    seed=seeds,
    hw=st.sampled_from(
        ["tiny_2x2_map", "zynq_2x2_map", "tiny_2x2_multi", "zynq_2x2_int4", "tiny_2x2_table"]
    ),
    objective=st.sampled_from(["latency", "cores"]),
    order=st.integers(0, 2**31),
)
def test_interpreter_is_golden_on_networks(seed, hw, objective, order):
    program, payloads = program_of_network(seed, hw, objective)
    golden = get_target("golden").run(program, payloads, probe=True)
    run = get_target("interpreter", seed=order).run(program, payloads, probe=True)
    assert_same_run(golden, run, program)


@pytest.mark.cosim
@pytest.mark.parametrize(("hw", "n_examples"), [("tiny_2x2_map", 25), ("tiny_2x2_int4_map", 12)])
def test_rtl_is_golden_on_networks(hw, n_examples):
    @settings(max_examples=n_examples)
    @given(seed=seeds, objective=st.sampled_from(["latency", "cores"]), pressure=pressures())
    def check_examples(seed, objective, pressure):
        program, payloads = program_of_network(seed, hw, objective)
        golden = get_target("golden").run(program, payloads, probe=True)
        rtl = CosimTarget(pressure=pressure).run(program, payloads, probe=True)
        assert_same_run(golden, rtl, program)

    check_examples()


@pytest.mark.cosim
def test_rtl_is_golden_on_networks_that_count():
    n_counts = 0

    @settings(max_examples=25)
    @given(seed=seeds, objective=st.sampled_from(["latency", "cores"]), pressure=pressures())
    def check_examples(seed, objective, pressure):
        nonlocal n_counts
        program, payloads = program_of_network(seed, "tiny_2x2_multi", objective)
        target = CosimTarget(pressure=pressure)
        golden = get_target("golden").run(program, payloads, probe=True)
        assert_same_run(golden, target.run(program, payloads, probe=True), program)
        n_counts += any(s.dtype == np.uint8 and s.max() > 1 for s in golden.spikes.values())
        # How often neurons fire is seen at outputs.
        golden, received = (t.run(program, payloads) for t in (get_target("golden"), target))
        assert set(received.spikes) == set(golden.spikes)
        assert compare(golden, received).equal

    check_examples()
    assert n_counts


@pytest.mark.cosim
def test_rtl_is_golden_on_graphs_with_weights_of_four_bits():
    for seed in (1, 2):
        program, payloads = program_of_graph(seed, "zynq_2x2_int4")
        golden = get_target("golden").run(program, payloads, probe=True)
        pressure = BackPressure(seed=seed, gap_in=0.3, gap_out=0.5, burst=5)
        assert_same_run(
            golden, CosimTarget(pressure=pressure).run(program, payloads, probe=True), program
        )


@pytest.mark.cosim
def test_rtl_is_golden_on_networks_with_tables():
    n_negative = 0

    @settings(max_examples=25)
    @given(seed=seeds, objective=st.sampled_from(["latency", "cores"]), pressure=pressures())
    def check_examples(seed, objective, pressure):
        nonlocal n_negative
        program, payloads = program_of_network(seed, "tiny_2x2_table", objective)
        target = CosimTarget(pressure=pressure)
        golden = get_target("golden").run(program, payloads, probe=True)
        assert_same_run(golden, target.run(program, payloads, probe=True), program)
        with_table = [p.name for p in program.network.populations if p.table is not None]
        n_negative += any(golden.potentials[name].min(initial=0) < 0 for name in with_table)

    check_examples()
    assert n_negative


@pytest.mark.cosim
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_rtl_is_golden_on_graphs_of_functions():
    n_tables = 0
    for seed in range(16):
        program, payloads = program_of_graph(seed, "zynq_2x2_table")
        n_tables += sum(p.table is not None for p in program.network.populations)
        golden = get_target("golden").run(program, payloads, probe=True)
        pressure = BackPressure(seed=seed, gap_in=0.3, gap_out=0.5, burst=5)
        rtl = CosimTarget(pressure=pressure).run(program, payloads, probe=True)
        assert compare(golden, rtl).equal
    assert n_tables > 10


@pytest.mark.cosim
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_rtl_is_golden_on_graphs():
    for seed in range(40):
        program, payloads = program_of_graph(seed, "zynq_us_plus_map")
        golden = get_target("golden").run(program, payloads, probe=True)
        pressure = BackPressure(seed=seed, gap_in=0.3, gap_out=0.5, burst=5)
        assert_same_run(
            golden, CosimTarget(pressure=pressure).run(program, payloads, probe=True), program
        )
