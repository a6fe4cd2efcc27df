"""Sizes behind convolutions and pools: against windows counted one by one, and against PyTorch."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from talon import ir
from talon.errors import ModelError
from talon.ir import utils


def windows(n: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> int:
    """Count the windows: each starts a stride after the one before, and must fit.

    With ceil_mode a window need not end inside, but must start before the padding at the end.
    """
    count, start = 0, -p
    while True:
        last = start + d * (k - 1)
        fits = last <= n - 1 + p
        previous_reached_end = count and start - s + d * (k - 1) >= n - 1 + p
        if not fits and not (ceil_mode and start < n and not previous_reached_end):
            return count
        count += 1
        start += s


@given(
    n=st.integers(1, 20),
    k=st.integers(1, 5),
    s=st.integers(1, 4),
    p=st.integers(0, 2),
    d=st.integers(1, 3),
    ceil_mode=st.booleans(),
)
def test_output_size_is_the_number_of_windows(
    n: int, k: int, s: int, p: int, d: int, ceil_mode: bool
) -> None:
    assume(2 * p <= k and n + 2 * p > d * (k - 1))
    found = utils.conv_output_size(n, k, s, p, d, ceil_mode)
    assert found == windows(n, k, s, p, d, ceil_mode)


@given(
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pad=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dilation=st.integers(1, 2),
    ceil_mode=st.booleans(),
)
def test_pooled_shapes_are_those_of_pytorch(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pad: tuple[int, int],
    dilation: int,
    ceil_mode: bool,
) -> None:
    torch = pytest.importorskip("torch")
    assume(all(2 * p <= k for p, k in zip(pad, kernel, strict=True)))
    x = torch.zeros(1, 2, *size)
    module = torch.nn.MaxPool2d(kernel, stride, pad, dilation, ceil_mode=ceil_mode)
    node = ir.MaxPool2d(kernel, stride, pad, dilation, ceil_mode)
    try:
        pooled = module(x)
    except RuntimeError:
        with pytest.raises(ModelError, match="has a window that does not fit"):
            node.output_shape((2, *size))
        return
    if not torch.isfinite(pooled).all():  # the largest value of nothing
        with pytest.raises(ModelError, match="has a window that takes nothing but padding"):
            node.output_shape((2, *size))
        return
    assert node.output_shape((2, *size)) == tuple(pooled.shape[1:])


def kernel(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(
    ("node", "shape", "expected"),
    [
        (ir.Conv1d(kernel(4, 2, 3), kernel(4), stride=2, padding=1), (2, 9), (4, 5)),
        (ir.Conv2d(kernel(4, 1, 3, 3), kernel(4), padding="same", groups=2), (2, 7, 5), (4, 7, 5)),
        (ir.Conv2d(kernel(4, 3, 3, 2), kernel(4), padding="valid"), (3, 7, 5), (4, 5, 4)),
        (ir.Conv2d(kernel(4, 3, 3, 3), kernel(4), stride=2, dilation=(2, 1)), (3, 9, 9), (4, 3, 4)),
        (ir.SConv(kernel(4, 3, 1, 1), kernel(4)), (3, 7, 5), (4, 7, 5)),
        (ir.SDConv(kernel(3, 1, 3, 3), kernel(3), padding=1), (3, 7, 5), (3, 7, 5)),
        (ir.SepConv2d(kernel(3, 1, 3, 3), kernel(6, 3, 1, 1), stride=2), (3, 7, 5), (6, 3, 2)),
        (ir.AvgPool2d(3, 1, 1), (3, 7, 5), (3, 7, 5)),
        (ir.MaxPool2d(2, ceil_mode=True), (3, 7, 5), (3, 4, 3)),
        (ir.Upsample(1.5), (3, 7, 5), (3, 10, 7)),
        (ir.Upsample(None, size=(4, 9), mode="bilinear"), (3, 7, 5), (3, 4, 9)),
        (ir.ReLU(105), (3, 7, 5), (3, 7, 5)),
        (ir.ReLU(3), (3, 7, 5), (3, 7, 5)),
        (ir.LayerNorm((7, 5), kernel(7, 5), kernel(7, 5)), (3, 7, 5), (3, 7, 5)),
        (ir.BatchNorm1d(3, kernel(3), kernel(3), kernel(3), kernel(3)), (3, 8), (3, 8)),
    ],
)
def test_shapes_of_layers(node: ir.Node, shape: ir.Dims, expected: ir.Dims) -> None:
    assert node.output_shape(shape) == expected
    declared = type(node).from_dict({**node.to_dict(), "input_type": {"input": np.array(shape)}})
    assert declared.output_type["output"].tolist() == list(expected)


def test_declared_shape_that_does_not_fit_is_refused() -> None:
    declared = {"input": np.array([2, 7, 5])}
    with pytest.raises(
        ModelError, match=r"Conv2d takes \(3, H, W\), but input_type is \(2, 7, 5\)"
    ):
        ir.Conv2d(kernel(4, 3, 3, 3), kernel(4), input_type=declared)
    with pytest.raises(ModelError, match=r"MaxPool2d has a window that does not fit: Invalid outp"):
        ir.MaxPool2d(9, input_type=declared)


def split_graph() -> ir.Graph:
    nodes: dict[str, ir.Node] = {
        "input": ir.Input([6, 4, 4]),
        "split": ir.ChannelSplit((2, 4)),
        "a": ir.Conv2d(kernel(3, 2, 3, 3), kernel(3), padding=1),
        "b": ir.Conv2d(kernel(5, 4, 1, 1), kernel(5)),
        "concat": ir.Concat(3),
        "output": ir.Output([12, 4, 4]),
    }
    edges = [
        ("input", "split"),
        ("split", "a"),
        ("split", "b"),
        ("b", "concat"),
        ("a", "concat"),
        ("raw", "concat"),
        ("input", "raw"),
        ("concat", "output"),
    ]
    nodes["raw"] = ir.Conv2d(kernel(4, 6, 1, 1), kernel(4))
    return ir.Graph(nodes, edges)


def test_sections_and_concatenations_have_their_shapes() -> None:
    graph = split_graph()
    shapes = graph.infer_shapes()
    assert shapes["split"] == (6, 4, 4)  # all sections together
    assert shapes["a"] == (3, 4, 4) and shapes["concat"] == (12, 4, 4)
    assert graph.ports() == [0, 0, 1, 0, 0, 0, 0, 0]
    graph.validate()


def test_mistakes_around_a_split_are_named() -> None:
    graph = split_graph()
    graph.nodes["split"] = ir.ChannelSplit((2, 3))
    with pytest.raises(ModelError, match=r"'split' \(ChannelSplit\) split_sections sum \(5\) must"):
        graph.infer_shapes()
    graph = split_graph()
    graph.edges.append(("split", "output"))
    with pytest.raises(ModelError, match=r"'split' \(ChannelSplit\) has 2 split_sections, but 3"):
        graph.infer_shapes()
    graph = split_graph()
    graph.nodes["concat"] = ir.Concat(2)
    with pytest.raises(
        ModelError, match=r"'concat' \(Concat\) takes num_inputs=2 inputs, but gets"
    ):
        graph.infer_shapes()
    graph = split_graph()
    graph.nodes["b"] = ir.Conv2d(kernel(5, 4, 3, 3), kernel(5))
    with pytest.raises(
        ModelError, match=r"concatenates along dimension 0; all others must agree, "
    ):
        graph.infer_shapes()
    graph = split_graph()
    graph.nodes["output"] = ir.Output([11, 4, 4])
    with pytest.raises(ModelError, match=r"\(Output\) takes \(11, 4, 4\), but gets \(12, 4, 4\)"):
        graph.infer_shapes()


def test_sizes_of_utils() -> None:
    assert utils.conv1d_output_shape((2, 9), 4, 3, 2, 1) == (4, 5)
    assert utils.conv2d_output_shape((2, 9, 8), 4, (3, 2), (2, 1)) == (4, 4, 7)
    assert utils.pool2d_output_shape((3, 9, 9), (2, 2), ceil_mode=True) == (3, 5, 5)
    assert utils.flatten_output_size((3, 4, 5), 1) == (3, 20)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: utils.conv_output_size(9, 3, stride=0), "^stride must be at least 1, got 0$"),
        (lambda: utils.conv_output_size(9, 3, padding=-1), "^padding must be at least 0, got -1$"),
        (lambda: utils.conv_output_size(9, 10), "^Invalid output size 0 for in_size=9, kernel=10"),
        (
            lambda: utils.conv1d_output_shape((3, 9, 9), 4, 3),
            r"^shape must be \(C, L\) without batch, got \(3, 9, 9\)$",
        ),
        (
            lambda: utils.pool2d_output_shape((1, 3, 9, 9), (2, 2)),
            r"^shape must be \(C, H, W\) without batch, got \(1, 3, 9, 9\)$",
        ),
        (
            lambda: utils.flatten_output_size((3, 4), 1, 0),
            r"^start_dim=1 and end_dim=0 must name dimensions of \(3, 4\)",
        ),
    ],
)
def test_sizes_that_cannot_be_are_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_window_of_padding_alone_is_refused():
    node = ir.MaxPool2d(2, 1, 1, dilation=3)
    with pytest.raises(
        ModelError, match=r"has a window that takes nothing but padding of W=2; redu"
    ):
        node.output_shape((1, 9, 2))
    assert node.output_shape((1, 9, 3)) == (1, 8, 2)
