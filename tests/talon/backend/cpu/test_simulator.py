import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talon import ir
from talon.backend.cpu import Record, simulate_float
from talon.backend.errors import InputError
from talon.errors import BackendError, ModelError
from talon.testing import divider, graphs, random_graph, random_inputs, random_raster, ring


def scalar_run(graph, inputs, sample):
    """Follow the documented equations with Python's floats, one neuron at a time.

    Nothing of the simulator is used: nodes are visited in the order of a depth-first search, values
    are lists of numbers, and the past is kept whole.
    """
    n_steps = next(iter(inputs.values())).shape[0]
    sizes = {name: int(np.prod(shape)) for name, shape in graph.infer_shapes().items()}
    sources = {name: [s for s, d in graph.edges if d == name] for name in graph.nodes}
    order = []

    def visit(name):
        if name not in order:
            for src in sources[name]:
                if not graph.delays.get((src, name)):
                    visit(src)
            order.append(name)

    for name in graph.nodes:
        visit(name)
    values = {name: [] for name in graph.nodes}
    potentials = {n: [] for n, node in graph.nodes.items() if isinstance(node, ir.Neuron)}
    for t in range(n_steps):
        for name in order:
            node = graph.nodes[name]
            if isinstance(node, ir.Input):
                values[name].append([float(x) for x in inputs[name][t, sample].ravel()])
                continue
            parts = []
            for src in sources[name]:
                origin = t - graph.delays.get((src, name), 0)
                parts.append(values[src][origin] if origin >= 0 else [0.0] * sizes[src])
            if isinstance(node, ir.Skip) and node.skip_type in ("concat", "concatenate"):
                x = [v for part in parts for v in part]
            else:
                x = [sum(column) for column in zip(*parts, strict=True)]
            if isinstance(node, ir.Neuron):
                before = potentials[name][-1] if t else [0.0] * len(x)
                pairs = [scalar_neuron(node, i, before[i], x[i]) for i in range(len(x))]
                potentials[name].append([v for v, _ in pairs])
                x = [float(s) for _, s in pairs]
            elif isinstance(node, ir.Affine | ir.SpikingAffine):
                x = [
                    sum(float(w) * v for w, v in zip(row, x, strict=True)) + float(b)
                    for row, b in zip(node.weight, node.bias, strict=True)
                ]
            values[name].append(x)
    return values, potentials


def scalar_neuron(node, i, v, x):
    threshold, reset = float(node.v_threshold[i]), float(node.v_reset[i])

    def compare(potential):
        return potential > threshold if node.strict else potential >= threshold

    if isinstance(node, ir.LIF):
        beta = 1 - 1 / float(node.tau[i])
        drive = (1 - beta) * (float(node.v_leak[i]) + float(node.r[i]) * x)
        base = beta * v + drive
    else:
        drive = float(node.r[i]) * x
        base = v + drive
    fires = compare(v) if node.reset_delay else compare(base)
    if node.reset == "zero":
        restart = reset + drive if node.reset_delay else reset
        after = restart if fires else base
    elif node.reset == "subtract":
        after = base - threshold if fires else base
    else:
        after = base
    return after, compare(after) if node.reset_delay else fires


def assert_agrees(graph, inputs, trace):
    for sample in range(next(iter(inputs.values())).shape[1]):
        values, potentials = scalar_run(graph, inputs, sample)
        for name, expected in potentials.items():
            got = trace.potentials[name][:, sample].reshape(len(expected), -1)
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)
            spikes = trace.spikes[name][:, sample].reshape(len(expected), -1)
            np.testing.assert_array_equal(spikes, np.array(values[name]) != 0)
        for name, got in trace.outputs.items():
            flat = got[:, sample].reshape(len(values[name]), -1)
            np.testing.assert_allclose(flat, values[name], rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=100)
@given(graph=graphs(max_neurons=12), seed=st.integers(0, 999))
def test_random_networks_agree_with_the_equations(graph, seed):
    inputs = random_inputs(np.random.default_rng(seed), graph, 9, 2, rate=0.4)
    trace = simulate_float(graph, inputs, dtype=np.float64)
    assert trace.spikes.keys() == {n for n, x in graph.nodes.items() if isinstance(x, ir.Neuron)}
    assert_agrees(graph, inputs, trace)


def exact_network(rng, kind, **options):
    """Return a recurrent layer whose numbers are all multiples of 1/8, so that sums are exact.

    Potentials then often meet the threshold exactly, where ``>=`` and ``>`` differ.
    """

    def draw(low, high, *shape):
        return (rng.integers(low, high + 1, shape) / 4).astype(np.float64)

    n = 6
    if kind == "LIF":
        tau = rng.choice([1.0, 2.0], n)
        node = ir.LIF(tau, draw(1, 8, n), draw(-1, 1, n), draw(2, 4, n), **options)
    else:
        node = ir.IF(draw(2, 4, n), r=draw(2, 6, n), **options)
    nodes = {
        "input": ir.Input([5]),
        "fc": ir.Affine(draw(-3, 5, n, 5), draw(-1, 1, n)),
        "neuron": node,
        "back": ir.Affine(draw(-2, 2, n, n), np.zeros(n)),
        "output": ir.Output([n]),
    }
    edges = [("input", "fc"), ("fc", "neuron"), ("neuron", "back"), ("back", "neuron")]
    return ir.Graph(nodes, [*edges, ("neuron", "output")], delays={("neuron", "back"): 2})


