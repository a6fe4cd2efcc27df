"""Feature maps, graded values, counts and pools in quantization-aware training."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

import talon  # noqa: E402
from talon import ir  # noqa: E402
from talon.bridge import from_ir, quantize_aware_training  # noqa: E402
from talon.errors import MappingError, QuantizationError, TalonError  # noqa: E402
from talon.testing import GraphLimits, random_graph, random_inputs, random_map_graph  # noqa: E402
from talon.testing.blocks import BLOCKS  # noqa: E402

HW = "zynq_us_plus_multi"


def as_float(inputs):
    return {name: x.astype(np.float32) for name, x in inputs.items()}


def chain(*nodes, more=()):
    """Return nodes one behind the other between an input and an output; ``more`` are edges."""
    named = {f"{type(node).__name__.lower()}{k}": node for k, node in enumerate(nodes)}
    return ir.Graph(named, [*itertools.pairwise(named), *more])


def conv(rng, n_out, n_in, size=3, **options):
    scale = 1.5 / np.sqrt(n_in * size * size)
    weight = rng.normal(0.3 * scale, scale, (n_out, n_in, size, size)).astype(np.float32)
    return ir.Conv2d(weight, rng.normal(0, 0.1, n_out).astype(np.float32), **options)


def dense(rng, n_out, n_in):
    scale = 1.5 / np.sqrt(n_in)
    weight = rng.normal(0.2 * scale, scale, (n_out, n_in)).astype(np.float32)
    return ir.Affine(weight, rng.normal(0, 0.1, n_out).astype(np.float32))


def lif(n, threshold=0.6, **options):
    tau = np.full(n, 3, np.float32)
    return ir.LIF(tau, tau.copy(), 0 * tau, np.full(n, threshold, np.float32), **options)


def made(graph, inputs, hw=HW):
    """Return the executor of a random network; what is refused is no network to compile either."""
    try:
        return quantize_aware_training(graph, inputs, hw=hw)
    except TalonError as error:  # delays that add up to too many, thresholds too small to count
        with pytest.raises(type(error)):
            talon.compile(graph, hw=hw, calibration=inputs)
        assume(False)


def assert_golden_throughout(quantized, inputs, assert_golden, train):
    """Compare before and after training, unless that leads to what an array cannot hold."""
    assert_golden(quantized, inputs, mapped=False)
    if not any(p.requires_grad for p in quantized.parameters()):
        return
    try:
        train(quantized, inputs)
        _ = quantized.network
    except (QuantizationError, MappingError):  # a path of zeros may come alive
        return
    assert_golden(quantized, inputs, mapped=False)


@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_layers=st.integers(1, 4),
    graded=st.booleans(),
    counts=st.sampled_from([0.0, 0.5]),
)
def test_random_networks_over_maps(assert_golden, train, seed, n_layers, graded, counts):
    rng = np.random.default_rng(seed)
    graph = random_map_graph(rng, n_layers=n_layers, counts=counts)
    inputs = as_float(random_inputs(rng, graph, 5, 2))
    if graded:
        inputs = {name: rng.normal(size=x.shape).astype(np.float32) for name, x in inputs.items()}
    assert_golden_throughout(made(graph, inputs), inputs, assert_golden, train)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_networks_of_functions(assert_golden, train, seed):
    rng = np.random.default_rng(seed)
    graph = random_map_graph(rng, curves=0.7)
    inputs = as_float(random_inputs(rng, graph, 5, 2))
    quantized = made(graph, inputs, "zynq_us_plus_table")
    assert_golden_throughout(quantized, inputs, assert_golden, train)


@pytest.mark.parametrize(
    "node",
    [ir.Tanh(6), ir.Sigmoid(6), ir.GELU(6), ir.ELU(6), ir.SiLU(6), ir.ReLU(6, negative_slope=0.1)],
)
def test_gradients_of_functions_are_those_of_the_float_network(node):
    rng = np.random.default_rng(0)
    graph = chain(ir.Input((4,)), dense(rng, 6, 4), node, dense(rng, 3, 6), ir.Output((3,)))
    inputs = {"input0": rng.normal(size=(6, 5, 4)).astype(np.float32)}
    quantized = quantize_aware_training(graph, inputs, hw="zynq_us_plus_table").train()
    named = from_ir(graph)
    x = torch.from_numpy(inputs["input0"])
    (out,) = quantized.run({"input0": x}).outputs.values()
    out.square().sum().backward()
    names = list(graph.nodes)
    hidden = named[names[2]](named[names[1]](x.reshape(-1, 4)))
    named[names[3]](hidden).square().sum().backward()
    for name in (names[1], names[3]):
        ours, theirs = quantized.module_of(name).weight.grad, named[name].weight.grad
        error = (ours - theirs).abs().max() / theirs.abs().max()
        assert float(theirs.abs().max()) > 0
        assert float(error) < 0.05


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_vectors_that_count_and_double_their_threshold(assert_golden, train, seed):
    rng = np.random.default_rng(seed)
    limits = GraphLimits(
        max_neurons=16, max_inputs=16, late=0.1, counts=0.5, doubles=0.4, elementwise=0.2
    )
    graph = random_graph(rng, limits)
    inputs = as_float(random_inputs(rng, graph, 8, 3))
    assert_golden_throughout(made(graph, inputs), inputs, assert_golden, train)


@pytest.mark.parametrize("block", BLOCKS)
def test_blocks_of_detectors_and_recurrent_maps(assert_golden, train, block):
    graph = BLOCKS[block](8, 6)
    inputs = as_float(random_inputs(np.random.default_rng(1), graph, 6, 2, rate=0.4))
    quantized = quantize_aware_training(graph, inputs, hw=HW)
    assert assert_golden(quantized, inputs) > 300
    before = {name: p.detach().clone() for name, p in quantized.named_parameters()}
    assert assert_golden(train(quantized, inputs), inputs) > 300
    changed = [n for n, p in quantized.named_parameters() if not torch.equal(p, before[n])]
    trained = [n for n, p in quantized.named_parameters() if p.requires_grad]
    assert set(changed) >= {name for name in trained if name.endswith("weight")}


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("most", [2, 255])
def test_every_rule_of_neurons_that_count(assert_golden, train, reset, strict, most):
    rng = np.random.default_rng(2)
    graph = chain(
        ir.Input((2, 6, 6)),
        conv(rng, 4, 2, padding=1),
        lif(4, 0.25, reset=reset, strict=strict, max_spikes=most),
        ir.MaxPool2d(2),
        conv(rng, 3, 4),
        ir.IF(np.full(3, 0.3, np.float32), reset=reset, strict=strict, max_spikes=most),
        ir.Output((3, 1, 1)),
    )
    inputs = as_float(random_inputs(rng, graph, 8, 3, rate=0.5))
    quantized = quantize_aware_training(graph, inputs, hw=HW)
    assert assert_golden(quantized, inputs) > 1000
    assert assert_golden(train(quantized, inputs), inputs) > 1000


def pooled_twice(pool, other):
    """Return neurons that are pooled in two ways, neither of which covers the whole map."""
    rng = np.random.default_rng(3)
    nodes = {
        "input": ir.Input((2, 7, 7)),
        "conv": conv(rng, 4, 2, padding=1),
        "neurons": lif(4),
        "pool": pool,
        "other": other,
        "fc1": ir.Flatten(),
        "fc2": ir.Flatten(),
        "join": ir.Concat(2, 0),
        "fc": dense(rng, 5, 4 * (9 + 4)),
        "last": lif(5),
        "output": ir.Output((5,)),
    }
    edges = [
        *itertools.pairwise(["input", "conv", "neurons", "pool", "fc1", "join", "fc", "last"]),
        *itertools.pairwise(["neurons", "other", "fc2", "join"]),
        ("last", "output"),
    ]
    return ir.Graph(nodes, edges)


@pytest.mark.parametrize("other", [ir.MaxPool2d(3), ir.AvgPool2d(3)])
def test_neurons_that_are_pooled_in_two_ways(assert_golden, train, other):
    """They are two populations of the array, of which one has no node of its own."""
    graph = pooled_twice(ir.MaxPool2d(2), other)
    inputs = as_float(random_inputs(np.random.default_rng(4), graph, 8, 3, rate=0.4))
    quantized = quantize_aware_training(graph, inputs, hw=HW)
    names = {population.name for population in quantized.network.populations}
    assert names - set(graph.nodes) or isinstance(other, ir.AvgPool2d)
    assert assert_golden(quantized, inputs) > 300
    assert assert_golden(train(quantized, inputs), inputs) > 300


def test_graded_and_counting_maps_that_feed_themselves(assert_golden, train):
    """Payloads and counts come back late; the rectifier's windows are a population beside it."""
    rng = np.random.default_rng(8)
    back, again = conv(rng, 4, 4, padding=1), conv(rng, 3, 3, padding=1)
    back.weight[...] *= 0.3
    again.weight[...] *= 0.2
    nodes = {
        "input": ir.Input((2, 6, 6)),
        "conv": conv(rng, 4, 2, padding=1),
        "relu": ir.ReLU(4),
        "back": back,
        "pool": ir.MaxPool2d(2),
        "conv1": conv(rng, 3, 4, padding=1),
        "counts": ir.IF(np.full(3, 0.4, np.float32), max_spikes=9, reset="subtract"),
        "again": again,
        "map": ir.Output((4, 6, 6)),
        "late": ir.Output((4, 3, 3)),
        "output": ir.Output((3, 3, 3)),
    }
    edges = [
        *itertools.pairwise(["input", "conv", "relu", "pool", "conv1", "counts", "output"]),
        *itertools.pairwise(["relu", "back", "relu", "map"]),
        *itertools.pairwise(["counts", "again", "counts"]),
        ("pool", "late"),
    ]
    delays = {("relu", "back"): 2, ("counts", "again"): 1, ("pool", "late"): 1}
    graph = ir.Graph(nodes, edges, delays=delays)
    inputs = {"input": rng.random((9, 3, 2, 6, 6)).astype(np.float32)}
    quantized = quantize_aware_training(graph, inputs, hw=HW)
    kinds = {population.name: population.kind for population in quantized.network.populations}
    assert (kinds["relu"], kinds["pool/of"], kinds["counts"]) == ("graded", "graded", "count")
    assert assert_golden(quantized, inputs) > 1000
    assert assert_golden(train(quantized, inputs), inputs) > 1000


