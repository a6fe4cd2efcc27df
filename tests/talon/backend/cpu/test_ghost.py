import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talon import ir
from talon.backend.cpu import simulate_float
from talon.backend.cpu.kernels import build_kernel


def naive_conv(x, weight, bias, *, stride=1, padding=None, groups=1):
    """Convolve one sample (C, H, W) by the definition, one output at a time, in float64."""
    n_out, n_in, kh, kw = weight.shape
    ph, pw = (kh // 2, kw // 2) if padding is None else padding
    x = np.pad(x.astype(np.float64), ((0, 0), (ph, ph), (pw, pw)))
    height, width = (x.shape[1] - kh) // stride + 1, (x.shape[2] - kw) // stride + 1
    y = np.empty((n_out, height, width))
    for c in range(n_out):
        first = c // (n_out // groups) * n_in
        for i in range(height):
            for j in range(width):
                top, left = i * stride, j * stride
                window = x[first : first + n_in, top : top + kh, left : left + kw]
                y[c, i, j] = (window * weight[c]).sum() + bias[c]
    return y


def torch_conv(x, weight, bias, *, stride=1, padding=None, groups=1):
    import torch

    pad = tuple(k // 2 for k in weight.shape[2:]) if padding is None else padding
    arrays = (torch.from_numpy(np.asarray(a, np.float64)) for a in (x[None], weight, bias))
    return torch.conv2d(*arrays, stride=stride, padding=pad, groups=groups)[0].numpy()


def ghost(conv, x, node, prefix, *, stride=1, padding=None):
    weight, bias, cheap, cheap_bias = (
        getattr(node, f"{prefix}{name}")
        for name in ("primary_weight", "primary_bias", "cheap_weight", "cheap_bias")
    )
    p = conv(x, weight, bias, stride=stride, padding=padding)
    return np.concatenate([p, conv(p, cheap, cheap_bias, groups=len(p))])


def reference(conv, node, x):
    match node:
        case ir.SGhostConv():
            stride, padding = node.primary_stride[0], node.primary_padding
            return ghost(conv, x, node, "", stride=stride, padding=padding)
        case ir.SGhostEncoderLite():
            first = conv(x, node.conv1_weight, node.conv1_bias, stride=node.stride)
            return ghost(conv, first, node, "ghost_")
        case ir.GhostBasicBlock1():
            z = ghost(conv, x, node, "cv0_", stride=node.stride)
            z1, z2 = z[: len(z) // 2], z[len(z) // 2 :]
            residual = ghost(conv, x, node, "cvres_", stride=node.stride)
            return np.concatenate([z1, ghost(conv, z2, node, "cv2_") + residual])
        case _:
            z = ghost(conv, x, node, "cv0_")
            z1, z2 = z[: len(z) // 2], z[len(z) // 2 :]
            return np.concatenate([z1, ghost(conv, z2, node, "cv2_")])


def part(rng, prefix, n_in, n, k, cheap):
    def normal(*shape):
        return rng.normal(0, 0.4, shape).astype(np.float32)

    return {
        f"{prefix}primary_weight": normal(n, n_in, k, k),
        f"{prefix}primary_bias": normal(n),
        f"{prefix}cheap_weight": normal(n, 1, cheap, cheap),
        f"{prefix}cheap_bias": normal(n),
    }


def random_node(kind, rng, k, stride):
    cheap = int(rng.choice([1, 3, 5]))
    if kind is ir.SGhostConv:
        return kind(
            **part(rng, "", 3, 4, k, cheap), primary_stride=stride, primary_padding=(k // 2, k // 2)
        )
    if kind is ir.SGhostEncoderLite:
        weight = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
        bias = rng.normal(size=4).astype(np.float32)
        return kind(weight, bias, **part(rng, "ghost_", 4, 2, k, cheap), stride=stride)
    parts = {**part(rng, "cv0_", 3, 4, k, cheap), **part(rng, "cv2_", 4, 2, k, cheap)}
    if kind is ir.GhostBasicBlock2:
        return kind(**parts)
    return kind(**part(rng, "cvres_", 3, 2, k, 3), **parts, stride=stride)


KINDS = [ir.SGhostConv, ir.SGhostEncoderLite, ir.GhostBasicBlock1, ir.GhostBasicBlock2]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), k=st.sampled_from([1, 3, 5]), stride=st.integers(1, 2))
def test_blocks_compute_what_their_equations_say(kind, seed, k, stride):
    rng = np.random.default_rng(seed)
    node = random_node(kind, rng, k, stride)
    x = rng.normal(size=(2, 3, int(rng.integers(5, 9)), int(rng.integers(5, 9))))
    x = x.astype(np.float32)
    y = build_kernel(node, x.shape[1:], np.dtype(np.float32))(x)
    assert y.shape == (2, *node.output_shape(x.shape[1:]))
    for sample, got in zip(x, y, strict=True):
        np.testing.assert_allclose(got, reference(naive_conv, node, sample), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_blocks_equal_torch(kind, k, stride):
    pytest.importorskip("torch")
    rng = np.random.default_rng(k * 10 + stride)
    node = random_node(kind, rng, k, stride)
    x = rng.normal(size=(3, 3, 17, 12)).astype(np.float32)
    y = build_kernel(node, x.shape[1:], np.dtype(np.float32))(x)
    expected = np.stack([reference(torch_conv, node, sample) for sample in x])
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_a_padding_that_is_set_is_the_one_that_counts():
    rng = np.random.default_rng(3)
    parts = part(rng, "", 3, 4, 1, 3)
    x = rng.normal(size=(1, 3, 6, 6)).astype(np.float32)
    run = [
        build_kernel(ir.SGhostConv(**parts, cheap_padding=pad), (3, 6, 6), np.dtype("f4"))(x)
        for pad in ((0, 0), (1, 1))
    ]
    np.testing.assert_array_equal(*run)


def parts_of(node, prefix):
    return {
        name: getattr(node, f"{prefix}{name}")
        for name in ("primary_weight", "primary_bias", "cheap_weight", "cheap_bias")
    }


def spelled_out(node, shape, *, neuron):
    """Return SU-Block1 of the paper, of single primitives, with or without the neuron inside."""
    strided = {"primary_stride": (2, 2), "primary_padding": (1, 1)}
    nodes = {
        "x": ir.Input(np.array(shape)),
        "cv0": ir.SGhostConv(**parts_of(node, "cv0_"), **strided),
        "split": ir.ChannelSplit((4, 4)),
        "cv2": ir.SGhostConv(**parts_of(node, "cv2_"), primary_padding=(1, 1)),
        "cvres": ir.SGhostConv(**parts_of(node, "cvres_"), **strided),
        "add": ir.Skip("residual"),
        "concat": ir.Concat(2),
        "y": ir.Output(np.array(node.output_shape(shape))),
    }
    edges = [("x", "cv0"), ("cv0", "split"), ("split", "concat")]
    if neuron:
        nodes["fire"] = ir.IF(np.full(4, 0.5, np.float32))
        edges += [("split", "fire"), ("fire", "cv2")]
    else:
        edges += [("split", "cv2")]
    edges += [("cv2", "add"), ("x", "cvres"), ("cvres", "add"), ("add", "concat"), ("concat", "y")]
    return ir.Graph(nodes, edges)


def test_a_block_equals_its_primitives_and_neurons_may_stand_between_them():
    rng = np.random.default_rng(11)
    parts = {**part(rng, "cv0_", 3, 4, 3, 3), **part(rng, "cv2_", 4, 2, 3, 3)}
    node = ir.GhostBasicBlock1(**part(rng, "cvres_", 3, 2, 3, 3), **parts)
    shape = (3, 8, 8)
    x = rng.normal(size=(4, 2, *shape)).astype(np.float32)
    nodes = {"x": ir.Input(np.array(shape)), "block": node, "y": ir.Output(np.array((8, 4, 4)))}
    whole = simulate_float(ir.Graph(nodes, [("x", "block"), ("block", "y")]), x).outputs["y"]
    split = simulate_float(spelled_out(node, shape, neuron=False), x).outputs["y"]
    np.testing.assert_allclose(split, whole, rtol=1e-5, atol=1e-5)
    spiking = simulate_float(spelled_out(node, shape, neuron=True), x)
    np.testing.assert_allclose(spiking.outputs["y"][:, :, :4], whole[:, :, :4], atol=1e-5)
    assert spiking.spike_counts["fire"] > 0
    assert np.abs(spiking.outputs["y"] - whole).max() > 0.1
