"""Golden model = image interpreter = RTL: every spike and potential of every timestep.

Networks come from hypothesis: sizes, densities, recurrence and feedback with delays 1 to 4, all
reset modes, skips and sums, several inputs and outputs, read-outs; with synaptic currents,
integrators and elementwise nodes on arrays that have currents. One that does not fit the array
is refused with a MappingError and does not count.
"""

import numpy as np
import pytest
from hypothesis import assume, given, note, settings
from hypothesis import strategies as st

from talon.arch.params import preset
from talon.backend.programs import Program
from talon.backend.programs import compile as compile_graph
from talon.backend.target import get_target
from talon.compiler.compile import program_of
from talon.compiler.inputs import quantize_inputs
from talon.compiler.mapping import map_network
from talon.errors import MappingError
from talon.image.container import read_image
from talon.image.driver import Driver
from talon.image.stream import InputStream
from talon.testing import graphs, random_inputs
from talon_sim.cosim.array import array_library
from talon_sim.cosim.fast import FastArray
from talon_sim.cosim.target import CosimTarget
from talon_sim.testing import pressures, random_network, random_payloads
from talon_sim.trace import compare

EXTENDED = {"synaptic": 0.6, "elementwise": 0.3, "integrators": 0.7, "readouts": 0.6}
"""Shares of what needs an array with synaptic currents, and of what is folded away."""

COUNTERS = ("events", "sops", "spikes", "updates", "saturations")

runs = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "n_steps": st.integers(1, 12),
        "n_samples": st.integers(1, 3),
        "rate": st.sampled_from([0.05, 0.2, 0.5, 1.0]),
    }
)


def compiled(graph, hw):
    """Return the program, or give the example up if the network does not fit."""
    try:
        return compile_graph(graph, hw=hw, passes=1)
    except MappingError as error:
        note(str(error))
        assume(False)
        raise


def payloads(program, graph, run):
    rng = np.random.default_rng(run["seed"])
    raster = random_inputs(rng, graph, run["n_steps"], run["n_samples"], rate=run["rate"])
    return quantize_inputs(program.network, raster)


def check(left, right):
    comparison = compare(left, right)
    assert comparison.equal, comparison
    assert set(left.spikes) == set(right.spikes)
    assert set(left.potentials) == set(right.potentials)


def is_split(program):
    return any(
        group["population"] is None for group in read_image(program.image).manifest["groups"]
    )


@settings(max_examples=200)
@given(graph=graphs(max_neurons=64), run=runs, order=st.integers(0, 2**31))
def test_interpreter_is_golden(graph, run, order):
    program = compiled(graph, "zynq_2x2")
    inputs = payloads(program, graph, run)
    golden = get_target("golden").run(program, inputs, probe=True)
    check(golden, get_target("interpreter", seed=order).run(program, inputs, probe=True))


@settings(max_examples=60)
@given(graph=graphs(max_neurons=48, doubles=0.7), run=runs, order=st.integers(0, 2**31))
def test_interpreter_is_golden_with_double_thresholds(graph, run, order):
    program = compiled(graph, "tiny_2x2_double")
    inputs = payloads(program, graph, run)
    golden = get_target("golden").run(program, inputs, probe=True)
    check(golden, get_target("interpreter", seed=order).run(program, inputs, probe=True))


@settings(max_examples=100)
@given(graph=graphs(max_neurons=48, **EXTENDED), run=runs, order=st.integers(0, 2**31))
def test_interpreter_is_golden_with_currents(graph, run, order):
    program = compiled(graph, "tiny_2x2_syn")
    inputs = payloads(program, graph, run)
    golden = get_target("golden").run(program, inputs, probe=True)
    check(golden, get_target("interpreter", seed=order).run(program, inputs, probe=True))


@settings(max_examples=60)
@given(
    graph=graphs(max_neurons=48),
    run=runs,
    order=st.integers(0, 2**31),
    hw=st.sampled_from(["tiny_2x2_int4", "zynq_2x2_int4"]),
)
def test_interpreter_is_golden_with_weights_of_four_bits(graph, run, order, hw):
    program = compiled(graph, hw)
    inputs = payloads(program, graph, run)
    golden = get_target("golden").run(program, inputs, probe=True)
    check(golden, get_target("interpreter", seed=order).run(program, inputs, probe=True))


def rtl_is_golden(graph, run, pressure, hw, **options):
    program = compiled(graph, hw)
    program_on_rtl_is_golden(program, payloads(program, graph, run), pressure, **options)


