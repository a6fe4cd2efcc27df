"""Gradients of quantization-aware training are those of the float network, but for rounding."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from talon import ir  # noqa: E402
from talon.bridge import ir_to_torch, quantize_aware_training  # noqa: E402

MAPS = "zynq_us_plus_multi"


def array(rng, *shape, spread=1.0, mean=0.2):
    scale = spread / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else spread
    return rng.normal(mean * scale, scale, shape).astype(np.float32)


def full(n, value):
    return np.full(n, value, np.float32)


def chain(*nodes):
    named = {f"{type(node).__name__.lower()}{k}": node for k, node in enumerate(nodes)}
    return ir.Graph(named, list(itertools.pairwise(named)))


def parameters(executor):
    for parameter in executor.parameters():
        parameter.requires_grad_()
    return dict(executor.named_parameters())


def gradients(executor, x, weights):
    """Return the gradient of a weighted sum of all outputs by each parameter."""
    found = parameters(executor)
    for parameter in found.values():
        parameter.grad = None
    outputs = executor.run(torch.from_numpy(x)).outputs.values()
    sum((out.double() * weights).sum() for out in outputs).backward()
    return {name: parameter.grad for name, parameter in found.items()}


def both(graph, x, hw, slope=None, name="fast_sigmoid"):
    """Return the gradients of the array's integers and of the float network."""
    quantized = quantize_aware_training(
        graph, x, hw=hw, surrogate=name, surrogate_slope=slope
    ).train()
    plain = ir_to_torch(graph).eval()
    for module in plain.modules():
        if hasattr(module, "set_surrogate"):
            module.set_surrogate(name, slope)
    (shape,) = {tuple(node.shape) for node in graph.outputs.values()}
    weights = torch.from_numpy(np.random.default_rng(9).normal(1, 0.5, shape))
    return gradients(quantized, x, weights), gradients(plain, x, weights)


def assert_near(ours, theirs, *, cosine, ratio):
    """Compare the direction and the length of the gradient of each parameter."""
    assert ours.keys() == theirs.keys()
    for name, mine in ours.items():
        assert mine is not None and torch.isfinite(mine).all(), name
        a, b = mine.double().flatten(), theirs[name].double().flatten()
        assert a.norm() > 0 and b.norm() > 0, name
        assert torch.nn.functional.cosine_similarity(a, b, 0) > cosine, name
        assert 1 / ratio < a.norm() / b.norm() < ratio, name


def test_graded_maps_without_spikes():
    """Nothing but rounding is between the two: all kinds of convolutions, norm, pools, read-out."""
    rng = np.random.default_rng(0)
    graph = chain(
        ir.Input((2, 12, 12)),
        ir.Conv2d(array(rng, 8, 2, 3, 3), array(rng, 8, spread=0.1), padding=1),
        ir.BatchNorm2d(8, *(rng.uniform(0.6, 1.2, 8).astype(np.float32) for _ in range(4))),
        ir.MaxPool2d(2),
        ir.ReLU(8),
        ir.SDConv(array(rng, 8, 1, 3, 3), array(rng, 8, spread=0.1), padding=1),
        ir.ReLU(8),
        ir.SepConv2d(
            array(rng, 8, 1, 3, 3), array(rng, 6, 8, 1, 1), full(8, 0.1), full(6, 0.1), padding=1
        ),
        ir.ReLU(6),
        ir.AvgPool2d(2),
        ir.Flatten(),
        ir.Affine(array(rng, 4, 54), array(rng, 4)),
        ir.Output((4,)),
    )
    x = rng.random((3, 8, 2, 12, 12)).astype(np.float32)
    assert_near(*both(graph, x, MAPS), cosine=0.98, ratio=1.1)


def integrated(neurons, n=6):
    """Return neurons between a convolution and a read-out that integrates their spikes."""
    rng = np.random.default_rng(1)
    return chain(
        ir.Input((1, 8, 8)),
        ir.Conv2d(array(rng, n, 1, 3, 3, spread=0.8), full(n, 0.05)),
        neurons,
        ir.Flatten(),
        ir.Affine(array(rng, 3, n * 36), full(3, 0.1)),
        ir.Output((3,)),
    )


NEURONS = {
    "LIF": lambda n, **o: ir.LIF(
        full(n, 4), full(n, 4), full(n, 0.05), full(n, 0.6), v_reset=full(n, -0.05), **o
    ),
    "IF": lambda n, **o: ir.IF(full(n, 0.6), r=full(n, 0.7), v_reset=full(n, 0.05), **o),
}


@pytest.mark.parametrize("kind", NEURONS)
@pytest.mark.parametrize("most", [1, 15])
def test_every_parameter_of_neurons_of_maps(kind, most):
    """Few spikes differ, so the gradient by each parameter nearly is that of the floats."""
    neurons = NEURONS[kind](6, max_spikes=most)
    x = (np.random.default_rng(2).random((6, 16, 1, 8, 8)) < 0.5).astype(np.float32)
    ours, theirs = both(integrated(neurons), x, MAPS, 1.0)
    assert_near(ours, theirs, cosine=0.95, ratio=1.2)


