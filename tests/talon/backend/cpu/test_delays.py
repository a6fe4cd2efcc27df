"""Late edges and held values, in chunks of any size."""

import numpy as np
import pytest

from talon import ir
from talon.backend.cpu import FloatModel, simulate_float
from talon.backend.inputs import Inputs
from talon.errors import BackendError

CHUNKS = pytest.mark.parametrize("n_steps", [1, 2, 3, 7, 20])


@pytest.fixture
def chunk(monkeypatch, n_steps):
    monkeypatch.setattr(FloatModel, "_chunk", lambda self, data, _: (data.n_samples, n_steps))


def late(x, delay):
    """Return ``(n_steps, n_samples, *shape)`` so many timesteps later."""
    return np.concatenate((np.zeros_like(x), x))[len(x) - delay : 2 * len(x) - delay]


def inputs_of(graph, n_steps=11, n_samples=2, held=()):
    rng = np.random.default_rng(0)
    values = {}
    for name, shape in graph.input_type.items():
        x = rng.normal(size=(n_steps, n_samples, *shape)).astype(np.float32)
        values[name] = np.broadcast_to(x[:1], x.shape) if name in held else x
    return Inputs(values=values)


@CHUNKS
@pytest.mark.usefixtures("chunk")
def test_one_source_is_late_in_several_ways():
    delays = {"b": 5, "c": 2, "d": 1, "e": 13}
    nodes = {"input": ir.Input([3])}
    nodes |= {name: ir.ReLU(3) for name in "abcde"}
    nodes |= {f"out_{name}": ir.Output([3]) for name in "abcde"}
    edges = [("input", name) for name in "abcde"] + [(name, f"out_{name}") for name in "abcde"]
    graph = ir.Graph(nodes, edges, delays={("input", name): n for name, n in delays.items()})
    inputs = inputs_of(graph)
    outputs = simulate_float(graph, inputs).outputs
    x = np.maximum(inputs.values["input"], 0)
    for name in "abcde":
        delay = delays.get(name, 0)
        expected = late(x, delay) if delay <= len(x) else np.zeros_like(x)
        np.testing.assert_array_equal(outputs[f"out_{name}"], expected)


def two_inputs(join, shape, delays):
    nodes = {"a": ir.Input([3]), "b": ir.Input([3]), "join": join, "out": ir.Output(shape)}
    return ir.Graph(nodes, [("a", "join"), ("b", "join"), ("join", "out")], delays=delays)


@CHUNKS
@pytest.mark.parametrize("held", [(), ("a",), ("b",), ("a", "b")])
@pytest.mark.parametrize("delays", [{}, {("a", "join"): 2}, {("a", "join"): 1, ("b", "join"): 4}])
@pytest.mark.usefixtures("chunk")
def test_held_values_and_others_are_joined(held, delays):
    for join, shape in ((ir.Skip(), [3]), (ir.Concat(), [6]), (ir.Skip("concat"), [6])):
        graph = two_inputs(join, shape, delays)
        inputs = inputs_of(graph, held=held)
        a, b = (late(x, delays.get((n, "join"), 0)) for n, x in inputs.values.items())
        expected = a + b if shape == [3] else np.concatenate((a, b), axis=2)
        np.testing.assert_array_equal(simulate_float(graph, inputs).outputs["out"], expected)


@CHUNKS
@pytest.mark.usefixtures("chunk")
def test_a_held_value_is_late_on_a_cycle_as_well():
    """A leaky sum without neurons: y[t] = x[t - 2] + y[t - 3] / 2."""
    half = np.eye(3, dtype=np.float32) / 2
    nodes = {
        "a": ir.Input([3]),
        "sum": ir.Skip(),
        "half": ir.Affine(half, np.zeros(3, np.float32)),
        "out": ir.Output([3]),
    }
    edges = [("a", "sum"), ("sum", "half"), ("half", "sum"), ("sum", "out")]
    graph = ir.Graph(nodes, edges, delays={("a", "sum"): 2, ("half", "sum"): 3})
    for held in ((), ("a",)):
        inputs = inputs_of(graph, held=held)
        x = late(inputs.values["a"], 2)
        y = np.zeros_like(x)
        for t in range(len(x)):
            y[t] = x[t] + (y[t - 3] / 2 if t >= 3 else 0)
        np.testing.assert_array_equal(simulate_float(graph, inputs).outputs["out"], y)


