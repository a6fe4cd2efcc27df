"""Random networks of all primitives: timestep by timestep, in chunks, sample by sample."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talon import ir
from talon.backend.cpu import FloatModel, Record, simulate_float
from talon.backend.cpu.kernels import build_kernel, join
from talon.ir.costs import count_neurons
from talon.testing import graphs_of_primitives, random_inputs

EVERYTHING = Record(currents=True, synaptic=True, values=True, activity=True)


def stepwise(graph, inputs):
    """Run a graph timestep by timestep and keep the whole past; only the kernels are shared."""
    shapes, ports = graph.infer_shapes(), graph.ports()
    n_steps, n_samples = next(iter(inputs.values())).shape[:2]
    past = {name: [] for name in graph.nodes}
    populations = [n for n, node in graph.nodes.items() if count_neurons(node, shapes[n])]
    v = {name: np.zeros((n_samples, *shapes[name])) for name in populations}
    current = {name: np.zeros((n_samples, *shapes[name])) for name in populations}
    came = {name: [] for name, node in graph.nodes.items() if isinstance(node, ir.Delay)}
    potentials = {name: [] for name in v}
    for t in range(n_steps):
        for name in graph.topological_order():
            node = graph.nodes[name]
            if isinstance(node, ir.Input):
                past[name].append(inputs[name][t].astype(np.float64))
                continue
            parts = []
            for (src, dst), port in zip(graph.edges, ports, strict=True):
                if dst != name:
                    continue
                origin = t - graph.delays.get((src, dst), 0)
                value = past[src][origin] if origin >= 0 else np.zeros((n_samples, *shapes[src]))
                source = graph.nodes[src]
                if isinstance(source, ir.ChannelSplit):
                    ends = np.cumsum(source.split_sections)[:-1]
                    dim = source.dim + 1 if source.dim >= 0 else source.dim
                    value = np.split(value, ends, axis=dim)[port]
                parts.append(value)
            x = join(node, parts, axis=1)
            if name in populations:
                current[name], drive, beta = driven(node, shapes[name], current[name], x)
                v[name], y = stepped(node, shapes[name], v[name], drive, beta)
                potentials[name].append(v[name])
            elif name in came:
                came[name].append(x)
                y = late(node.broadcast(node.delay, shapes[name]), came[name])
            else:
                y = build_kernel(node, x.shape[1:], np.dtype(np.float64))(x)
            past[name].append(y)
    return past, potentials


def late(delays, came):
    """Return for each feature what came so many timesteps ago."""
    y = np.zeros_like(came[-1])
    for index in np.ndindex(*delays.shape):
        if delays[index] < len(came):
            y[(slice(None), *index)] = came[-1 - delays[index]][(slice(None), *index)]
    return y


def parameters_of(node, shape):
    return {
        name: node.broadcast(getattr(node, name).astype(np.float64), shape)
        for name in node.parameter_names
    }


def driven(node, shape, current, x):
    """Return the synaptic current of a timestep, its drive and the decay of the potential."""
    p = parameters_of(node, shape)
    if isinstance(node, ir.CubaLIF | ir.CubaLI):
        alpha = 1 - 1 / p["tau_syn"]
        current = alpha * current + p["w_in"] / p["tau_syn"] * x
        x = current
    if isinstance(node, ir.IF | ir.I):
        return current, p["r"] * x, 1.0
    tau = p["tau" if "tau" in p else "tau_mem"]
    return current, p["r"] / tau * x + p["v_leak"] / tau, 1 - 1 / tau


def stepped(node, shape, v, drive, beta):
    """Return potentials and output after a timestep, after the head of talon.ir.neurons."""
    base = beta * v + drive
    if not isinstance(node, ir.Neuron):
        return base, base
    parameters = parameters_of(node, shape)
    threshold = parameters["v_threshold"]

    def compare(potential):
        return potential > threshold if node.strict else potential >= threshold

    if node.max_spikes > 1:
        whole = np.ceil(base / threshold) - 1 if node.strict else np.floor(base / threshold)
        spikes = whole.clip(0, node.max_spikes)
        after = {
            "zero": np.where(spikes > 0, parameters["v_reset"], base),
            "subtract": base - spikes * threshold,
            "none": base,
        }
        return after[node.reset], spikes
    if node.double_threshold:
        spikes = compare(base - compare(v) * threshold)
        return base - spikes * threshold, spikes.astype(np.float64)
    fires = compare(v) if node.reset_delay else compare(base)
    if node.reset == "zero":
        counts = node.reset_delay and not node.reset_drops_drive
        restart = parameters["v_reset"] + (drive if counts else 0)
        after = np.where(fires, restart, base)
    elif node.reset == "subtract":
        after = np.where(fires, base - threshold, base)
    else:
        after = base
    return after, (compare(after) if node.reset_delay else fires).astype(np.float64)


def assert_close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-7)


seeds = st.integers(0, 999)


@settings(deadline=None, max_examples=60)
@given(graph=graphs_of_primitives(), seed=seeds)
def test_chunks_are_what_single_timesteps_are(graph, seed):
    inputs = random_inputs(np.random.default_rng(seed), graph, 7, 2, rate=0.4)
    values, potentials = stepwise(graph, inputs)
    trace = simulate_float(graph, inputs, dtype=np.float64, record=EVERYTHING)
    assert trace.values.keys() == graph.nodes.keys()
    for name, value in trace.values.items():
        assert_close(value, np.array(values[name]))
    for name, expected in potentials.items():
        assert_close(trace.potentials[name], np.array(expected))
        if isinstance(graph.nodes[name], ir.Neuron):
            np.testing.assert_array_equal(trace.spikes[name], np.array(values[name]) != 0)


@pytest.mark.parametrize("chunk", [(1, 1), (2, 1), (3, 2), (3, 4)])
@settings(deadline=None, max_examples=25)
@given(graph=graphs_of_primitives(), seed=seeds)
def test_size_of_a_chunk_changes_nothing(chunk, graph, seed):
    """A chunk has some of the samples, or some of the timesteps of all of them."""
    inputs = random_inputs(np.random.default_rng(seed), graph, 6, 3, rate=0.4)
    whole = simulate_float(graph, inputs, dtype=np.float64, record=EVERYTHING)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FloatModel, "_chunk", lambda *_: chunk)
        parts = simulate_float(graph, inputs, dtype=np.float64, record=EVERYTHING)
    for kind in ("values", "potentials", "currents", "synaptic", "outputs", "activity"):
        first, second = getattr(whole, kind), getattr(parts, kind)
        assert first.keys() == second.keys()
        for name, value in first.items():
            assert_close(second[name], value)
    assert whole.spike_counts == parts.spike_counts


@settings(deadline=None, max_examples=25)
@given(graph=graphs_of_primitives(), seed=seeds)
def test_samples_are_simulated_for_themselves(graph, seed):
    inputs = random_inputs(np.random.default_rng(seed), graph, 6, 3, rate=0.4)
    together = simulate_float(graph, inputs, dtype=np.float64)
    for sample in range(3):
        own = {name: x[:, sample : sample + 1] for name, x in inputs.items()}
        alone = simulate_float(graph, own, dtype=np.float64)
        for name, value in alone.outputs.items():
            assert_close(value[:, 0], together.outputs[name][:, sample])


@settings(deadline=None, max_examples=25)
@given(graph=graphs_of_primitives(), seed=seeds)
def test_held_inputs_are_repeated_ones(graph, seed):
    rng = np.random.default_rng(seed)
    images = {name: rng.random((2, *shape)) for name, shape in graph.input_type.items()}
    held = simulate_float(graph, images, 5, hold=True, dtype=np.float64, record=EVERYTHING)
    repeated = {name: np.repeat(x[None], 5, 0) for name, x in images.items()}
    given_each = simulate_float(graph, repeated, dtype=np.float64, record=EVERYTHING)
    for kind in ("values", "potentials", "currents", "synaptic", "outputs", "activity"):
        first, second = getattr(held, kind), getattr(given_each, kind)
        assert first.keys() == second.keys()
        for name, value in first.items():
            assert_close(value, second[name])
