from itertools import pairwise

import numpy as np
import pytest

from talon import ir
from talon.backend.cpu import Record, simulate_float
from talon.backend.cpu.kernels import build_kernel

CLASSES, BINS = 3, 4
F8 = np.dtype(np.float64)


def naive_conv(x, weight, bias, *, stride=1, groups=1):
    """Convolve one sample (C, H, W) by the definition, one output at a time."""
    n_out, n_in, kh, kw = weight.shape
    x = np.pad(x.astype(F8), ((0, 0), (kh // 2, kh // 2), (kw // 2, kw // 2)))
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


def torch_conv(x, weight, bias, *, stride=1, groups=1):
    torch = pytest.importorskip("torch")
    pad = tuple(k // 2 for k in weight.shape[2:])
    arrays = (torch.from_numpy(np.asarray(a, F8)) for a in (x[None], weight, bias))
    return torch.conv2d(*arrays, stride=stride, padding=pad, groups=groups)[0].numpy()


def ghost(conv, x, node, prefix, stride=1):
    names = ("primary_weight", "primary_bias", "cheap_weight", "cheap_bias")
    weight, bias, cheap, cheap_bias = (getattr(node, f"{prefix}{name}") for name in names)
    p = conv(x, weight, bias, stride=stride)
    return np.concatenate([p, conv(p, cheap, cheap_bias, groups=len(p))])


def block(conv, x, node):
    stride = getattr(node, "stride", 1)
    z = ghost(conv, x, node, "cv0_", stride)
    z1, z2 = z[: len(z) // 2], z[len(z) // 2 :]
    second = ghost(conv, z2, node, "cv2_")
    if isinstance(node, ir.GhostBasicBlock1):
        second = second + ghost(conv, x, node, "cvres_", stride)
    return np.concatenate([z1, second])


def head_maps(conv, x, node):
    """Return the two branches of the head for one sample."""
    ends = []
    for name in ("cv2", "cv3"):
        y = x
        for k in range(3):
            y = conv(y, getattr(node, f"{name}_w{k}"), getattr(node, f"{name}_b{k}"))
        ends.append(y)
    return ends


def rows_of_head(conv, x, node):
    """Return rows [cx, cy, w, h, 1, classes...] of one scale, cell by cell."""
    box, logits = head_maps(conv, x, node)
    rows = []
    for i in range(box.shape[1]):
        for j in range(box.shape[2]):
            sides = []
            for side in range(4):
                power = [np.exp(v) for v in box[side * BINS : (side + 1) * BINS, i, j]]
                sides.append(sum(k * p for k, p in enumerate(power)) / sum(power))
            left, top, right, bottom = sides
            x1, x2 = (j + 0.5 - left) * node.stride, (j + 0.5 + right) * node.stride
            y1, y2 = (i + 0.5 - top) * node.stride, (i + 0.5 + bottom) * node.stride
            shares = [1 / (1 + np.exp(-v)) for v in logits[:, i, j]]
            rows.append([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, 1, *shares])
    return rows


def iou(a, b):
    common = 1.0
    for k in (0, 1):
        low = max(a[k] - a[2 + k] / 2, b[k] - b[2 + k] / 2)
        common *= max(0.0, min(a[k] + a[2 + k] / 2, b[k] + b[2 + k] / 2) - low)
    return common / (a[2] * a[3] + b[2] * b[3] - common)


def kept_rows(rows, node):
    kept = []
    for row in sorted(rows, key=lambda row: -max(row[5:])):
        if max(row[5:]) >= node.score_threshold and all(
            iou(row, other) <= node.iou_threshold for other in kept
        ):
            kept.append(row)
    return kept[: node.max_detections]


def normal(rng, *shape):
    return rng.normal(0, 0.5, shape).astype(np.float32)


def conv_pair(rng, name, n, n_in, k):
    return {f"{name}_weight": normal(rng, n, n_in, k, k), f"{name}_bias": normal(rng, n)}


def part(rng, prefix, n_in, n, k=3):
    return {
        **conv_pair(rng, f"{prefix}primary", n, n_in, k),
        **conv_pair(rng, f"{prefix}cheap", n, 1, 3),
    }


def block1(rng, n_in, n):
    parts = {**part(rng, "cv0_", n_in, n), **part(rng, "cv2_", n, n // 2)}
    return ir.GhostBasicBlock1(**part(rng, "cvres_", n_in, n // 2, 1), **parts)


def block2(rng, n_in, n):
    return ir.GhostBasicBlock2(**part(rng, "cv0_", n_in, n), **part(rng, "cv2_", n, n // 2))


def head(rng, stride, n_in):
    arrays = {}
    for name, n_out in (("cv2", 4 * BINS), ("cv3", CLASSES)):
        for k, (a, b, size) in enumerate([(5, n_in, 3), (5, 5, 3), (n_out, 5, 1)]):
            arrays[f"{name}_w{k}"] = normal(rng, a, b, size, size)
            arrays[f"{name}_b{k}"] = normal(rng, a)
    return ir.SDDetect(CLASSES, BINS, stride, **arrays)


def lif(n):
    def full(value):
        return np.full(n, value, np.float32)

    return ir.LIF(tau=full(2), r=full(2), v_leak=full(0), v_threshold=full(1))


def chain(nodes, edges, source, scale, node):
    """Add a head and the decoding of its maps behind ``source``; return the last name."""
    names = [f"{kind}{scale}" for kind in ("head", "distances", "boxes", "flat")]
    added = [node, ir.DFLDecode(BINS), ir.Dist2BBox(scale), ir.Flatten(start_dim=1)]
    nodes.update(zip(names, added, strict=True))
    edges += zip([source, *names[:-1]], names, strict=True)
    return names[-1]


@pytest.fixture(scope="module")
def detector():
    rng = np.random.default_rng(7)
    stem = ir.SConv(normal(rng, 4, 2, 3, 3), normal(rng, 4), stride=(2, 2), padding=(1, 1))
    nodes = {
        "image": ir.Input(np.array([2, 32, 32])),
        "stem": stem,
        "lif0": lif(4),
        "block4": block1(rng, 4, 4),
        "lif4": lif(8),
        "block8": block1(rng, 8, 4),
        "lif8": lif(8),
        "neck8": block2(rng, 8, 4),
        "lifn": lif(8),
    }
    names = list(nodes)
    edges = list(pairwise(names))
    ends = [
        chain(nodes, edges, source, scale, head(rng, scale, 8))
        for source, scale in (("lif4", 4), ("lifn", 8))
    ]
    nodes["concat"] = ir.Concat(2, dim=1)
    nodes["nms"] = ir.NMS(0.5, 0.3, 20, layout="channels")
    nodes["detections"] = ir.Output(np.array([20, 5 + CLASSES]))
    edges += [(end, "concat") for end in ends]
    edges += [("concat", "nms"), ("nms", "detections")]
    return ir.Graph(nodes, edges)


def run_by_hand(graph, x, conv):
    """Return the detections of one sample (n_steps, C, H, W) and the spikes of every LIF."""
    nodes = graph.nodes
    potentials = dict.fromkeys(("lif0", "lif4", "lif8", "lifn"), 0.0)
    counts = dict.fromkeys(potentials, 0)
    detections = []

    def fire(name, current):
        node = nodes[name]
        tau, r = float(node.tau[0]), float(node.r[0])
        v = potentials[name] + (r * current - potentials[name]) / tau
        spikes = v >= node.v_threshold[0]
        potentials[name] = np.where(spikes, 0.0, v)
        counts[name] += int(spikes.sum())
        return spikes.astype(F8)

    for frame in x:
        stem = nodes["stem"]
        y = fire("lif0", conv(frame, stem.weight, stem.bias, stride=2))
        four = fire("lif4", block(conv, y, nodes["block4"]))
        eight = fire("lif8", block(conv, four, nodes["block8"]))
        neck = fire("lifn", block(conv, eight, nodes["neck8"]))
        rows = rows_of_head(conv, four, nodes["head4"]) + rows_of_head(conv, neck, nodes["head8"])
        detections.append(kept_rows(rows, nodes["nms"]))
    return detections, counts


@pytest.mark.parametrize("conv", [naive_conv, torch_conv])
def test_small_detector_from_image_to_boxes(detector, conv):
    if conv is torch_conv:
        pytest.importorskip("torch")
    x = np.random.default_rng(1).uniform(0, 1, (4, 2, 2, 32, 32)).astype(np.float32)
    trace = simulate_float(detector, x, dtype=np.float64)
    y = trace.outputs["detections"]
    assert y.shape == (4, 2, 20, 5 + CLASSES)
    totals = dict.fromkeys(trace.spike_counts, 0)
    for sample in range(2):
        expected, counts = run_by_hand(detector, x[:, sample], conv)
        for t, rows in enumerate(expected):
            assert 1 < len(rows) <= 20
            np.testing.assert_allclose(y[t, sample, : len(rows)], rows, rtol=1e-6)
            assert not y[t, sample, len(rows) :].any()
        totals = {name: totals[name] + n for name, n in counts.items()}
    assert totals == trace.spike_counts
    assert all(totals.values())
    assert len({y[t, 0].tobytes() for t in range(4)}) > 1


def test_detector_survives_a_file_and_any_split_of_the_run(detector, tmp_path):
    x = np.random.default_rng(2).uniform(0, 1, (5, 3, 2, 32, 32)).astype(np.float32)
    y = simulate_float(detector, x).outputs["detections"]
    ir.write(tmp_path / "detector.t1c", detector)
    again = ir.read(tmp_path / "detector.t1c")
    np.testing.assert_array_equal(simulate_float(again, x).outputs["detections"], y)
    for sample in range(3):
        alone = simulate_float(detector, x[:, sample]).outputs["detections"]
        np.testing.assert_allclose(alone[:, 0], y[:, sample], rtol=1e-4, atol=1e-4)


def test_documented_chain_at_one_scale():
    rng = np.random.default_rng(3)
    node = head(rng, 8, 6)
    nodes = {
        "input": ir.Input(np.array([6, 5, 7])),
        "detect": node,
        "dfl": ir.DFLDecode(BINS),
        "boxes": ir.Dist2BBox(8),
        "nms": ir.NMS(0.3, 0.45, 0),
        "output": ir.Output(np.array([35, 5 + CLASSES])),
    }
    names = list(nodes)
    graph = ir.Graph(nodes, list(pairwise(names)))
    assert graph.infer_shapes()["detect"] == (4 * BINS + CLASSES, 5, 7)
    assert graph.infer_shapes()["boxes"] == (4 + CLASSES, 5, 7)
    x = rng.normal(size=(2, 3, 6, 5, 7)).astype(np.float32)
    trace = simulate_float(graph, x, record=Record(values=True), dtype=np.float64)
    for t in range(2):
        for sample in range(3):
            frame = x[t, sample]
            box, logits = head_maps(naive_conv, frame, node)
            maps = np.concatenate([box, logits])
            np.testing.assert_allclose(trace.values["detect"][t, sample], maps, rtol=1e-6)
            rows = kept_rows(rows_of_head(naive_conv, frame, node), ir.NMS(0.3, 0.45, 35))
            got = trace.outputs["output"][t, sample]
            np.testing.assert_allclose(got[: len(rows)], rows, rtol=1e-6)
            assert not got[len(rows) :].any()


def test_distances_alone_pass_without_classes():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(2, 64, 3, 4)).astype(np.float32)
    y = build_kernel(ir.DFLDecode(), (64, 3, 4), np.dtype(np.float32))(x)
    power = np.exp(x.reshape(2, 4, 16, 3, 4).astype(F8))
    shares = power / power.sum(axis=2, keepdims=True)
    expected = sum(k * shares[:, :, k] for k in range(16))
    np.testing.assert_allclose(y, expected, rtol=1e-5)
    flat = build_kernel(ir.DFLDecode(), (64, 12), np.dtype(np.float32))(x.reshape(2, 64, 12))
    np.testing.assert_allclose(flat, y.reshape(2, 4, 12), rtol=1e-6)


def test_flat_distances_take_their_anchors():
    rng = np.random.default_rng(5)
    x = rng.uniform(0, 3, (2, 6, 4, 5)).astype(np.float32)
    maps = ir.Dist2BBox(16)
    anchors = maps.anchor_points((6, 4, 5)).reshape(2, 20).astype(np.float32)
    flat = ir.Dist2BBox(16, anchors=anchors)
    y = build_kernel(maps, (6, 4, 5), np.dtype(np.float32))(x)
    z = build_kernel(flat, (6, 20), np.dtype(np.float32))(x.reshape(2, 6, 20))
    np.testing.assert_array_equal(z, y.reshape(2, 6, 20))


def test_rows_are_suppressed_sample_by_sample():
    rows = np.array([[[0, 0, 2, 2, 0.5], [0, 0, 2, 2, 0.9]], [[9, 9, 2, 2, 0.1], [0, 0, 1, 1, 1]]])
    y = build_kernel(ir.NMS(max_detections=2), (2, 5), F8)(rows)
    np.testing.assert_array_equal(y[:, 0], [[0, 0, 2, 2, 0.9], [0, 0, 1, 1, 1]])
    assert not y[:, 1].any()
