"""The documented calls: what they take, what they give, and what they refuse."""

from dataclasses import dataclass

import numpy as np
import pytest

from talon import ir
from talon.backend import CompileConfig, get_backend, run
from talon.backend.array import ArrayBackend
from talon.backend.cpu import Record, simulate_float
from talon.backend.errors import InputError
from talon.backend.inputs import Inputs, load_inputs
from talon.compiler.program import Program
from talon.errors import BackendError, MappingError
from talon.testing import random_graph, random_inputs
from talon.testing.primitives import random_graph_of_primitives

F = np.float32
cpu = get_backend("cpu")
array = get_backend("array")


def network():
    """Three inputs onto two neurons that fire when v = 0.5 v + sum reaches 2."""
    lif = ir.LIF(np.full(2, 2, F), np.full(2, 2, F), np.zeros(2, F), np.full(2, 2, F))
    return ir.Graph(
        {
            "input": ir.Input(np.array([3])),
            "fc": ir.Affine(np.array([[1, 1, 1], [1, 0, 0]], F), np.zeros(2, F)),
            "lif": lif,
            "output": ir.Output(np.array([2])),
        },
        [("input", "fc"), ("fc", "lif"), ("lif", "output")],
    )


def two_inputs():
    return ir.Graph(
        {
            "a": ir.Input(np.array([2])),
            "b": ir.Input(np.array([2])),
            "sum": ir.Skip("residual"),
            "output": ir.Output(np.array([2])),
        },
        [("a", "sum"), ("b", "sum"), ("sum", "output")],
    )


def test_without_data_the_inputs_are_zero():
    found = cpu.simulate(network(), n_steps=4)
    assert (found.timesteps_run, found.outputs_valid, found.errors) == (4, True, [])
    assert found.spike_counts == {"lif": 0}
    assert found.outputs["output"].tolist() == [0, 0]
    assert found.node_states == []


def test_one_timestep_is_run_if_nothing_is_said():
    assert cpu.simulate(network()).timesteps_run == 1


def test_a_sample_is_held():
    # v of the first neuron: 2 fires at once, of the second: 1, 1.5, 1.75, 1.875
    found = cpu.simulate(network(), np.array([1, 1, 0], F), n_steps=4)
    assert found.spike_counts == {"lif": 4}
    assert found.outputs["output"].tolist() == [1, 0]
    assert found.membrane_potentials["lif"].tolist() == [0, 1.875]


def test_a_name_may_be_given_with_the_data():
    data = np.array([1, 1, 0], F)
    by_name = cpu.simulate(network(), {"input": data}, n_steps=4)
    assert by_name.spike_counts == cpu.simulate(network(), data, n_steps=4).spike_counts


def test_samples_are_held_side_by_side():
    found = cpu.simulate(network(), np.array([[1, 1, 0], [0, 0, 0], [3, 0, 0]], F), n_steps=4)
    assert found.outputs["output"].tolist() == [[1, 0], [0, 0], [1, 1]]
    assert found.spike_counts == {"lif": 4 + 8}
    assert found.membrane_potentials["lif"].shape == (3, 2)


def test_one_sample_in_a_batch_stays_in_it():
    found = cpu.simulate(network(), np.array([[1, 1, 0]], F), n_steps=4)
    assert found.outputs["output"].tolist() == [[1, 0]]


def test_a_raster_has_time_first_and_says_so():
    raster = np.array([[2, 0, 0], [0, 0, 0], [1, 0, 0]], F)
    as_time = cpu.simulate(network(), raster, layout="raster")
    assert (as_time.timesteps_run, as_time.spike_counts) == (3, {"lif": 2})
    assert as_time.outputs["output"].shape == (2,)
    as_samples = cpu.simulate(network(), raster, n_steps=3)
    assert as_samples.outputs["output"].shape == (3, 2)
    batched = cpu.simulate(network(), raster[:, np.newaxis], layout="raster")
    assert batched.outputs["output"].shape == (1, 2)
    assert batched.spike_counts == as_time.spike_counts


def test_events_are_counted_in_their_timesteps():
    events = np.array([[0, 0], [0, 1], [2, 0]])
    found = cpu.simulate(network(), events, 3, step_by_step=True, layout="events")
    assert [state["input"].tolist() for state in found.node_states] == [
        [1, 1, 0],
        [0, 0, 0],
        [1, 0, 0],
    ]


