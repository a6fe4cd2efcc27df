"""Every stateless primitive against loops over single numbers, and against PyTorch."""

import math

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from talon import ir
from talon.backend.cpu.kernels import build_kernel
from talon.backend.cpu.plan import STATEFUL
from talon.ir.utils import conv_output_size

F64 = np.dtype(np.float64)
F32 = np.dtype(np.float32)


def channel_last(x):
    """Return the same values, the first feature dimension last in memory."""
    axes = (0, *range(2, x.ndim), 1)
    return np.ascontiguousarray(x.transpose(axes)).transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def apply(node, x, dtype=F64):
    """Run a kernel on both layouts of its input, which it must leave as it is."""
    kernel = build_kernel(node, x.shape[1:], dtype)
    given_x = x.astype(dtype)
    y, z = kernel(given_x), kernel(channel_last(given_x))
    np.testing.assert_array_equal(given_x, x.astype(dtype))
    assert y.dtype == dtype
    assert y.shape == (len(x), *node.output_shape(x.shape[1:]))
    tolerance = 1e-5 if dtype == F32 else 1e-9
    np.testing.assert_allclose(z, y, rtol=tolerance, atol=tolerance)
    return y


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def slow_conv(x, w, b, stride, padding, dilation, groups):
    """Follow the equation at the head of talon.ir.conv, one output at a time."""
    n, _, height, width = x.shape
    n_out, n_in, rows, columns = w.shape
    shape = [
        conv_output_size(*a)
        for a in zip((height, width), (rows, columns), stride, padding, dilation, strict=True)
    ]
    y = np.zeros((n, n_out, *shape))
    for k, o, i, j in np.ndindex(*y.shape):
        total = float(b[o])
        group = o // (n_out // groups)
        for c, u, v in np.ndindex(n_in, rows, columns):
            r = i * stride[0] + u * dilation[0] - padding[0]
            s = j * stride[1] + v * dilation[1] - padding[1]
            if 0 <= r < height and 0 <= s < width:
                total += float(w[o, c, u, v]) * float(x[k, group * n_in + c, r, s])
        y[k, o, i, j] = total
    return y


small = st.integers(1, 3)


