import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

from talon import ir
from talon.backend.cpu import FloatModel, Record, simulate_float
from talon.backend.cpu import simulator as simulator_module
from talon.errors import BackendError
from talon.testing import random_graph, random_inputs


def conv_network(n=6):
    """Return a network with a convolution, neurons on maps, a pool and a dense layer."""
    rng = np.random.default_rng(0)
    neurons = {"tau": 2.0, "r": 2.0, "v_leak": 0.0, "v_threshold": 1.0}
    nodes = {
        "input": ir.Input((2, n, n)),
        "conv": ir.Conv2d(rng.normal(0.2, 0.4, (3, 2, 3, 3)), np.zeros(3), padding=1),
        "maps": ir.LIF(*(np.full(3, value) for value in neurons.values()), reset="subtract"),
        "pool": ir.MaxPool2d(),
        "flat": ir.Flatten(),
        "fc": ir.Affine(rng.normal(0.2, 0.5, (4, 3 * (n // 2) ** 2)), np.zeros(4)),
        "lif": ir.LIF(*(np.full(4, value) for value in neurons.values())),
        "output": ir.Output([4]),
    }
    names = list(nodes)
    return ir.Graph(nodes, list(pairwise(names)))


def raster(n_steps, n_samples, n=6, rate=0.3):
    rng = np.random.default_rng(1)
    return (rng.random((n_steps, n_samples, 2, n, n)) < rate).astype(np.float32)


def test_outputs_and_counts_are_always_kept():
    graph, x = conv_network(), raster(12, 3)
    full, least = simulate_float(graph, x), simulate_float(graph, x, record=Record.nothing())
    assert not (least.spikes or least.potentials or least.currents or least.values)
    assert not (full.currents or full.values or full.activity or least.activity)
    np.testing.assert_array_equal(least.outputs["output"], full.outputs["output"])
    assert least.spike_counts == {name: int(s.sum()) for name, s in full.spikes.items()}
    assert min(least.spike_counts.values()) > 0
    assert (full.n_steps, full.n_samples) == (12, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_counts_are_those_of_the_spikes_in_networks_of_any_shape(dtype):
    for seed in range(8):
        graph = random_graph(np.random.default_rng(seed))
        inputs = random_inputs(np.random.default_rng(0), graph, 9, 2)
        trace = simulate_float(graph, inputs, dtype=dtype)
        assert trace.spike_counts == {name: int(s.sum()) for name, s in trace.spikes.items()}


def test_values_are_the_outputs_of_all_nodes():
    graph, x = conv_network(), raster(5, 2)
    trace = simulate_float(graph, x, record=Record(values=True, currents=True))
    shapes = graph.infer_shapes()
    assert {name: value.shape[2:] for name, value in trace.values.items()} == shapes
    np.testing.assert_array_equal(trace.values["input"], x)
    np.testing.assert_array_equal(trace.values["conv"], trace.currents["maps"])
    np.testing.assert_array_equal(trace.values["maps"], trace.spikes["maps"])
    np.testing.assert_array_equal(trace.values["output"], trace.outputs["output"])


@pytest.mark.parametrize("hold", [False, True])
def test_activity_counts_the_inputs_that_are_not_zero(hold):
    graph, x = conv_network(), raster(7, 3)
    given, n_steps = (x[0], 7) if hold else (x, None)
    record = Record(activity=True, values=True)
    trace = simulate_float(graph, given, n_steps, hold=hold, record=record)
    assert trace.activity.keys() == {"conv", "fc"}
    for name, source in (("conv", "input"), ("fc", "flat")):
        expected = (trace.values[source] != 0).sum(axis=(0, 1))
        np.testing.assert_array_equal(trace.activity[name], expected)
        assert trace.activity[name].dtype == np.int64
        assert trace.activity[name].any()


def test_activity_of_several_inputs_is_that_of_their_sum():
    """What a weight meets is the sum: here two inputs that cancel."""
    one = np.ones((1, 1), np.float32)
    nodes = {
        "a": ir.Input([1]),
        "minus": ir.Affine(-one, np.zeros(1, np.float32)),
        "fc": ir.Affine(one, np.zeros(1, np.float32)),
        "output": ir.Output([1]),
    }
    edges = [("a", "minus"), ("a", "fc"), ("minus", "fc"), ("fc", "output")]
    trace = simulate_float(ir.Graph(nodes, edges), np.ones((4, 1)), record=Record(activity=True))
    assert trace.activity["minus"].tolist() == [4]
    assert trace.activity["fc"].tolist() == [0]


def test_activity_on_a_cycle():
    one = np.ones((1, 1), np.float32)
    nodes = {
        "input": ir.Input([1]),
        "if": ir.IF(np.ones(1, np.float32)),
        "back": ir.Affine(one, np.zeros(1, np.float32)),
        "output": ir.Output([1]),
    }
    edges = [("input", "if"), ("if", "back"), ("back", "if"), ("if", "output")]
    graph = ir.Graph(nodes, edges, delays={("back", "if"): 2})
    impulse = np.zeros((9, 1))
    impulse[1] = 1
    trace = simulate_float(graph, impulse, record=Record(activity=True, currents=True, values=True))
    assert trace.spikes["if"].ravel().nonzero()[0].tolist() == [1, 3, 5, 7]
    assert trace.activity["back"].tolist() == [4]
    assert trace.currents["if"].ravel().tolist() == trace.values["if"].ravel().tolist()


def test_names_restrict_what_is_kept():
    graph, x = conv_network(), raster(5, 2)
    record = Record(currents=True, values=True, activity=True, nodes={"maps", "fc"})
    trace = simulate_float(graph, x, record=record)
    assert trace.spikes.keys() == trace.potentials.keys() == trace.currents.keys() == {"maps"}
    assert trace.values.keys() == {"maps", "fc"}
    assert trace.activity.keys() == {"fc"}
    assert trace.outputs.keys() == {"output"}
    assert trace.spike_counts.keys() == {"maps", "lif"}


def test_unknown_names_are_refused():
    record = Record(nodes=["lif", "lfi"])
    with pytest.raises(ValueError, match=r"Record.nodes has names that the graph has not: \['lfi'"):
        simulate_float(conv_network(), raster(2, 1), record=record)


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="dtype must be float32 or float64, got float16"):
        simulate_float(conv_network(), raster(2, 1), dtype=np.float16)


def test_a_model_runs_again_and_again():
    model = FloatModel(conv_network())
    first, second = raster(6, 2), raster(9, 5, rate=0.6)
    before = model.run(first)
    model.run(second)
    after = model.run(first)
    for name, potentials in before.potentials.items():
        np.testing.assert_array_equal(potentials, after.potentials[name])


@pytest.mark.parametrize("n_threads", [2, 3, 8])
def test_threads_share_the_samples(n_threads):
    model, x = FloatModel(conv_network(), np.float64), raster(9, 7)
    record = Record(currents=True, values=True, activity=True)
    alone, shared = (model.run(x, record=record, n_threads=n) for n in (1, n_threads))
    assert shared.spike_counts == alone.spike_counts
    for kind in ("spikes", "potentials", "currents", "values", "outputs", "activity"):
        first, second = getattr(alone, kind), getattr(shared, kind)
        assert first.keys() == second.keys()
        for name, value in first.items():
            np.testing.assert_allclose(second[name], value, rtol=1e-9, atol=1e-9)


def test_threads_tell_what_went_wrong():
    x = raster(4, 6)
    x[2, 5, 0] = 3e38
    weight = np.full((3, 2, 3, 3), 10, np.float32)
    graph = conv_network()
    graph.nodes["conv"] = ir.Conv2d(weight, np.zeros(3, np.float32), padding=1)
    with pytest.raises(BackendError, match=r"'maps' exceeds .* in timestep 2 of sample 5;"):
        FloatModel(graph).run(x, n_threads=3)
    with pytest.raises(ValueError, match="n_threads must be at least 1, got 0"):
        FloatModel(graph).run(x, n_threads=0)


def peak(model, x, n_steps, record):
    """Return the largest amount of memory that a run takes beyond what it is given, in bytes."""
    model.run(x, n_steps, hold=True, record=record)
    tracemalloc.start()
    model.run(x, n_steps, hold=True, record=record)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def test_memory_grows_with_what_is_kept_alone(monkeypatch):
    monkeypatch.setattr(simulator_module, "_CHUNK_BYTES", 1 << 16)
    model, x = FloatModel(conv_network(16)), raster(1, 2, 16)[0]
    n_more = 900
    growth = {}
    for name, record in (
        ("nothing", Record.nothing()),
        ("spikes", Record(potentials=False)),
        ("all", Record(currents=True)),
    ):
        growth[name] = peak(model, x, 100 + n_more, record) - peak(model, x, 100, record)
    n_neurons = 3 * 16 * 16 + 4
    outputs = n_more * 2 * 4 * 4
    kept = n_more * 2 * n_neurons
    assert growth["nothing"] < 2 * outputs
    assert kept < growth["spikes"] < 1.1 * kept + 2 * outputs
    assert 9 * kept < growth["all"] < 9.1 * kept + 2 * outputs
