"""The forward pass of quantization-aware training is the golden model's, before and after it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

import talon  # noqa: E402
from talon import ir  # noqa: E402
from talon.bridge import quantize_aware_training  # noqa: E402
from talon.errors import MappingError  # noqa: E402
from talon.testing import GraphLimits, assert_same_graph, random_graph, random_inputs  # noqa: E402

LIMITS = GraphLimits(max_neurons=24, max_inputs=24, late=0.0)


def drawn(seed, *, graded, limits=LIMITS):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, limits)
    inputs = random_inputs(rng, graph, 8, 3)
    if graded:
        inputs = {name: rng.normal(size=x.shape).astype(np.float32) for name, x in inputs.items()}
    return graph, {name: x.astype(np.float32) for name, x in inputs.items()}


def tensors(inputs):
    return {name: torch.from_numpy(x) for name, x in inputs.items()}


def assert_golden(quantized, inputs):
    """Compare every spike of all neurons and every value of read-outs with the golden model."""
    program = talon.compile(quantized.to_graph(), hw=quantized.params, calibration=inputs)
    trace = program.run(inputs, target="golden", probe=True)
    names = [name for name in trace.spikes if not name.startswith("/")]
    with torch.no_grad():
        run = quantized.run(tensors(inputs), record=names)
    for name in names:
        found = run.values[name].numpy().reshape(trace.spikes[name].shape)
        np.testing.assert_array_equal(found != 0, trace.spikes[name], err_msg=name)
    scales = {p.name: p.v_scale for p in program.network.populations}
    for port in program.network.outputs:
        if port.kind == "readout":
            expected = trace.potentials[port.population] * scales[port.population]
            found = run.outputs[port.name].numpy().reshape(expected.shape)
            np.testing.assert_array_equal(found, expected.astype(np.float32))
    for name, v in trace.potentials.items():
        if name in run.state:
            np.testing.assert_array_equal(run.state[name][0].numpy(), v[-1], err_msg=name)
    return sum(int(spikes.sum()) for spikes in trace.spikes.values())


def train(quantized, inputs, steps=3, rate=0.05):
    quantized.train()
    optimizer = torch.optim.SGD([p for p in quantized.parameters() if p.requires_grad], rate)
    for _ in range(steps):
        outputs = quantized.run(tensors(inputs)).outputs
        loss = sum((out.float() - 0.3).pow(2).mean() for out in outputs.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return quantized.eval()


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), graded=st.booleans())
def test_forward_pass_is_the_golden_model_before_and_after_training(seed, graded):
    graph, inputs = drawn(seed, graded=graded)
    quantized = quantize_aware_training(graph, inputs)
    assert_same_graph(graph, quantized.to_graph())
    assert_golden(quantized, inputs)
    if any(p.requires_grad for p in quantized.parameters()):
        assert_golden(train(quantized, inputs), inputs)


def network(reset="subtract", reset_delay=True, strict=True, bits=8, **more):
    rng = np.random.default_rng(0)
    weight = [
        rng.normal(0, 1 / np.sqrt(n), (m, n)).astype(np.float32) for m, n in ((20, 12), (4, 20))
    ]
    neurons = [
        ir.LIF(
            *(np.full(n, value, np.float32) for value in (5, 5, 0, 0.5)),
            reset=reset,
            reset_delay=reset_delay,
            strict=strict,
            **more,
        )
        for n in (20, 4)
    ]
    nodes = {
        "input": ir.Input([12]),
        "fc1": ir.SpikingAffine(weight[0], np.full(20, 0.05, np.float32), "binary", bits, 24),
        "lif1": neurons[0],
        "fc2": ir.SpikingAffine(weight[1], np.zeros(4, np.float32), "binary", bits, 24),
        "lif2": neurons[1],
        "output": ir.Output([4]),
    }
    names = list(nodes)
    return ir.Graph(nodes, [(names[k], names[k + 1]) for k in range(len(names) - 1)])


def raster(seed=1, n_samples=16):
    return (np.random.default_rng(seed).random((15, n_samples, 12)) < 0.4).astype(np.float32)


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("reset_delay", [False, True])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("bits", [8, 3])
def test_every_rule_of_neurons(reset, reset_delay, strict, bits):
    graph = network(reset, reset_delay, strict, bits)
    x = {"input": raster()}
    quantized = quantize_aware_training(graph, x)
    assert assert_golden(quantized, x) > 50
    before = quantized.to_graph().nodes["fc1"].weight.copy()
    train(quantized, x)
    assert not np.array_equal(quantized.to_graph().nodes["fc1"].weight, before)
    assert assert_golden(quantized, x) > 50


def test_late_reset_that_drops_the_drive():
    graph = network("zero", reset_delay=True, reset_drops_drive=True)
    x = {"input": raster()}
    quantized = quantize_aware_training(graph, x)
    assert assert_golden(quantized, x) > 50
    assert assert_golden(train(quantized, x), x) > 50


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_neurons_with_currents_and_read_outs_that_integrate(seed):
    limits = GraphLimits(
        max_neurons=16, max_inputs=16, late=0.0, synaptic=0.6, elementwise=0.3, integrators=0.6
    )
    graph, inputs = drawn(seed, graded=False, limits=limits)
    try:
        quantized = quantize_aware_training(graph, inputs, hw="zynq_us_plus_syn")
    except MappingError:  # a delay that is longer than the array has
        return
    assert_golden(quantized, inputs)
    if any(p.requires_grad for p in quantized.parameters()):
        assert_golden(train(quantized, inputs), inputs)


def test_gradients_are_those_of_the_float_network_where_nothing_is_rounded():
    """With weights and thresholds on the grid of the integers, only spikes are approximated."""
    graph = network(reset="none")
    for name in ("fc1", "fc2"):
        node = graph.nodes[name]
        node.weight[...] = np.rint(node.weight * 127) / 127
        node.weight[:, 0] = 1  # the largest of each neuron, so that the scale is 1/127 of the gain
        node.bias[...] = 0
    x = {"input": raster()}
    quantized = quantize_aware_training(graph, x).train()
    plain = talon.bridge.ir_to_torch(graph).train()
    for executor in (quantized, plain):
        executor.run(tensors(x)).outputs["output"].sum().backward()
    ours, theirs = quantized.fc1.weight.grad, plain.fc1.weight.grad
    assert theirs.abs().max() > 0
    cosine = torch.nn.functional.cosine_similarity(ours.flatten(), theirs.flatten(), 0)
    assert cosine > 0.99


def test_thresholds_train_where_they_are_told_to():
    x = {"input": raster()}
    quantized = quantize_aware_training(network(), x)
    quantized.lif1.v_threshold.requires_grad_()
    before = quantized.to_graph().nodes["lif1"].v_threshold.copy()
    train(quantized, x, rate=0.5)
    assert not np.array_equal(quantized.to_graph().nodes["lif1"].v_threshold, before)
    assert_golden(quantized, x)


def test_few_bits_are_learned():
    """At 3 bits, fine-tuning in the array's integers makes the integers better."""
    x = raster(3, 64)
    target = torch.from_numpy(x.mean(0)[:, :4] > 0.4).float() * 0.6
    quantized = quantize_aware_training(network(bits=3), x, surrogate_slope=5.0)

    def error():
        rates = quantized.run(torch.from_numpy(x)).outputs["output"].mean(0)
        return torch.nn.functional.mse_loss(rates, target)

    before = error().item()
    quantized.train()
    optimizer = torch.optim.Adam([p for p in quantized.parameters() if p.requires_grad], 0.01)
    for _ in range(40):
        optimizer.zero_grad()
        error().backward()
        optimizer.step()
    quantized.eval()
    assert error().item() < 0.7 * before
    assert_golden(quantized, {"input": x})


def test_module_of_pytorch_is_taken():
    snn = pytest.importorskip("snntorch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(12, 5), snn.Leaky(0.8, init_hidden=True))
    quantized = quantize_aware_training(model, raster())
    assert list(quantized.to_graph().nodes) == ["input", "0", "1", "output"]
    assert_golden(quantized, {"input": raster()})
    with pytest.raises(TypeError, match="calibration of a module must be one array"):
        quantize_aware_training(model, {"input": raster()})


def test_what_the_array_cannot_run_is_named():
    graph = ir.Graph(
        {"input": ir.Input([3]), "tanh": ir.Tanh(3), "output": ir.Output([3])},
        [("input", "tanh"), ("tanh", "output")],
    )
    with pytest.raises(MappingError, match=r"Node 'tanh' \(Tanh\) cannot be mapped"):
        quantize_aware_training(graph, np.zeros((2, 1, 3), np.float32))