@pytest.mark.parametrize("kind", ["LIF", "IF"])
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("reset_delay", [False, True])
@pytest.mark.parametrize("strict", [False, True])
def test_every_mode_agrees_with_the_equations(kind, reset, reset_delay, strict):
    rng = np.random.default_rng(7)
    options = {"reset": reset, "reset_delay": reset_delay, "strict": strict}
    graph = exact_network(rng, kind, v_reset=rng.integers(-1, 2, 6) / 4, **options)
    inputs = {"input": random_raster(rng, 40, 3, 5, rate=0.5)}
    trace = simulate_float(graph, inputs, dtype=np.float64)
    assert trace.spikes["neuron"].any()
    assert not trace.spikes["neuron"].all()
    assert_agrees(graph, inputs, trace)


@pytest.mark.parametrize("delay", [1, 2, 3, 4])
def test_ring_passes_a_spike_on_after_its_delay(delay):
    raster = np.zeros((20, 1, 5))
    raster[0, 0, 2] = 1
    graph = ring(5, delay)
    spikes = simulate_float(graph, raster).spikes["neuron"][:, 0]
    expected = np.zeros((20, 5), bool)
    for hop, t in enumerate(range(0, 20, delay)):
        expected[t, (2 + hop) % 5] = True
    np.testing.assert_array_equal(spikes, expected)


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_divider_fires_at_every_nth_spike(n):
    spikes = simulate_float(divider(n), np.ones((21, 1))).spikes["neuron"].ravel()
    assert np.flatnonzero(spikes).tolist() == list(range(n - 1, 21, n))


def test_documented_example_of_the_lif():
    """tau=10, r=10: the spike train that both of the original's executors give."""
    values = (10, 10, 0, 1)
    nodes = {
        "input": ir.Input([1]),
        "lif": ir.LIF(*(np.full(1, value, np.float32) for value in values)),
        "output": ir.Output([1]),
    }
    graph = ir.Graph(nodes, [("input", "lif"), ("lif", "output")])
    spikes = simulate_float(graph, np.full(1, 0.5), 20, hold=True).spikes["lif"].ravel()
    assert "".join(map(str, spikes.astype(int))) == "00100100100100100100"


def test_held_images_are_as_good_as_repeated_ones():
    rng = np.random.default_rng(2)
    graph = random_graph(rng)
    shapes = graph.input_type
    images = {name: rng.random((4, *shape)).astype(np.float32) for name, shape in shapes.items()}
    held = simulate_float(graph, images, 12, hold=True)
    repeated = simulate_float(graph, {n: np.repeat(x[None], 12, 0) for n, x in images.items()})
    for name, spikes in held.spikes.items():
        np.testing.assert_array_equal(spikes, repeated.spikes[name])
    for name, output in held.outputs.items():
        np.testing.assert_allclose(output, repeated.outputs[name], rtol=1e-5, atol=1e-5)


def test_samples_do_not_touch_each_other():
    rng = np.random.default_rng(4)
    graph = random_graph(rng)
    inputs = random_inputs(rng, graph, 15, 4)
    together = simulate_float(graph, inputs, dtype=np.float64)
    for sample in range(4):
        alone = simulate_float(
            graph, {n: x[:, sample : sample + 1] for n, x in inputs.items()}, dtype=np.float64
        )
        for name, spikes in alone.spikes.items():
            np.testing.assert_array_equal(spikes[:, 0], together.spikes[name][:, sample])


def test_second_run_starts_afresh():
    graph, raster = ring(4, 2), np.eye(4)[None].repeat(6, 0).reshape(6, 4, 4)
    first, second = simulate_float(graph, raster), simulate_float(graph, raster)
    np.testing.assert_array_equal(first.potentials["neuron"], second.potentials["neuron"])


def test_currents_are_recorded_on_request():
    graph = random_graph(np.random.default_rng(11))
    inputs = random_inputs(np.random.default_rng(0), graph, 8, 2)
    assert not simulate_float(graph, inputs).currents
    trace = simulate_float(graph, inputs, record=Record(currents=True), dtype=np.float64)
    assert trace.currents.keys() == trace.spikes.keys()
    for name in trace.currents:
        node = graph.nodes[name]
        for i, current in enumerate(trace.currents[name][0, 0]):
            v, _ = scalar_neuron(node, i, 0.0, float(current))
            assert trace.potentials[name][0, 0, i] == pytest.approx(v, abs=1e-9)


