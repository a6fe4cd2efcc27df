"""Ghost blocks and the head of a detector, against loops over single values and against PyTorch."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon import ir
from talon.backend.composites import expand
from talon.backend.cpu import simulate_float
from talon.backend.cpu.kernels import build_kernel


def slow_conv(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    stride: int,
    pad: Sequence[int],
    groups: int,
) -> np.ndarray:
    """Convolve a map (C, H, W) as the sum says it, in float64."""
    n_out, n_in, k_h, k_w = weight.shape
    x = np.pad(x.astype(np.float64), ((0, 0), (pad[0],) * 2, (pad[1],) * 2))
    h, w = ((n - k) // stride + 1 for n, k in zip(x.shape[1:], (k_h, k_w), strict=True))
    y = np.empty((n_out, h, w))
    for o in range(n_out):
        first = o // (n_out // groups) * n_in
        for i in range(h):
            for j in range(w):
                at = (slice(i * stride, i * stride + k_h), slice(j * stride, j * stride + k_w))
                patch = x[first : first + n_in, at[0], at[1]]
                y[o, i, j] = (patch * weight[o]).sum() + bias[o]
    return y


def half(weight: np.ndarray) -> list[int]:
    return [k // 2 for k in weight.shape[2:]]


def slow_ghost(
    x: np.ndarray, arrays: Sequence[np.ndarray], stride: int = 1, pad: Sequence[int] | None = None
) -> np.ndarray:
    weight, bias, cheap, cheap_bias = arrays
    p = slow_conv(x, weight, bias, stride, half(weight) if pad is None else pad, 1)
    return np.concatenate([p, slow_conv(p, cheap, cheap_bias, 1, half(cheap), len(p))])


def part(rng: np.random.Generator, prefix: str, n_in: int, n: int, k: int) -> dict[str, Any]:
    return {
        f"{prefix}primary_weight": rng.normal(size=(n, n_in, k, k)).astype(np.float32),
        f"{prefix}primary_bias": rng.normal(size=n).astype(np.float32),
        f"{prefix}cheap_weight": rng.normal(size=(n, 1, 3, 3)).astype(np.float32),
        f"{prefix}cheap_bias": rng.normal(size=n).astype(np.float32),
    }


def computed(node: ir.Node, x: np.ndarray) -> np.ndarray:
    """Return what the kernel makes of one sample, and see that a batch is the same."""
    kernel = build_kernel(node, x.shape, np.dtype(np.float32))
    single = kernel(x[None])[0]
    np.testing.assert_allclose(kernel(np.stack([0 * x, x]))[1], single, atol=1e-4)
    assert single.shape == node.output_shape(x.shape)
    return single


SEEDS = pytest.mark.parametrize("seed", range(4))
KERNELS = pytest.mark.parametrize("k", [1, 3, 5])


@SEEDS
@KERNELS
def test_ghost_convolution(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    node = ir.SGhostConv(**part(rng, "", 3, 4, k), primary_stride=2, primary_padding=(k // 2, 0))
    x = rng.normal(size=(3, 7, 8)).astype(np.float32)
    expected = slow_ghost(x, node.arrays(""), 2, (k // 2, 0))
    np.testing.assert_allclose(computed(node, x), expected, atol=1e-4)


@SEEDS
@KERNELS
def test_encoder(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(5, 3, 3, 3)).astype(np.float32)
    bias = rng.normal(size=5).astype(np.float32)
    node = ir.SGhostEncoderLite(weight, bias, **part(rng, "ghost_", 5, 2, k))
    x = rng.normal(size=(3, 8, 7)).astype(np.float32)
    expected = slow_ghost(slow_conv(x, weight, bias, 2, (1, 1), 1), node.arrays("ghost_"))
    np.testing.assert_allclose(computed(node, x), expected, atol=1e-3)


@SEEDS
@KERNELS
def test_blocks(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    parts = {**part(rng, "cv0_", 3, 4, k), **part(rng, "cv2_", 4, 2, 3)}
    x = rng.normal(size=(3, 6, 7)).astype(np.float32)
    second = ir.GhostBasicBlock2(**parts)
    z = slow_ghost(x, second.arrays("cv0_"))
    expected = np.concatenate([z[:4], slow_ghost(z[4:], second.arrays("cv2_"))])
    np.testing.assert_allclose(computed(second, x), expected, rtol=1e-4, atol=2e-3)

    first = ir.GhostBasicBlock1(**part(rng, "cvres_", 3, 2, 1), **parts, stride=2)
    z = slow_ghost(x, first.arrays("cv0_"), 2)
    inner = slow_ghost(z[4:], first.arrays("cv2_")) + slow_ghost(x, first.arrays("cvres_"), 2)
    np.testing.assert_allclose(
        computed(first, x), np.concatenate([z[:4], inner]), rtol=1e-4, atol=2e-3
    )


def head(rng: np.random.Generator, n_in: int, n_classes: int, reg_max: int) -> ir.SDDetect:
    arrays: dict[str, Any] = {}
    for name, last in (("cv2", 4 * reg_max), ("cv3", n_classes)):
        for k, shape in enumerate([(6, n_in, 3, 3), (6, 6, 3, 3), (last, 6, 1, 1)]):
            scale = 1 / np.sqrt(np.prod(shape[1:]))
            arrays[f"{name}_w{k}"] = (rng.normal(size=shape) * scale).astype(np.float32)
            arrays[f"{name}_b{k}"] = rng.normal(size=shape[0]).astype(np.float32) * 0.1
    return ir.SDDetect(n_classes, reg_max, 8, **arrays)


@SEEDS
def test_head_of_one_scale(seed: int) -> None:
    rng = np.random.default_rng(seed)
    node = head(rng, 5, 3, 4)
    x = rng.normal(size=(5, 4, 6)).astype(np.float32)
    ends = []
    for name in ("cv2", "cv3"):
        y = x
        for weight, bias in node.branch(name):
            y = slow_conv(y, weight, bias, 1, half(weight), 1)
        ends.append(y)
    np.testing.assert_allclose(computed(node, x), np.concatenate(ends), atol=1e-4)


@SEEDS
def test_blocks_equal_the_graphs_that_their_operations_are_counted_in(seed: int) -> None:
    rng = np.random.default_rng(seed)
    nodes: list[tuple[ir.Node, int]] = [
        (ir.SGhostConv(**part(rng, "", 3, 4, 3), primary_padding=(1, 1)), 3),
        (ir.GhostBasicBlock2(**part(rng, "cv0_", 3, 4, 1), **part(rng, "cv2_", 4, 2, 3)), 3),
        (head(rng, 3, 2, 2), 3),
    ]
    for node, channels in nodes:
        x = rng.normal(size=(channels, 6, 6)).astype(np.float32)
        graph = expand(node, x.shape)
        (output,) = simulate_float(graph, x[None]).outputs.values()
        np.testing.assert_allclose(computed(node, x), output[0, 0], rtol=1e-4, atol=1e-3)


def test_distances_are_expectations_and_classes_probabilities() -> None:
    rng = np.random.default_rng(0)
    node = ir.DFLDecode(4, np.array([0, 1, 2, 5], np.float32))
    x = rng.normal(size=(16 + 2, 3, 2)).astype(np.float32) * 3
    y = computed(node, x)
    for side in range(4):
        for i, j in np.ndindex(3, 2):
            share = np.exp(x[4 * side : 4 * side + 4, i, j].astype(float))
            assert y[side, i, j] == pytest.approx((share / share.sum()) @ [0, 1, 2, 5], abs=1e-5)
    np.testing.assert_allclose(y[4:], 1 / (1 + np.exp(-x[16:].astype(float))), atol=1e-6)
    assert np.isfinite(node.decode(np.full((18, 1), -1e30, np.float32))).all()


def test_boxes_surround_the_middle_of_their_cell() -> None:
    x = np.zeros((5, 2, 3), np.float32)
    x[:4, 1, 2] = 1, 2, 3, 4  # left, top, right, bottom of the cell in row 1, column 2
    x[4] = 7
    y = computed(ir.Dist2BBox(8), x)
    assert y[:, 1, 2].tolist() == [(2.5 + 1) * 8, (1.5 + 1) * 8, 4 * 8, 6 * 8, 7]
    assert y[:4, 0, 0].tolist() == [4, 4, 0, 0]
    anchors = np.array([[2.5], [1.5]], np.float32)
    flat = computed(ir.Dist2BBox(8, anchors=anchors), x[:, 1, 2:3])
    assert flat[:, 0].tolist() == y[:, 1, 2].tolist()


def slow_nms(rows: np.ndarray, score: float, iou: float, most: int, by_class: bool) -> list[int]:
    """Keep rows one by one, comparing each with all that are kept."""
    values = [
        float("nan") if np.isnan(r).any() else r[4] * (r[5:].max() if len(r) > 5 else 1)
        for r in rows
    ]
    order = [k for k in range(len(rows)) if values[k] >= score]
    order.sort(key=lambda k: -values[k])
    kept: list[int] = []
    for k in order:
        for other in kept:
            if by_class and rows[k][5:].argmax() != rows[other][5:].argmax():
                continue
            a, b = (rows[i][:4].astype(float) for i in (k, other))
            size = [
                min(a[d] + a[2 + d] / 2, b[d] + b[2 + d] / 2)
                - max(a[d] - a[2 + d] / 2, b[d] - b[2 + d] / 2)
                for d in (0, 1)
            ]
            common = max(size[0], 0) * max(size[1], 0)
            if common > iou * (a[2] * a[3] + b[2] * b[3] - common):
                break
        else:
            kept.append(k)
    return kept[:most] if most else kept


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 60),
    n_classes=st.integers(0, 3),
    most=st.sampled_from([0, 5, 300]),
    by_class=st.booleans(),
)
def test_suppression_keeps_what_a_plain_loop_keeps(
    seed: int, n: int, n_classes: int, most: int, by_class: bool
) -> None:
    rng = np.random.default_rng(seed)
    rows = np.hstack(
        [
            rng.integers(0, 12, (n, 2)),
            rng.integers(0, 7, (n, 2)),
            rng.integers(0, 5, (n, 1 + n_classes)) / 4,
        ]
    ).astype(np.float32)
    if n > 3:
        rows[rng.integers(n), rng.integers(rows.shape[1])] = np.nan
    node = ir.NMS(0.3, 0.4, most, class_aware=by_class and n_classes > 1)
    kept = slow_nms(rows, 0.3, 0.4, most, node.class_aware)
    assert np.array_equal(node(rows), rows[kept])


def test_suppression_of_many_boxes_is_that_of_few_at_a_time() -> None:
    rng = np.random.default_rng(3)
    rows = np.hstack([rng.uniform(0, 300, (1500, 2)), rng.uniform(5, 30, (1500, 2))])
    rows = np.hstack([rows, rng.random((1500, 1))])
    node = ir.NMS(0.2, 0.45, 0)
    assert np.array_equal(node(rows), rows[slow_nms(rows, 0.2, 0.45, 0, False)])


def test_rows_that_are_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"detections must be \(N, >= 5\), got shape \(3, 4\)"):
        ir.NMS()(np.zeros((3, 4)))


def detector(rng: np.random.Generator) -> ir.Graph:
    """Return a detector of two scales for images of 32 x 32, three classes."""

    def neurons(n: int) -> ir.LIF:
        values = (np.full(n, v, np.float32) for v in (2, 2, 0, 0.3))
        return ir.LIF(*values)

    backbone = (
        part(rng, "cv0_", 8, 4, 1) | part(rng, "cv2_", 4, 2, 3) | part(rng, "cvres_", 8, 2, 1)
    )
    nodes: dict[str, ir.Node] = {
        "image": ir.Input([3, 32, 32]),
        "encoder": ir.SGhostEncoderLite(
            rng.normal(size=(6, 3, 3, 3)).astype(np.float32) * 0.3,
            np.zeros(6, np.float32),
            **part(rng, "ghost_", 6, 4, 1),
        ),
        "lif1": neurons(8),
        "down1": ir.SConv(rng.normal(size=(8, 8, 3, 3)).astype(np.float32) * 0.2,
                          np.zeros(8, np.float32), 2, 1),
        "lif2": neurons(8),
        "block": ir.GhostBasicBlock1(**backbone),
        "lif3": neurons(8),
        "fine": head(rng, 8, 3, 4),
        "coarse": head(rng, 8, 3, 4),
    }  # fmt: skip
    edges = [("image", "encoder"), ("encoder", "lif1"), ("lif1", "down1"), ("down1", "lif2")]
    edges += [("lif2", "block"), ("block", "lif3"), ("lif2", "fine"), ("lif3", "coarse")]
    for name, stride in (("fine", 4), ("coarse", 8)):
        nodes |= {
            f"{name}_dfl": ir.DFLDecode(4),
            f"{name}_boxes": ir.Dist2BBox(stride),
            f"{name}_flat": ir.Flatten(1),
        }
        edges += [
            (name, f"{name}_dfl"),
            (f"{name}_dfl", f"{name}_boxes"),
            (f"{name}_boxes", f"{name}_flat"),
        ]
    nodes |= {
        "all": ir.Concat(2, dim=1),
        "nms": ir.NMS(0.6, 0.45, 20, layout="channels"),
        "detections": ir.Output([20, 8]),
    }
    edges += [("fine_flat", "all"), ("coarse_flat", "all"), ("all", "nms"), ("nms", "detections")]
    return ir.Graph(nodes, edges)


def test_small_detector_runs_from_image_to_detections() -> None:
    rng = np.random.default_rng(5)
    graph = detector(rng)
    graph.validate()
    images = rng.random((3, 2, 3, 32, 32)).astype(np.float32)
    found = simulate_float(graph, images).outputs["detections"]
    assert found.shape == (3, 2, 20, 8)
    maps = simulate_float(_until(graph, "all"), images).outputs["out"]
    some = 0
    for t, sample in np.ndindex(3, 2):
        columns = maps[t, sample]
        assert columns.shape == (7, 64 + 16)
        rows = np.vstack([columns[:4], np.ones((1, 80)), columns[4:]]).T
        kept = slow_nms(rows.astype(np.float32), 0.6, 0.45, 20, False)
        expected = np.zeros((20, 8))
        expected[: len(kept)] = rows[kept]
        np.testing.assert_allclose(found[t, sample], expected, atol=1e-4)
        some += len(kept)
    assert 10 < some < 120
    assert (found[..., 0] < 40).all() and (found[..., 5:] <= 1).all()


def _until(graph: ir.Graph, name: str) -> ir.Graph:
    """Return the graph up to a node, whose value goes to an output."""
    cut = {"nms", "detections"}
    nodes: dict[str, ir.Node] = {k: v for k, v in graph.nodes.items() if k not in cut}
    nodes["out"] = ir.Output(list(graph.infer_shapes()[name]))
    edges = [edge for edge in graph.edges if not cut & set(edge)]
    return ir.Graph(nodes, [*edges, (name, "out")])


def test_documented_chain_runs() -> None:
    rng = np.random.default_rng(1)
    nodes: dict[str, ir.Node] = {
        "features": ir.Input([5, 6, 6]),
        "detect": head(rng, 5, 3, 4),
        "dfl": ir.DFLDecode(4),
        "boxes": ir.Dist2BBox(8),
        "nms": ir.NMS(0.3, 0.45, 10),
        "output": ir.Output([10, 8]),
    }
    names = list(nodes)
    graph = ir.Graph(nodes, [*itertools.pairwise(names)])
    graph.validate()
    found = simulate_float(graph, rng.normal(size=(1, 5, 6, 6)).astype(np.float32))
    kept = found.outputs["output"][0, 0]
    scores = kept[:, 5:].max(axis=1)
    assert (scores[:1] >= 0.3).all() and (np.diff(scores) <= 1e-6).all()


@SEEDS
def test_blocks_equal_pytorch(seed: int) -> None:
    torch = pytest.importorskip("torch")
    F = torch.nn.functional  # noqa: N806

    def ghost(x: Any, arrays: Sequence[np.ndarray], stride: int = 1) -> Any:
        weight, bias, cheap, cheap_bias = map(torch.from_numpy, arrays)
        p = F.conv2d(x, weight, bias, stride, half(weight))
        return torch.cat([p, F.conv2d(p, cheap, cheap_bias, 1, half(cheap), groups=len(bias))], 1)

    rng = np.random.default_rng(seed)
    block = ir.GhostBasicBlock1(
        **part(rng, "cvres_", 3, 2, 1), **part(rng, "cv0_", 3, 4, 3), **part(rng, "cv2_", 4, 2, 3)
    )
    x = rng.normal(size=(2, 3, 9, 8)).astype(np.float32)
    y = torch.from_numpy(x)
    z1, z2 = ghost(y, block.arrays("cv0_"), 2).chunk(2, 1)
    inner = ghost(z2, block.arrays("cv2_")) + ghost(y, block.arrays("cvres_"), 2)
    expected = torch.cat([z1, inner], 1).numpy()
    found = build_kernel(block, x.shape[1:], np.dtype(np.float32))(x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)