@st.composite
def convolutions(draw_from):
    groups = draw_from(small)
    n_in, n_out = draw_from(st.integers(1, 2)), groups * draw_from(st.integers(1, 2))
    kernel = draw_from(st.tuples(small, small))
    stride, dilation = draw_from(st.tuples(small, small)), draw_from(st.tuples(small, small))
    padding = draw_from(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    size = draw_from(st.tuples(st.integers(1, 6), st.integers(1, 14)))
    assume(
        all(
            n + 2 * p >= d * (k - 1) + 1
            for n, p, d, k in zip(size, padding, dilation, kernel, strict=True)
        )
    )
    seed = draw_from(st.integers(0, 99))
    node = ir.Conv2d(
        draw(seed, n_out, n_in, *kernel),
        draw(seed + 1, n_out),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )
    return node, draw(seed + 2, 2, groups * n_in, *size)


@settings(deadline=None, max_examples=60)
@given(convolutions())
def test_convolution_is_the_sum_that_it_is_defined_as(case):
    node, x = case
    expected = slow_conv(
        x, node.weight, node.bias, node.stride, node.padding, node.dilation, node.groups
    )
    np.testing.assert_allclose(apply(node, x), expected, rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=60)
@given(convolutions())
def test_convolution_is_that_of_torch(case):
    torch = pytest.importorskip("torch")
    node, x = case
    expected = torch.conv2d(
        *(torch.from_numpy(a.astype(F32)) for a in (x, node.weight, node.bias)),
        node.stride,
        node.padding,
        node.dilation,
        node.groups,
    )
    np.testing.assert_allclose(apply(node, x, F32), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("width", [28, 30, 31])
@pytest.mark.parametrize("kind", [ir.Conv2d, ir.SConv])
def test_wide_rows_are_cut_into_blocks(width, kind):
    """Rows in which several outputs share a patch, with and without a remainder."""
    node = kind(draw(0, 4, 1, 3, 3), draw(1, 4), padding=(1, 1))
    x = draw(2, 3, 1, 5, width)
    expected = slow_conv(x, node.weight, node.bias, (1, 1), (1, 1), (1, 1), 1)
    np.testing.assert_allclose(apply(node, x), expected, rtol=1e-9, atol=1e-9)


def test_many_frames_go_in_pieces():
    nodes = (
        ir.Conv2d(draw(0, 3, 2, 5, 5), draw(1, 3)),
        ir.SDConv(draw(0, 2, 1, 5, 5), draw(1, 2)),
    )
    x = draw(2, 300, 2, 24, 24)
    for node in nodes:
        kernel = build_kernel(node, x.shape[1:], F64)
        one_by_one = np.concatenate([kernel(frame[np.newaxis]) for frame in x])
        np.testing.assert_allclose(kernel(x), one_by_one, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_conv1d_is_a_conv2d_of_one_row(groups):
    node = ir.Conv1d(
        draw(0, 4, 4 // groups, 3), draw(1, 4), stride=2, padding=3, dilation=2, groups=groups
    )
    x = draw(2, 3, 4, 11)
    expected = slow_conv(
        x[:, :, None], node.weight[:, :, None], node.bias, (1, 2), (0, 3), (1, 2), groups
    )[:, :, 0]
    np.testing.assert_allclose(apply(node, x), expected, rtol=1e-9, atol=1e-9)


def test_separable_convolution_is_two():
    node = ir.SepConv2d(
        draw(0, 3, 1, 3, 2),
        draw(1, 5, 3, 1, 1),
        draw(2, 3),
        draw(3, 5),
        stride=(2, 1),
        padding=(1, 0),
        dilation=(1, 2),
    )
    x = draw(4, 2, 3, 6, 7)
    between = slow_conv(x, node.depthwise_weight, node.depthwise_bias, (2, 1), (1, 0), (1, 2), 3)
    expected = slow_conv(
        between, node.pointwise_weight, node.pointwise_bias, (1, 1), (0, 0), (1, 1), 1
    )
    np.testing.assert_allclose(apply(node, x), expected, rtol=1e-9, atol=1e-9)


def slow_pool(node, x):
    """Visit the windows of a pool one by one, after PyTorch's documentation."""
    n, _, height, width = x.shape
    shape = node.output_shape(x.shape[1:])
    dilation = getattr(node, "dilation", (1, 1))
    y = np.zeros((n, *shape))
    for k, c, i, j in np.ndindex(*y.shape):
        found, n_counted = [], 0
        for u, v in np.ndindex(*node.kernel_size):
            r = i * node.stride[0] + u * dilation[0] - node.padding[0]
            s = j * node.stride[1] + v * dilation[1] - node.padding[1]
            is_inside = 0 <= r < height and 0 <= s < width
            if is_inside:
                found.append(float(x[k, c, r, s]))
            in_padding = r < height + node.padding[0] and s < width + node.padding[1]
            if isinstance(node, ir.AvgPool2d):
                n_counted += in_padding if node.count_include_pad else is_inside
        if isinstance(node, ir.MaxPool2d):
            y[k, c, i, j] = max(found, default=-math.inf)
        else:
            y[k, c, i, j] = sum(found) / n_counted
    return y


@st.composite
def pools(draw_from):
    kernel = draw_from(st.tuples(small, small))
    options = {
        "kernel_size": kernel,
        "stride": draw_from(st.none() | st.tuples(small, small)),
        "padding": tuple(draw_from(st.integers(0, k // 2)) for k in kernel),
        "ceil_mode": draw_from(st.booleans()),
    }
    if draw_from(st.booleans()):
        dilation = draw_from(st.tuples(st.integers(1, 2), st.integers(1, 2)))
        node = ir.MaxPool2d(**options, dilation=dilation)
    else:
        node = ir.AvgPool2d(**options, count_include_pad=draw_from(st.booleans()))
    x = draw(draw_from(st.integers(0, 99)), 2, 2, *draw_from(st.tuples(*[st.integers(1, 9)] * 2)))
    try:
        node.output_shape(x.shape[1:])
    except ir.ParameterError:
        assume(False)
    return node, x


@settings(deadline=None, max_examples=150)
@given(pools())
@example((ir.AvgPool2d((2, 2), (2, 2), (1, 1), ceil_mode=True), draw(0, 1, 1, 3, 4)))
def test_pool_reduces_its_windows(case):
    node, x = case
    np.testing.assert_allclose(apply(node, x), slow_pool(node, x), rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=150)
@given(pools())
def test_pool_is_that_of_torch(case):
    torch = pytest.importorskip("torch")
    node, x = case
    options = {"ceil_mode": node.ceil_mode}
    if isinstance(node, ir.MaxPool2d):
        layer = torch.nn.MaxPool2d(
            node.kernel_size, node.stride, node.padding, node.dilation, **options
        )
    else:
        options["count_include_pad"] = node.count_include_pad
        layer = torch.nn.AvgPool2d(node.kernel_size, node.stride, node.padding, **options)
    expected = layer(torch.from_numpy(x.astype(F32)))
    np.testing.assert_allclose(apply(node, x, F32), expected, rtol=1e-5, atol=1e-5)


def slow_upsample(node, x):
    n, _, *sizes = x.shape
    shape = node.output_shape(x.shape[1:])

    def places(axis):
        n_in, n_out = sizes[axis], shape[axis + 1]
        scale = n_in / n_out if node.size is not None else 1 / node.scale_factor
        for i in range(n_out):
            if node.mode == "nearest":
                at = i // 2 if n_out == 2 * n_in else min(math.floor(i * scale + 1e-9), n_in - 1)
                yield at, at, 0.0
                continue
            if node.align_corners:
                place = i * (n_in - 1) / (n_out - 1) if n_out > 1 else 0.0
            else:
                place = max(scale * (i + 0.5) - 0.5, 0.0)
            low = min(math.floor(place + 1e-12), n_in - 1)
            yield low, min(low + 1, n_in - 1), place - low

    y = np.zeros((n, *shape))
    for i, (top, bottom, down) in enumerate(places(0)):
        for j, (left, right, along) in enumerate(places(1)):
            y[:, :, i, j] = (1 - down) * (
                (1 - along) * x[:, :, top, left] + along * x[:, :, top, right]
            ) + down * ((1 - along) * x[:, :, bottom, left] + along * x[:, :, bottom, right])
    return y


UPSAMPLES = [
    {"scale_factor": 2},
    {"scale_factor": 3},
    {"scale_factor": 1.5},
    {"scale_factor": 2.3},  # rounded down, twice the size where that is 2 or 3
    {"scale_factor": 2.7},
    {"size": (7, 3)},
    {"size": (1, 13)},
    {"scale_factor": 2, "mode": "bilinear"},
    {"scale_factor": 1.7, "mode": "bilinear"},
    {"scale_factor": 2.5, "mode": "bilinear", "align_corners": True},
    {"size": (9, 2), "mode": "bilinear"},
    {"size": (9, 1), "mode": "bilinear", "align_corners": True},
]


@pytest.mark.parametrize("options", UPSAMPLES)
@pytest.mark.parametrize("size", [(4, 5), (1, 6), (5, 1), (2, 3)])
def test_upsample_takes_the_neighbours(options, size):
    node, x = ir.Upsample(**options), draw(3, 2, 2, *size)
    np.testing.assert_allclose(apply(node, x), slow_upsample(node, x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("options", UPSAMPLES)
@pytest.mark.parametrize("size", [(4, 5), (1, 6), (11, 10), (2, 3)])
def test_upsample_is_that_of_torch(options, size):
    torch = pytest.importorskip("torch")
    node, x = ir.Upsample(**options), draw(3, 2, 2, *size)
    options = {"scale_factor": None if node.size else node.scale_factor, "size": node.size}
    if node.mode == "bilinear":
        options["align_corners"] = node.align_corners
    layer = torch.nn.Upsample(mode=node.mode, **options)
    expected = layer(torch.from_numpy(x.astype(F32)))
    np.testing.assert_allclose(apply(node, x, F32), expected, rtol=1e-5, atol=1e-5)


def slow_softmax(x, dim):
    y = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        line = list(index)
        line[dim + 1 if dim >= 0 else dim] = slice(None)
        total = sum(math.exp(v - x[index]) for v in x[tuple(line)])
        y[index] = 1 / total
    return y


SLOPES = np.array([0.1, -0.5, 2.0])
SCALARS = [
    # node, the same for one number and its channel, and the name of torch's module
    (ir.ReLU(3), lambda v, c: max(v, 0.0), lambda nn: nn.ReLU()),
    (ir.ReLU(3, 0.2), lambda v, c: v if v > 0 else 0.2 * v, lambda nn: nn.LeakyReLU(0.2)),
    (ir.ReLU(3, 1.7), lambda v, c: v if v > 0 else 1.7 * v, lambda nn: nn.LeakyReLU(1.7)),
    (ir.Sigmoid(3), lambda v, c: 1 / (1 + math.exp(-v)), lambda nn: nn.Sigmoid()),
    (ir.Tanh(3), lambda v, c: math.tanh(v), lambda nn: nn.Tanh()),
    (
        ir.GELU(3),
        lambda v, c: 0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))),
        lambda nn: nn.GELU(approximate="tanh"),
    ),
    (
        ir.GELU(3, approximate=False),
        lambda v, c: 0.5 * v * (1 + math.erf(v / math.sqrt(2))),
        lambda nn: nn.GELU(),
    ),
    (ir.ELU(3, 0.7), lambda v, c: v if v > 0 else 0.7 * math.expm1(v), lambda nn: nn.ELU(0.7)),
    (ir.SiLU(3), lambda v, c: v / (1 + math.exp(-v)), lambda nn: nn.SiLU()),
    (ir.HardSwish(3), lambda v, c: v * min(max(v + 3, 0), 6) / 6, lambda nn: nn.Hardswish()),
    (
        ir.Softplus(3, 1.7),
        lambda v, c: math.log1p(math.exp(1.7 * v)) / 1.7,
        lambda nn: nn.Softplus(1.7),
    ),
    (ir.Dropout(3, 0.9), lambda v, c: v, lambda nn: nn.Dropout(0.9).eval()),
    (ir.HybridRegion("ann", 3), lambda v, c: v, lambda nn: nn.Identity()),
    (
        ir.PReLU(3, SLOPES),
        lambda v, c: v if v > 0 else SLOPES[c] * v,
        lambda nn: prelu(nn, SLOPES),
    ),
    (ir.PReLU(3, 0.25), lambda v, c: v if v > 0 else 0.25 * v, lambda nn: prelu(nn, [0.25])),
]
SCALAR_IDS = [repr(node)[:40] for node, *_ in SCALARS]


def prelu(nn, slopes):
    import torch

    layer = nn.PReLU(len(slopes))
    layer.weight.data = torch.tensor(slopes, dtype=torch.float32)
    return layer


@pytest.mark.parametrize(("node", "scalar"), [case[:2] for case in SCALARS], ids=SCALAR_IDS)
def test_activation_is_its_equation(node, scalar):
    for shape in ((40, 3), (5, 3, 4, 5)):
        x = 3 * draw(0, *shape)
        x[0] = 0
        expected = np.zeros_like(x)
        for index in np.ndindex(*shape):
            expected[index] = scalar(float(x[index]), index[1])
        np.testing.assert_allclose(apply(node, x), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("node", "_", "build"), SCALARS, ids=SCALAR_IDS)
def test_activation_is_that_of_torch(node, _, build):
    torch = pytest.importorskip("torch")
    x = 3 * draw(1, 50, 3, 6)
    with torch.no_grad():
        expected = build(torch.nn)(torch.from_numpy(x.astype(F32))).numpy()
    np.testing.assert_allclose(apply(node, x, F32), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [30.0, 100.0, 1000.0])
def test_large_values_saturate(size):
    x = np.array([[-size, 0.0, size]])
    assert apply(ir.Sigmoid(3), x, F32)[0] == pytest.approx([0, 0.5, 1], abs=1e-9)
    assert apply(ir.GELU(3, approximate=False), x, F32)[0].tolist() == [0, 0, size]
    assert apply(ir.ELU(3), x, F32)[0] == pytest.approx([-1, 0, size])
    assert apply(ir.Softmax(3), x, F32)[0] == pytest.approx([0, 0, 1], abs=1e-9)


@pytest.mark.parametrize("dim", [-1, -2, 0, 1, 2])
def test_softmax_counts_dimensions_without_batch(dim):
    x = draw(5, 3, 2, 3, 4)
    node = ir.Softmax(2, dim=dim)
    y = apply(node, x)
    np.testing.assert_allclose(y, slow_softmax(x, dim), rtol=1e-9)
    np.testing.assert_allclose(y.sum(axis=dim if dim < 0 else dim + 1), 1)


def batch_norm(kind, seed=0):
    n = 3
    rng = np.random.default_rng(seed)
    statistics = (rng.normal(size=n), rng.normal(size=n), rng.normal(size=n), rng.random(n))
    return kind(n, *statistics, eps=1e-3)


BATCH_NORMS = pytest.mark.parametrize(
    ("kind", "shape"),
    [(ir.BatchNorm1d, (5, 3)), (ir.BatchNorm1d, (5, 3, 4)), (ir.BatchNorm2d, (5, 3, 2, 4))],
)


@BATCH_NORMS
def test_batch_norm_uses_the_statistics_of_the_training(kind, shape):
    node, x = batch_norm(kind), draw(1, *shape)
    expected = np.zeros_like(x)
    for index in np.ndindex(*shape):
        c = index[1]
        deviation = math.sqrt(float(node.running_var[c]) + 1e-3)
        expected[index] = node.weight[c] * (x[index] - node.running_mean[c]) / deviation
        expected[index] += node.bias[c]
    np.testing.assert_allclose(apply(node, x), expected, rtol=1e-9, atol=1e-9)


@BATCH_NORMS
def test_batch_norm_is_that_of_torch(kind, shape):
    torch = pytest.importorskip("torch")
    node, x = batch_norm(kind), draw(1, *shape)
    arguments = (node.running_mean, node.running_var, node.weight, node.bias)
    expected = torch.nn.functional.batch_norm(
        *(torch.from_numpy(a.astype(F32)) for a in (x, *arguments)), eps=1e-3
    )
    np.testing.assert_allclose(apply(node, x, F32), expected, rtol=1e-5, atol=1e-5)


def layer_norm(normalized):
    node = ir.LayerNorm(normalized, draw(0, *normalized), draw(1, *normalized), eps=1e-3)
    return node, 5 + draw(2, 6, 2, 3, 4)


LAYER_NORMS = pytest.mark.parametrize("normalized", [(4,), (3, 4), (2, 3, 4)])


@LAYER_NORMS
def test_layer_norm_takes_the_last_dimensions(normalized):
    node, x = layer_norm(normalized)
    expected = np.zeros_like(x)
    lead = x.ndim - len(normalized)
    for index in np.ndindex(*x.shape):
        group = [float(v) for v in x[index[:lead]].ravel()]
        mean = sum(group) / len(group)
        variance = sum((v - mean) ** 2 for v in group) / len(group)
        scaled = (x[index] - mean) / math.sqrt(variance + 1e-3)
        expected[index] = node.weight[index[lead:]] * scaled + node.bias[index[lead:]]
    np.testing.assert_allclose(apply(node, x), expected, rtol=1e-9, atol=1e-9)


@LAYER_NORMS
def test_layer_norm_is_that_of_torch(normalized):
    torch = pytest.importorskip("torch")
    node, x = layer_norm(normalized)
    arrays = (torch.from_numpy(a.astype(F32)) for a in (x, node.weight, node.bias))
    values, weight, bias = arrays
    expected = torch.nn.functional.layer_norm(values, normalized, weight, bias, eps=1e-3)
    np.testing.assert_allclose(apply(node, x, F32), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [ir.Affine, ir.SpikingAffine])
@pytest.mark.parametrize("bias", [np.zeros(3), np.array([1.0, -2.0, 0.5])])
def test_dense_layer(kind, bias):
    weight, x = draw(0, 3, 5), draw(1, 4, 5)
    expected = [
        [
            sum(w * v for w, v in zip(row, frame, strict=True)) + b
            for row, b in zip(weight, bias, strict=True)
        ]
        for frame in x
    ]
    np.testing.assert_allclose(apply(kind(weight, bias), x), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "shape"), [({}, (24,)), ({"start_dim": 1}, (2, 12)), ({"end_dim": 1}, (6, 4))]
)
def test_flatten_is_row_major(options, shape):
    x = np.arange(48.0).reshape(2, 2, 3, 4)
    y = apply(ir.Flatten(**options), x)
    assert y.shape == (2, *shape)
    np.testing.assert_array_equal(y.ravel(), np.arange(48))


def test_every_primitive_without_a_state_has_a_kernel():
    import talon.backend.cpu  # noqa: F401 - it registers them

    lacking = [
        name
        for name in ir.list_primitives(extensions=True)
        if not issubclass(ir.str_to_node(name), STATEFUL)
        and build_kernel.dispatch(ir.str_to_node(name)) is build_kernel.dispatch(ir.Node)
    ]
    assert not lacking