def test_parameters_per_channel_and_flatten():
    nodes = {
        "input": ir.Input((2, 3)),
        "if": ir.IF(np.array([1, 2], np.float32)),
        "flat": ir.Flatten(),
        "output": ir.Output([6]),
    }
    graph = ir.Graph(nodes, [("input", "if"), ("if", "flat"), ("flat", "output")])
    output = simulate_float(graph, np.ones((2, 2, 3))).outputs["output"][:, 0]
    assert output.tolist() == [[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1]]


def test_classes_are_those_with_the_largest_sum():
    graph = ir.Graph({"input": ir.Input([3]), "output": ir.Output([3])}, [("input", "output")])
    raster = np.array([[[0, 1, 0], [0, 0, 1]], [[1, 1, 0], [0, 0, 1]]])
    assert simulate_float(graph, raster).classes().tolist() == [1, 2]


def test_type_of_the_simulation_is_the_callers():
    graph = divider(2)
    for dtype in (np.float32, np.float64):
        trace = simulate_float(graph, np.ones((3, 1)), dtype=dtype)
        assert trace.potentials["neuron"].dtype == dtype
        assert trace.outputs["output"].dtype == dtype


def test_unusable_networks_and_inputs_are_refused():
    graph = divider(2)
    with pytest.raises(InputError, match="takes a raster of shape"):
        simulate_float(graph, np.ones((3, 2)))
    graph.edges.append(("neuron", "fc"))
    with pytest.raises(ModelError, match="cycle without delay"):
        simulate_float(graph, np.ones((3, 1)))


def test_node_without_a_rule_is_named():
    class Mystery(ir.Node):
        def output_shape(self, shape):
            return shape

    nodes = {"input": ir.Input([1]), "x": Mystery(), "output": ir.Output([1])}
    graph = ir.Graph(nodes, [("input", "x"), ("x", "output")])
    with pytest.raises(BackendError, match="The float simulation has no rule for Mystery"):
        simulate_float(graph, np.ones((3, 1)))


def snntorch_run(weight, raster, **options):
    """Return spikes and potentials of snnTorch's Leaky behind a layer without bias."""
    torch = pytest.importorskip("torch")
    snntorch = pytest.importorskip("snntorch")
    leaky = snntorch.Leaky(beta=0.9, threshold=1.0, **options)
    mem = leaky.reset_mem()
    spikes, potentials = [], []
    with torch.no_grad():
        for x in raster:
            spk, mem = leaky(torch.from_numpy(x @ weight.T), mem)
            spikes.append(spk.numpy().astype(bool))
            potentials.append(mem.numpy().copy())
    return np.array(spikes), np.array(potentials)


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("reset_delay", [False, True])
def test_agrees_with_snntorch(reset, reset_delay):
    rng = np.random.default_rng(5)
    n_in, n, n_steps, n_samples = 20, 50, 200, 4
    weight = rng.uniform(-0.2, 0.33, (n, n_in)).astype(np.float32)
    # Three spikes a timestep bring less than the threshold, so that a potential stays below twice
    # of it: above, snnTorch resets by subtraction at once differently, over two timesteps.
    ranks = rng.random((n_steps, n_samples, n_in)).argsort(axis=-1)
    raster = (ranks < 3).astype(np.float32)
    spikes, potentials = snntorch_run(
        weight, raster, reset_mechanism=reset, reset_delay=reset_delay
    )
    tau, ones = np.full(n, 10.0), np.ones(n)
    lif = ir.LIF(tau, tau, ones * 0, ones, reset=reset, reset_delay=reset_delay, strict=True)
    nodes = {
        "input": ir.Input([n_in]),
        "fc": ir.Affine(weight, np.zeros(n, np.float32)),
        "lif": lif,
        "output": ir.Output([n]),
    }
    graph = ir.Graph(nodes, [("input", "fc"), ("fc", "lif"), ("lif", "output")])
    trace = simulate_float(graph, raster)
    assert spikes.mean() > 0.01
    # Both work in float32, in another order: a potential within an ulp of the threshold may flip.
    agrees = (trace.spikes["lif"] == spikes).all(axis=0)
    assert agrees.mean() > 0.98
    got, expected = trace.potentials["lif"][:, agrees], potentials[:, agrees]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("delays", [{}, {("rec", "lif"): 1}])
def test_overflow_is_told_by_node(delays):
    """Finite weights may give sums that are not, on a cycle as well as off it."""
    full = np.ones(2, np.float32)
    nodes = {
        "in": ir.Input([2]),
        "fc": ir.Affine(np.full((2, 2), 3e38, np.float32), 0 * full),
        "lif": ir.LIF(full, full, 0 * full, full, reset="none"),
        "out": ir.Output([2]),
    }
    edges = [("in", "fc"), ("fc", "lif"), ("lif", "out")]
    if delays:
        nodes["rec"] = ir.Affine(np.eye(2, dtype=np.float32), 0 * full)
        edges += [("lif", "rec"), ("rec", "lif")]
    raster = np.zeros((4, 3, 2))
    raster[2, 1] = 1
    message = r"^Node 'lif' exceeds the range of float32 in timestep 2 of sample 1; scale weights"
    with pytest.raises(BackendError, match=message):
        simulate_float(ir.Graph(nodes, edges, delays=delays), raster)