def test_images_can_be_encoded():
    found = cpu.simulate(network(), np.ones(3, F), 5, step_by_step=True, encoding="latency")
    assert sum(state["input"].sum() for state in found.node_states) == 3


def test_what_a_file_holds_is_taken(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.array([[1, 1, 0]], F), n_steps=4)
    found = cpu.simulate(network(), load_inputs(tmp_path / "x.npz"))
    assert (found.timesteps_run, found.spike_counts) == (4, {"lif": 4})


def test_prepared_inputs_are_taken():
    data = Inputs(values={"input": np.ones((5, 2, 3), F)})
    assert cpu.simulate(network(), data).outputs["output"].shape == (2, 2)


def test_step_by_step_keeps_every_node_of_every_timestep():
    data = np.array([1, 1, 0], F)
    found = cpu.simulate(network(), data, n_steps=4, step_by_step=True)
    assert [list(state) for state in found.node_states] == [["input", "fc", "lif", "output"]] * 4
    assert [state["fc"].tolist() for state in found.node_states] == [[2, 1]] * 4
    assert [state["lif"].tolist() for state in found.node_states] == [[1, 0]] * 4
    assert (found.node_states[-1]["output"] == found.outputs["output"]).all()


@pytest.mark.parametrize("seed", range(8))
def test_every_primitive_is_executed_as_the_float_simulation_does(seed):
    rng = np.random.default_rng(seed)
    graph = random_graph_of_primitives(rng)
    data = {n: rng.normal(size=(2, *shape)).astype(F) for n, shape in graph.input_type.items()}
    found = cpu.simulate(graph, data, n_steps=3, step_by_step=True)
    trace = simulate_float(graph, data, 3, hold=True, record=Record(values=True))
    assert found.errors == []
    for t, state in enumerate(found.node_states):
        assert state.keys() == graph.nodes.keys()
        for name, value in state.items():
            np.testing.assert_array_equal(value, trace.values[name][t])
    for name, spikes in trace.spikes.items():
        assert found.spike_counts[name] == spikes.sum()
        np.testing.assert_array_equal(found.membrane_potentials[name], trace.potentials[name][-1])


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (np.zeros(4, F), {}, r"takes images of shape \(3,\) or \(n_samples, 3\), got \(4,\)$"),
        (np.zeros((2, 4), F), {}, r"got \(2, 4\)$"),
        (np.full(3, np.nan, F), {}, r"^Input 'input' holds NaN"),
        ({"x": np.zeros(3, F)}, {}, r"has the inputs \['input'\], got arrays \['x'\]$"),
        ({}, {}, r"^The network has the inputs \['input'\], got arrays \[\]$"),
        (np.array(["a"] * 3), {}, r"^Input 'input' must hold real numbers, got dtype"),
        (None, {"n_steps": 0}, r"^n_steps must be at least 1 .* got 0$"),
        (None, {"n_steps": -1}, r"^n_steps must be at least 1 .* got -1$"),
        (np.zeros(3, F), {"layout": "raster"}, r"takes a raster of shape \(n_steps, 3\) or"),
        (np.zeros((5, 3), F), {"layout": "raster", "n_steps": 4}, r"has 5 timesteps, but n_steps"),
    ],
)  # fmt: skip
def test_data_that_do_not_fit_are_refused(data, options, message):
    for call in (cpu.simulate, cpu.profile, array.simulate):
        with pytest.raises(InputError, match=message):
            call(network(), data, **options)


def test_a_fraction_of_a_timestep_is_refused():
    with pytest.raises(TypeError, match=r"^n_steps must be an integer, got 1\.5$"):
        cpu.simulate(network(), n_steps=1.5)


def test_an_option_that_is_not_known_is_refused():
    with pytest.raises(TypeError, match=r"^Backend 'cpu' knows no option \['steps'\]$"):
        cpu.simulate(network(), steps=4)