def program_on_rtl_is_golden(program, inputs, pressure, **options):
    golden = get_target("golden").run(program, inputs, probe=True)
    target = CosimTarget(pressure=pressure, **options)
    rtl = target.run(program, inputs, probe=True)
    check(golden, rtl)
    if not is_split(program):
        for name in COUNTERS:
            if name != "events":  # one event of the network may reach several cores
                assert rtl.counters[name] == golden.counters[name], name
    outputs = target.run(program, inputs)
    check(get_target("golden").run(program, inputs), outputs)


@pytest.mark.cosim
@pytest.mark.parametrize(
    ("hw", "max_neurons"),
    [("tiny_1x1", 12), ("tiny_2x2", 48), ("zynq_us_plus", 200), ("tiny_2x2_int4", 48)],
)
def test_rtl_is_golden(hw, max_neurons):
    n_slots = preset(hw).n_slots
    assert n_slots >= 6  # delays up to 4 fit

    @settings(max_examples=30)
    @given(graph=graphs(max_neurons=max_neurons), run=runs, pressure=pressures())
    def check_examples(graph, run, pressure):
        rtl_is_golden(graph, run, pressure, hw)

    check_examples()


@pytest.mark.cosim
@pytest.mark.slow
@pytest.mark.parametrize(
    ("hw", "max_neurons"), [("tiny_1x1", 16), ("tiny_2x2", 64), ("zynq_2x2", 300)]
)
def test_rtl_is_golden_on_many_networks(hw, max_neurons):
    @settings(max_examples=200)
    @given(graph=graphs(max_neurons=max_neurons), run=runs, pressure=pressures())
    def check_examples(graph, run, pressure):
        rtl_is_golden(graph, run, pressure, hw)

    check_examples()


@pytest.mark.cosim
def test_rtl_does_not_depend_on_what_memories_hold_at_power_on():
    @settings(max_examples=10)
    @given(graph=graphs(max_neurons=48), run=runs, pressure=pressures())
    def check_examples(graph, run, pressure):
        rtl_is_golden(graph, run, pressure, "tiny_2x2", random_start=True)

    check_examples()


@pytest.mark.cosim
def test_rtl_is_golden_with_currents():
    @settings(max_examples=40)
    @given(
        graph=graphs(max_neurons=48, **EXTENDED),
        run=runs,
        pressure=pressures(),
        random_start=st.booleans(),
    )
    def check_examples(graph, run, pressure, random_start):
        rtl_is_golden(graph, run, pressure, "tiny_2x2_syn", random_start=random_start)

    check_examples()


@pytest.mark.cosim
def test_rtl_is_golden_with_double_thresholds():
    @settings(max_examples=40)
    @given(graph=graphs(max_neurons=48, doubles=0.7), run=runs, pressure=pressures())
    def check_examples(graph, run, pressure):
        rtl_is_golden(graph, run, pressure, "tiny_2x2_double")

    check_examples()


@pytest.mark.cosim
def test_rtl_is_golden_with_currents_at_their_limits():
    params = preset("tiny_2x2_syn")
    saturations = 0

    @settings(max_examples=40)
    @given(seed=st.integers(0, 2**32 - 1), pressure=pressures())
    def check_examples(seed, pressure):
        nonlocal saturations
        rng = np.random.default_rng(seed)
        network = random_network(rng, max_neurons=24, max_populations=3, currents=0.7)
        placed = map_network(network, params)
        program = Program(program_of(placed, graph_hash=bytes(32), report={}).image)
        inputs = random_payloads(rng, network, n_steps=int(rng.integers(1, 13)), n_samples=2)
        program_on_rtl_is_golden(program, inputs, pressure, random_start=bool(seed % 2))
        saturations += get_target("golden").run(program, inputs).counters["saturations"]

    check_examples()
    assert saturations


@pytest.mark.cosim
def test_passing_over_idle_tiles_changes_neither_a_word_nor_a_cycle():
    params = preset("tiny_2x2")
    library = array_library(params)

    @settings(max_examples=20)
    @given(graph=graphs(max_neurons=48), run=runs, pressure=pressures())
    def check_examples(graph, run, pressure):
        program = compiled(graph, "tiny_2x2")
        image = read_image(program.image)
        words = InputStream(image.manifest).encode(payloads(program, graph, run))
        answers = []
        for skip in (True, False):
            with FastArray(library, skip_idle=skip) as array:
                driver = Driver(array, params)
                driver.load(image)
                driver.control(probe=True)
                array.press(pressure)
                words_back = array.run(words)
                answers.append((words_back, driver.counters(), array.cycles, array.tile_cycles))
        assert np.array_equal(answers[0][0], answers[1][0])
        assert answers[0][1:3] == answers[1][1:3]
        assert answers[0][3] < answers[1][3]

    check_examples()