def test_time_constants_of_integrators():
    """What a leak leaves is most of the gradient where nothing fires."""
    rng = np.random.default_rng(7)
    neurons = ir.LI(rng.uniform(2, 6, 8).astype(np.float32), full(8, 3), full(8, 0.05))
    graph = chain(
        ir.Input((10,)),
        ir.Affine(array(rng, 8, 10, spread=0.6), full(8, 0.05)),
        neurons,
        ir.Output((8,)),
    )
    x = (rng.random((12, 16, 10)) < 0.4).astype(np.float32)
    assert_near(*both(graph, x, MAPS), cosine=0.999, ratio=1.02)


def currents(kind, **options):
    rng = np.random.default_rng(3)
    more = {} if kind is ir.CubaLI else {"v_threshold": full(8, 0.5), "v_reset": full(8, -0.1)}
    values = {"tau_syn": 3, "tau_mem": 5, "r": 5, "v_leak": 0.05, "w_in": 3}
    neurons = kind(**{name: full(8, v) for name, v in values.items()}, **more, **options)
    layers = [ir.Input((10,)), ir.Affine(array(rng, 8, 10, spread=0.6), full(8, 0.05)), neurons]
    if kind is ir.CubaLI:
        return chain(*layers, ir.Output((8,)))
    return chain(*layers, ir.Affine(array(rng, 3, 8), full(3, 0.1)), ir.Output((3,)))


@pytest.mark.parametrize("kind", [ir.CubaLIF, ir.CubaLI])
def test_every_parameter_of_neurons_with_a_current(kind):
    x = (np.random.default_rng(4).random((8, 64, 10)) < 0.4).astype(np.float32)
    ours, theirs = both(currents(kind), x, "zynq_us_plus_syn", 1.0)
    assert_near(ours, theirs, cosine=0.95, ratio=1.2)


def test_neurons_that_the_host_reads():
    """Their gradient comes from their own potential, whatever the host makes of their spikes."""
    rng = np.random.default_rng(6)
    graph = chain(
        ir.Input((10,)),
        ir.Affine(array(rng, 8, 10, spread=0.6), full(8, 0.05)),
        ir.LIF(full(8, 4), full(8, 4), full(8, 0.05), full(8, 0.5), v_reset=full(8, -0.1)),
        ir.LayerNorm((8,), rng.normal(1, 0.3, 8).astype(np.float32), full(8, 0.1)),
        ir.Affine(array(rng, 3, 8), full(3, 0.1)),
        ir.Output((3,)),
    )
    x = (rng.random((8, 64, 10)) < 0.4).astype(np.float32)
    assert_near(*both(graph, x, MAPS, 1.0), cosine=0.95, ratio=1.2)


def test_values_that_are_late_for_the_host():
    """A Delay has a state of its own, beside that of the read-out which brings its values."""
    rng = np.random.default_rng(8)
    graph = chain(
        ir.Input((10,)),
        ir.Affine(array(rng, 5, 10), full(5, 0.05)),
        ir.Delay(np.array([0, 1, 2, 3, 1])),
        ir.LayerNorm((5,), rng.normal(1, 0.3, 5).astype(np.float32), full(5, 0.1)),
        ir.Output((5,)),
    )
    x = rng.random((8, 16, 10)).astype(np.float32)
    ours, theirs = both(graph, x, MAPS)
    assert_near(ours, theirs, cosine=0.99, ratio=1.05)


def test_spikes_far_above_the_threshold_have_a_gradient_where_they_are_counted():
    """The surrogate is at the nearest threshold: with many spikes a timestep weights learn too."""
    neurons = ir.IF(full(6, 0.05), reset="subtract", max_spikes=255)
    x = (np.random.default_rng(5).random((4, 8, 1, 8, 8)) < 0.5).astype(np.float32)
    quantized = quantize_aware_training(integrated(neurons), x, hw=MAPS)
    assert quantized.run(torch.from_numpy(x), record=["if2"]).values["if2"].max() > 20
    ours, theirs = both(integrated(neurons), x, MAPS)
    unused = [found.pop("if2.v_reset") for found in (ours, theirs)]  # it subtracts
    assert unused == [None, None]
    assert_near(ours, theirs, cosine=0.9, ratio=1.3)
    drive = torch.linspace(0.05, 0.5, 60).reshape(10, 6).requires_grad_()
    counts, _ = ir_to_torch(integrated(neurons)).module_of("if2")(drive)
    counts.sum().backward()
    assert counts.max() == 10
    assert drive.grad.min() > 0.3  # far from the first threshold alone it would be below 0.01