def test_one_array_for_two_inputs_is_refused():
    with pytest.raises(InputError, match=r"has the inputs \['a', 'b'\], got one array without"):
        cpu.simulate(two_inputs(), np.zeros(2, F))
    found = cpu.simulate(two_inputs(), {"a": np.ones(2, F), "b": np.array([1, 2], F)})
    assert found.outputs["output"].tolist() == [2, 3]


def test_values_beyond_floats_make_the_outputs_invalid():
    found = cpu.simulate(network(), np.full(3, 3e38, F), n_steps=2)
    assert not found.outputs_valid
    assert found.outputs == {}
    (error,) = found.errors
    assert error.startswith("Node 'lif' exceeds the range of float32 in timestep 0 of sample 0")
    ran = run(network(), np.full(3, 3e38, F), 2)
    assert (ran.errors, ran.profile) == ([error], None)
    with pytest.raises(BackendError, match=r"^Node 'lif' exceeds the range of float32"):
        cpu.profile(network(), np.full(3, 3e38, F), n_steps=2)


def test_cpu_supports_all_primitives():
    capabilities = cpu.get_capabilities()
    assert capabilities.supported_primitives == ir.list_primitives(extensions=True)
    assert set(ir.list_primitives()) < set(capabilities.supported_primitives)
    assert capabilities.supported_precisions == ["fp32", "fp16", "int16", "int8", "int4"]
    assert capabilities.supports_cyclic
    for precision in capabilities.supported_precisions:
        cpu.compile(network(), CompileConfig(target_precision=precision))


def test_a_graph_that_can_be_executed_is_valid():
    found = cpu.validate(network())
    assert (found.is_valid, found.unsupported_nodes, found.warnings) == (True, [], [])
    graph = network()
    graph.nodes["fc"].precision = "int3"
    assert cpu.validate(graph).is_valid
    assert cpu.validate(graph).warnings[0].startswith("Node 'fc' has the precision 'int3', which")


def test_a_graph_that_cannot_be_executed_is_not_valid():
    assert cpu.validate(ir.Graph({}, [])).errors == ["Graph has no nodes"]
    graph = network()
    graph.edges.remove(("fc", "lif"))
    found = cpu.validate(graph)
    assert not found.is_valid
    assert found.errors == ["Node 'lif' (LIF) has no incoming edge"]
    for call in (cpu.simulate, cpu.profile, cpu.compile):
        with pytest.raises(BackendError, match=r"^Node 'lif' \(LIF\) has no incoming edge$"):
            call(graph)


@dataclass(eq=False, repr=False)
class Custom(ir.Node):
    """Never registered."""

    def output_shape(self, shape):
        return shape


def test_a_node_without_a_rule_is_named_and_not_passed_over():
    graph = network()
    graph.nodes["fc"] = Custom()
    graph.nodes["lif"] = Custom()
    graph.nodes["output"] = ir.Output(np.array([3]))
    found = cpu.validate(graph)
    assert (found.is_valid, found.unsupported_nodes) == (False, ["fc", "lif"])
    with pytest.raises(BackendError, match=r"^Backend 'cpu' has no rule for the nodes \{'fc': 'Cu"):
        cpu.simulate(graph)


def test_what_is_no_graph_is_refused():
    for backend in (cpu, array):
        with pytest.raises(TypeError, match=r"^graph must be a talon.ir.Graph, not str$"):
            backend.validate("network.t1c")


def test_constraints_are_valid_specifications():
    for backend in (cpu, array):
        backend.get_constraints().validate()
    assert cpu.get_constraints().num_cores == 1
    spec = array.get_constraints()
    assert (spec.num_cores, spec.max_neurons_per_core, spec.sram_bytes_per_core) == (32, 512, 98304)


# --- the array ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_array_answers_as_the_cpu_does(seed):
    rng = np.random.default_rng(seed)
    graph = network()
    raster = (rng.random((12, 4, 3)) < 0.5).astype(F)
    floats = cpu.simulate(graph, raster, layout="raster", step_by_step=True)
    integers = array.simulate(graph, raster, layout="raster", step_by_step=True)
    assert integers.spike_counts == floats.spike_counts
    assert integers.outputs["output"].tolist() == floats.outputs["output"].tolist()
    assert integers.timesteps_run == 12
    for ours, theirs in zip(integers.node_states, floats.node_states, strict=True):
        assert (ours["lif"] == theirs["lif"]).all()
    np.testing.assert_allclose(
        integers.membrane_potentials["lif"], floats.membrane_potentials["lif"], atol=0.05
    )