@CHUNKS
@pytest.mark.usefixtures("chunk")
def test_sections_are_late_and_meet_again():
    nodes = {
        "a": ir.Input((5, 2)),
        "split": ir.ChannelSplit((2, 1, 2)),
        "sum": ir.Skip(),
        "one": ir.Output((1, 2)),
        "out": ir.Output((2, 2)),
    }
    edges = [("a", "split"), ("split", "sum"), ("split", "one"), ("split", "sum"), ("sum", "out")]
    delays = {("split", "sum"): 3, ("split", "one"): 1}
    graph = ir.Graph(nodes, edges, delays=delays)
    inputs = inputs_of(graph)
    outputs = simulate_float(graph, inputs).outputs
    x = inputs.values["a"]
    np.testing.assert_array_equal(outputs["one"], late(x[:, :, 2:3], 1))
    np.testing.assert_array_equal(outputs["out"], late(x[:, :, :2] + x[:, :, 3:], 3))


@CHUNKS
@pytest.mark.parametrize("reset_delay", [False, True])
@pytest.mark.usefixtures("chunk")
def test_maps_of_a_recurrent_convolution(reset_delay):
    """A convolution on a cycle is stepped; neurons on maps keep their potentials over chunks."""
    rng = np.random.default_rng(3)
    weight = rng.normal(0, 0.3, (2, 2, 3, 3))
    lif = ir.LIF(
        *(np.full(2, value) for value in (2.0, 2.0, 0.1, 1.0)),
        reset="subtract",
        reset_delay=reset_delay,
    )
    nodes = {
        "a": ir.Input((2, 4, 5)),
        "lif": lif,
        "back": ir.Conv2d(weight, np.zeros(2), padding="same"),
        "out": ir.Output((2, 4, 5)),
    }
    edges = [("a", "lif"), ("lif", "back"), ("back", "lif"), ("lif", "out")]
    graph = ir.Graph(nodes, edges, delays={("back", "lif"): 1})
    inputs = inputs_of(graph)
    trace = simulate_float(graph, inputs, dtype=np.float64)
    back = FloatModel(
        ir.Graph(
            {"in": ir.Input((2, 4, 5)), "back": nodes["back"], "out": ir.Output((2, 4, 5))},
            [("in", "back"), ("back", "out")],
        ),
        np.float64,
    )
    v, spikes = np.zeros((2, 2, 4, 5)), np.zeros((2, 2, 4, 5))
    for t, x in enumerate(inputs.values["a"].astype(np.float64)):
        current = x + back.run(spikes[np.newaxis]).outputs["out"][0]
        base = 0.5 * v + current + 0.05
        fired = (v if reset_delay else base) >= 1
        v = base - fired
        spikes = (v >= 1 if reset_delay else fired).astype(np.float64)
        np.testing.assert_allclose(trace.potentials["lif"][t], v, rtol=1e-9, atol=1e-9)
        np.testing.assert_array_equal(trace.spikes["lif"][t], spikes)
    assert 0.05 < trace.spikes["lif"].mean() < 0.95


@CHUNKS
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.usefixtures("chunk")
def test_overflow_is_told_with_its_timestep(reset):
    """Also where a reset would take the infinite potential away."""
    ones = np.ones(2, np.float32)
    nodes = {
        "a": ir.Input([2]),
        "fc": ir.Affine(np.eye(2, dtype=np.float32) * np.float32(3e38), 0 * ones),
        "lif": ir.LIF(2 * ones, 2 * ones, 0 * ones, ones, reset=reset),
        "out": ir.Output([2]),
    }
    graph = ir.Graph(nodes, [("a", "fc"), ("fc", "lif"), ("lif", "out")])
    x = np.zeros((11, 3, 2))
    x[6, 2, 1] = 2
    with pytest.raises(
        BackendError, match=r"^Node 'lif' exceeds the range of float32 in timestep 6 of sample 2;"
    ):
        simulate_float(graph, x)
