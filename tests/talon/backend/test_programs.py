"""The face: compile, plan, load and run."""

import numpy as np
import pytest

import talon
from talon import ir
from talon.arch.params import PRESETS
from talon.backend.programs import plan
from talon.errors import QuantizationError
from talon.testing import random_graph, random_inputs
from talon_sim.trace import compare


def make_case(seed=0, n_steps=6, n_samples=3):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng)
    return graph, random_inputs(rng, graph, n_steps, n_samples)


def test_program_runs_on_every_software_target():
    graph, inputs = make_case()
    program = talon.compile(graph, hw="zynq_us_plus", calibration=inputs)
    golden = program.run(inputs)
    assert (golden.target, golden.n_steps, golden.n_samples) == ("golden", 6, 3)
    assert compare(golden, program.run(inputs, target="interpreter")).equal


def test_saved_program_runs_alike(tmp_path):
    graph, inputs = make_case(1)
    program = talon.compile(graph, hw=PRESETS["zynq_us_plus"])
    program.save(tmp_path / "p.talon")
    assert compare(program.run(inputs), talon.load(tmp_path / "p.talon").run(inputs)).equal


def test_values_on_an_input_of_spikes_name_the_way_out():
    graph, inputs = make_case(2)
    program = talon.compile(graph)
    halves = {name: values * np.float32(0.5) for name, values in inputs.items()}
    with pytest.raises(QuantizationError, match=r"takes spikes, 0 or 1 .* \(--calibrate\)"):
        program.run(halves)


def test_graded_inputs_follow_the_samples_or_the_declared_range():
    graph, inputs = make_case(2)
    rng = np.random.default_rng(0)
    graded = {n: rng.uniform(-1, 3, x.shape).astype(np.float32) for n, x in inputs.items()}
    ranges = dict.fromkeys(graph.inputs, (-1.0, 3.0))
    for program in (
        talon.compile(graph, calibration=graded),
        talon.compile(graph, input_range=ranges),
    ):
        for port in program.network.inputs:
            assert port.payload_max > 1
            assert port.signed
            assert port.scale == pytest.approx(3 / port.payload_max, rel=0.1)
        assert compare(program.run(graded), program.run(graded, target="interpreter")).equal


def test_plan_takes_its_traffic_from_the_samples():
    graph, inputs = make_case(3)
    from talon.backend.programs import plan

    found = plan(graph, calibration=inputs)
    assert found.fits
    assert found.prediction.n_steps == 6
    (name, *_) = graph.inputs
    assert found.rates[name] == pytest.approx(inputs[name].mean(), rel=0.1)


def test_unknown_preset_lists_those_there_are():
    graph, _ = make_case()
    with pytest.raises(ValueError, match=r"^Array preset must be one of ecp5_2x2, .* not 'loihi'"):
        talon.compile(graph, hw="loihi")


def chain(first, second="fc"):
    full = np.ones(3, np.float32)
    return ir.Graph(
        {
            first: ir.Input([4]),
            second: ir.Affine(np.eye(3, 4, dtype=np.float32), full / 4),
            "lif": ir.LIF(2 * full, 2 * full, 0 * full, full),
            "out": ir.Output([3]),
        },
        [(first, second), (second, "lif"), ("lif", "out")],
        delays={(second, "lif"): 1},
    )


@pytest.mark.parametrize(
    "name", ["(ones)", "(one)", "in (end)", "a:b", " ", "ü<b>[red]", "n" * 900]
)
def test_no_name_of_a_node_is_special(name):
    """The delayed bias becomes a neuron that always fires, whose name is no node's."""
    raster = np.ones((5, 2, 4))
    program = talon.compile(chain(name), hw="tiny_1x1")
    golden = program.run({name: raster})
    assert compare(golden, program.run({name: raster}, target="interpreter")).equal
    plain = talon.compile(chain("in"), hw="tiny_1x1").run(raster)
    assert plain.spikes["lif"].any() and not plain.spikes["lif"].all()
    np.testing.assert_array_equal(golden.potentials["lif"], plain.potentials["lif"])


def test_inputs_named_after_each_other():
    graph = chain("in")
    nodes = {"in (end)": ir.Input([3]), **graph.nodes}
    both = ir.Graph(nodes, [*graph.edges, ("in (end)", "lif")], delays=graph.delays)
    program = talon.compile(both, hw="tiny_1x1")
    trace = program.run({"in": np.zeros((4, 1, 4)), "in (end)": np.ones((4, 1, 3))})
    assert trace.spikes["lif"].all()


def test_slips_of_the_caller_are_told():
    graph, _ = make_case()
    with pytest.raises(TypeError, match=r"^graph must be a talon\.ir\.Graph, not str$"):
        talon.compile("model.t1c")
    with pytest.raises(TypeError, match=r"^hw must be ArrayParams or the name of a preset, not 3$"):
        plan(graph, hw=3)


def test_ranges_and_samples_next_to_nothing_round_to_nothing():
    program = talon.compile(chain("in"), hw="tiny_1x1", input_range={"in": (0, 1e-320)})
    trace = program.run(np.zeros((4, 1, 4)))
    assert trace.counters["saturations"] == 0 and trace.potentials["lif"].any()
