"""The forward pass of quantization-aware training is the golden model's, before and after it."""

import copy
import pickle

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


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), graded=st.booleans())
def test_forward_pass_is_the_golden_model_before_and_after_training(
    assert_golden, train, seed, graded
):
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
def test_every_rule_of_neurons(assert_golden, train, reset, reset_delay, strict, bits):
    graph = network(reset, reset_delay, strict, bits)
    x = {"input": raster()}
    quantized = quantize_aware_training(graph, x)
    assert assert_golden(quantized, x) > 50
    before = quantized.to_graph().nodes["fc1"].weight.copy()
    train(quantized, x)
    assert not np.array_equal(quantized.to_graph().nodes["fc1"].weight, before)
    assert assert_golden(quantized, x) > 50


def test_late_reset_that_drops_the_drive(assert_golden, train):
    graph = network("zero", reset_delay=True, reset_drops_drive=True)
    x = {"input": raster()}
    quantized = quantize_aware_training(graph, x)
    assert assert_golden(quantized, x) > 50
    assert assert_golden(train(quantized, x), x) > 50


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_neurons_with_currents_and_read_outs_that_integrate(assert_golden, train, seed):
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


def test_thresholds_train_where_they_are_told_to(assert_golden, train):
    x = {"input": raster()}
    quantized = quantize_aware_training(network(), x)
    quantized.lif1.v_threshold.requires_grad_()
    before = quantized.to_graph().nodes["lif1"].v_threshold.copy()
    train(quantized, x, rate=0.5)
    assert not np.array_equal(quantized.to_graph().nodes["lif1"].v_threshold, before)
    assert_golden(quantized, x)


def test_integers_are_worked_out_once_a_change(monkeypatch):
    from talon.bridge import quantized as module

    calls = []
    make = module.quantize_graph
    monkeypatch.setattr(
        module, "quantize_graph", lambda *args, **kw: calls.append(0) or make(*args, **kw)
    )
    executor = quantize_aware_training(network(), raster())
    executor.run(torch.from_numpy(raster()))
    assert len(calls) == 1
    with torch.no_grad():
        executor.fc1.weight.mul_(2)
    executor.run(torch.from_numpy(raster()))
    executor.train().run(torch.from_numpy(raster()))
    assert len(calls) == 2


def test_copies_go_their_own_way():
    quantized = quantize_aware_training(network(), raster())
    x = torch.from_numpy(raster())
    expected = quantized.run(x).outputs["output"]
    for other in (copy.deepcopy(quantized), pickle.loads(pickle.dumps(quantized))):
        assert torch.equal(other.run(x).outputs["output"], expected)
        with torch.no_grad():
            other.fc1.weight.mul_(-1)
        assert not torch.equal(other.run(x).outputs["output"], expected)
    assert torch.equal(quantized.run(x).outputs["output"], expected)


def test_few_bits_are_learned(assert_golden):
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


def test_module_of_pytorch_is_taken(assert_golden):
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