def test_layers_keep_what_they_compute_at_inference(assert_golden, train):
    """The array has statistics that do not move, and drops nothing."""
    rng = np.random.default_rng(5)
    norm = ir.BatchNorm2d(4, *(np.full(4, v, np.float32) for v in (1.2, 0.1, 0.2, 0.8)))
    graph = chain(
        ir.Input((2, 6, 6)),
        conv(rng, 4, 2),
        norm,
        ir.ReLU(4),
        ir.Dropout(64, 0.5),
        ir.Flatten(),
        dense(rng, 3, 64),
        ir.Output((3,)),
    )
    inputs = {"input0": rng.random((4, 8, 2, 6, 6)).astype(np.float32)}
    quantized = quantize_aware_training(graph, inputs, hw=HW).train()
    x = torch.from_numpy(inputs["input0"])
    first, second = (quantized.run(x).outputs["output7"] for _ in range(2))
    assert torch.equal(first, second)
    train(quantized, inputs)
    found = quantized.to_graph().nodes["batchnorm2d2"]
    np.testing.assert_array_equal(found.running_mean, norm.running_mean)
    assert not np.array_equal(found.weight, norm.weight)
    assert_golden(quantized, inputs)


@pytest.mark.parametrize("hw", [HW, "zynq_us_plus_int4"])
def test_few_bits_of_a_convolutional_network_are_learned(assert_golden, hw):
    """Fine-tuning at 4 bits lowers the loss, and the array's outputs are the executor's.

    One array has 4 bits in all weights, on the other the dense layer alone asks for them.
    """
    rng = np.random.default_rng(6)
    graph = chain(
        ir.Input((1, 10, 10)),
        conv(rng, 6, 1),
        ir.ReLU(6),
        ir.MaxPool2d(2),
        conv(rng, 8, 6),
        lif(8, 0.5, reset="subtract"),
        ir.Flatten(),
        ir.SpikingAffine(*vars_of(dense(rng, 4, 32)), "binary", 4, 24),
        lif(4, reset="subtract"),
        ir.Output((4,)),
    )
    labels = torch.from_numpy(rng.integers(0, 4, 48))
    patterns = rng.random((4, 1, 10, 10)) < 0.3
    noise = rng.random((48, 1, 10, 10)) * 0.4
    images = (patterns[labels.numpy()] * 0.6 + noise).astype(np.float32)
    x = torch.from_numpy(np.repeat(images[None], 8, axis=0))
    quantized = quantize_aware_training(graph, x.numpy(), hw=hw, surrogate_slope=5.0).train()
    optimizer = torch.optim.Adam([p for p in quantized.parameters() if p.requires_grad], 0.01)
    losses = []
    for _ in range(25):
        rates = quantized.run(x).outputs["output9"].mean(0)
        loss = torch.nn.functional.cross_entropy(4 * rates, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0], losses
    assert assert_golden(quantized.eval(), {"input0": x.numpy()}) > 1000


def vars_of(node):
    return node.weight, node.bias