def test_the_array_takes_held_samples_and_no_data():
    held = array.simulate(network(), np.array([1, 1, 0], F), n_steps=4)
    assert held.outputs["output"].tolist() == [1, 0]
    assert array.simulate(network(), n_steps=4).spike_counts == {"lif": 0}


def test_read_outs_of_the_array_are_in_units_of_the_graph():
    graph = ir.Graph(
        {
            "input": ir.Input(np.array([3])),
            "fc": ir.Affine(np.array([[1, 1, 1], [0.5, 0, 0]], F), np.array([0.25, 0], F)),
            "output": ir.Output(np.array([2])),
        },
        [("input", "fc"), ("fc", "output")],
    )
    found = array.simulate(graph, np.array([1, 1, 0], F))
    np.testing.assert_allclose(found.outputs["output"], [2.25, 0.5], atol=0.02)


def test_the_array_compiles_to_a_program():
    rng = np.random.default_rng(0)
    graph = random_graph(rng)
    program = array.compile(graph, calibration=random_inputs(rng, graph, 4, 2))
    assert isinstance(program, Program)
    assert program.report["objective"] == "latency"
    fewest = array.compile(network(), CompileConfig(optimize_for="cores"))
    assert fewest.report["objective"] == "cores"


def test_the_array_says_what_it_does_not_have():
    with pytest.raises(
        BackendError, match=r"^The weights of backend 'array' are int8, not 'fp32';"
    ):
        array.compile(network(), CompileConfig(target_precision="fp32"))
    with pytest.raises(BackendError, match=r"optimizes for one of .*'traffic'\), not 'ener"):
        array.compile(network(), CompileConfig(optimize_for="energy"))
    capabilities = array.get_capabilities()
    assert "LIF" in capabilities.supported_primitives
    assert "NMS" not in capabilities.supported_primitives
    assert capabilities.supported_precisions == ["int8"]


def test_the_array_names_nodes_that_cannot_be_mapped():
    graph = ir.Graph(
        {
            "input": ir.Input(np.array([3])),
            "soft": ir.Softmax(3),
            "output": ir.Output(np.array([3])),
        },
        [("input", "soft"), ("soft", "output")],
    )
    found = array.validate(graph)
    assert (found.is_valid, found.unsupported_nodes) == (False, ["soft"])
    assert found.errors[0].startswith("Node 'soft' (Softmax) cannot be mapped: ")
    with pytest.raises(MappingError, match=r"^Node 'soft' \(Softmax\) cannot be mapped"):
        array.simulate(graph)


def test_a_network_that_is_too_large_for_its_array_is_not_valid():
    graph = ir.Graph(
        {
            "input": ir.Input(np.array([700])),
            "fc": ir.Affine(np.ones((700, 700), F), np.zeros(700, F)),
            "lif": ir.IF(np.full(700, 1, F)),
            "back": ir.Affine(np.ones((700, 700), F), np.zeros(700, F)),
            "output": ir.Output(np.array([700])),
        },
        [("input", "fc"), ("fc", "lif"), ("lif", "back"), ("back", "lif"), ("lif", "output")],
        delays={("back", "lif"): 1},  # what feeds itself must be in one pass
    )
    found = ArrayBackend(hw="tiny_1x1").validate(graph)
    assert not found.is_valid and "must be in one pass" in found.errors[0]
    assert array.validate(graph).is_valid


def test_run_profiles_where_the_backend_can():
    data = np.array([1, 1, 0], F)
    on_cpu = run(network(), data, 4)
    on_array = run(network(), data, 4, backend="array")
    assert on_cpu.spike_counts == on_array.spike_counts == {"lif": 4}
    assert on_cpu.profile is not None
    assert on_cpu.energy_estimate_uj == on_cpu.profile.energy_estimate_uj > 0
    assert (on_array.profile, on_array.energy_estimate_uj) == (None, None)
    assert run(network(), data, 4, profile=False).profile is None
    plain = on_cpu.to_dict()
    assert plain["outputs"] == {}
    assert plain["profile"]["energy_preset"] == "45nm_cmos"
