import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talon import ir
from talon.errors import ModelError
from talon.ir.costs import count_macs


def ones(*shape):
    return np.ones(shape, np.float32)


def branch(name, n_in, n, n_out):
    return {
        f"{name}_w0": ones(n, n_in, 3, 3),
        f"{name}_b0": ones(n),
        f"{name}_w1": ones(n, n, 3, 3),
        f"{name}_b1": ones(n),
        f"{name}_w2": ones(n_out, n, 1, 1),
        f"{name}_b2": ones(n_out),
    }


def head(classes=5, reg_max=4, stride=8, n_in=6, **changes):
    arrays = {**branch("cv2", n_in, 7, 4 * reg_max), **branch("cv3", n_in, 3, classes)}
    return ir.SDDetect(classes, reg_max, stride, **{**arrays, **changes})


def test_head_gives_distributions_then_classes():
    node = head(input_type={"input": np.array([6, 10, 8])})
    assert (node.in_channels, node.box_out_channels) == (6, 16)
    assert node.output_type["output"].tolist() == [21, 10, 8]
    assert node.param_count == 7 * 55 + 7 * 64 + 16 * 8 + 3 * 55 + 3 * 28 + 5 * 4
    expected = 7 * 54 + 7 * 63 + 16 * 7 + 3 * 54 + 3 * 27 + 5 * 3
    assert count_macs(node, (6, 10, 8), (21, 10, 8)) == expected * 80


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": 0}, "num_classes must be an int >= 1, got 0"),
        ({"reg_max": 0}, "reg_max must be an int >= 1, got 0"),
        ({"stride": 7}, "stride must be 4, 8, or 16, got 7"),
        ({"cv2_w2": ones(12, 7, 1, 1)}, r"output channels \(12\) must be 4 \* reg_max = 16"),
        ({"cv3_w2": ones(4, 3, 1, 1)}, r"output channels \(4\) must be num_classes = 5"),
        ({"cv3_b2": ones(11)}, r"cv3_b2 must be 1D with 5 elements, got shape \(11,\)"),
        ({"cv2_w0": ones(32)}, r"cv2_w0 must be 4D .*, got shape \(32,\)"),
        ({"cv2_w1": ones(7, 8, 3, 3)}, r"cv2_w1 input channels \(8\) must .* of cv2_w0 \(7\)"),
        ({"cv3_w2": ones(5, 2, 1, 1)}, r"cv3_w2 input channels \(2\) must .* of cv3_w1 \(3\)"),
        ({"cv3_w0": ones(3, 5, 3, 3)}, r"cv3_w0 input channels \(5\) must equal .*cv2_w0 \(6\)"),
        ({"cv2_b0": ones(7) * np.nan}, r"cv2_b0 must be finite"),
    ],
)
def test_rules_of_the_head(changes, message):
    with pytest.raises(ModelError, match=message):
        head(**changes)


def test_distances_are_expectations_of_softmaxes():
    node = ir.DFLDecode(reg_max=3)
    logits = np.log(np.array([[8, 1, 1], [1, 8, 1], [1, 1, 8], [2, 2, 2]], np.float32))
    decoded = node.decode(logits.reshape(12, 1))
    np.testing.assert_allclose(decoded[:, 0], [0.3, 1.0, 1.7, 1.0], rtol=1e-6)
    assert decoded.dtype == np.float32
    weights = np.array([1, 10, 100], np.float32)
    decoded = ir.DFLDecode(3, weights).decode(logits.reshape(12, 1))
    np.testing.assert_allclose(decoded[0], [11.8], rtol=1e-6)


def test_logits_of_any_size_do_not_overflow():
    x = np.array([[1e4], [-1e4]] * 4 + [[-1e4], [1e4], [0.0]], np.float32)
    with np.errstate(over="raise", invalid="raise"):
        y = ir.DFLDecode(reg_max=2).decode(x)
    np.testing.assert_array_equal(y[:, 0], [0, 0, 0, 0, 0, 1, 0.5])


def test_rules_of_decoding():
    with pytest.raises(ModelError, match=r"dfl_weights must have shape \(4,\), got \(3,\)"):
        ir.DFLDecode(4, ones(3))
    with pytest.raises(TypeError, match=r"dfl_weights must be np\.ndarray, got list"):
        ir.DFLDecode(2, [0.0, 1.0])
    with pytest.raises(ModelError, match=r"takes \(64 \+ classes, cells\.\.\.\)"):
        ir.DFLDecode().decode(ones(63, 5))
    assert ir.DFLDecode().output_shape((64, 10)) == (4, 10)
    assert ir.DFLDecode().output_shape((67, 8, 9)) == (7, 8, 9)


def test_boxes_are_centers_and_sizes_in_pixels():
    node = ir.Dist2BBox(stride=8)
    distances = np.array([[1.0], [2.0], [3.0], [4.0], [0.7]], np.float32)
    boxes = node.decode(distances, [2.5], [0.5])
    # left 1.5, right 5.5, top -1.5, bottom 4.5, in cells
    np.testing.assert_allclose(boxes[:, 0], [3.5 * 8, 1.5 * 8, 4 * 8, 6 * 8, 0.7])
    assert node.output_shape((9, 4, 5)) == (9, 4, 5)
    points = node.anchor_points((4, 2, 3))
    assert points[:, 1, 2].tolist() == [2.5, 1.5]


def test_rules_of_boxes():
    with pytest.raises(ModelError, match="stride must be 4, 8, or 16, got 5"):
        ir.Dist2BBox(5)
    with pytest.raises(ModelError, match=r"takes \(4 \+ classes, H, W\); .* give anchors"):
        ir.Dist2BBox(8).output_shape((4, 20))
    with pytest.raises(ModelError, match=r"anchors must have shape \(2, anchors\), got \(3, 2\)"):
        ir.Dist2BBox(8, anchors=ones(3, 2))
    with pytest.raises(ModelError, match=r"takes \(4 \+ classes, 6\)"):
        ir.Dist2BBox(8, anchors=ones(2, 6)).output_shape((4, 7))
    assert ir.Dist2BBox(8, anchors=ones(2, 6)).output_shape((5, 6)) == (5, 6)


def test_extensions_are_stored_only_where_they_are_used():
    assert ir.NMS().to_dict() == {
        "type": "NMS",
        "score_threshold": 0.25,
        "iou_threshold": 0.45,
        "max_detections": 300,
    }
    node = ir.NMS.from_dict(ir.NMS(layout="channels", class_aware=True).to_dict())
    assert (node.layout, node.class_aware) == ("channels", True)
    assert ir.Dist2BBox(8).to_dict() == {"type": "Dist2BBox", "stride": 8}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score_threshold": 1.5}, r"score_threshold must be in \[0, 1\], got 1\.5"),
        ({"iou_threshold": 0}, r"iou_threshold must be in \(0, 1\], got 0"),
        ({"max_detections": -1}, r"max_detections must be >= 0 \(0=unlimited\), got -1"),
        ({"layout": "columns"}, r"NMS\.layout must be one of .*, got 'columns'"),
    ],
)
def test_rules_of_suppression(changes, message):
    with pytest.raises(ModelError, match=message):
        ir.NMS(**changes)


def test_suppression_names_what_it_takes():
    with pytest.raises(ValueError, match=r"detections must be \(N, >= 5\), got shape \(3, 4\)"):
        ir.NMS()(ones(3, 4))
    with pytest.raises(ModelError, match=r"takes rows \(N, 5 \+ classes\)"):
        ir.NMS().output_shape((10, 4))
    assert ir.NMS(max_detections=7).output_shape((10, 6)) == (7, 6)
    assert ir.NMS(max_detections=0).output_shape((10, 6)) == (10, 6)
    assert ir.NMS(max_detections=0).output_shape((6, 3, 4)) == (12, 7)
    assert ir.NMS(max_detections=0, layout="channels").output_shape((6, 12)) == (12, 7)


def test_nothing_left_is_an_empty_result():
    assert ir.NMS()(np.zeros((0, 6), np.float32)).shape == (0, 6)
    assert ir.NMS()(np.zeros((9, 6), np.float32)).shape == (0, 6)


def plain_suppress(rows, score_threshold, iou_threshold, max_detections, class_aware):
    """Suppress by the definition, pair by pair."""
    scored = []
    for k, row in enumerate(rows.tolist()):
        if not all(np.isfinite(row)):
            continue
        # the product is rounded as the array's type rounds it
        score = rows[k, 4] * rows[k, 5:].max() if len(row) > 5 else rows[k, 4]
        if score >= score_threshold:
            scored.append((-score, k))
    kept = []
    for _, k in sorted(scored):
        for other in kept:
            if class_aware and rows[k, 5:].argmax() != rows[other, 5:].argmax():
                continue
            if iou(rows[k].tolist(), rows[other].tolist()) > iou_threshold:
                break
        else:
            kept.append(k)
    return kept[:max_detections] if max_detections else kept


def iou(a, b):
    common = 1.0
    for axis in (0, 1):
        ends = [
            (r[axis] - max(r[2 + axis], 0) / 2, r[axis] + max(r[2 + axis], 0) / 2) for r in (a, b)
        ]
        common *= max(0.0, min(e[1] for e in ends) - max(e[0] for e in ends))
    union = sum(max(r[2], 0) * max(r[3], 0) for r in (a, b)) - common
    return common / union if union > 0 else 0.0


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n=st.integers(0, 60),
    classes=st.integers(0, 4),
    span=st.sampled_from([0.0, 10.0, 60.0, 1000.0]),
    iou_threshold=st.sampled_from([1e-3, 0.1, 0.45, 0.6, 0.95, 1.0]),
    score_threshold=st.sampled_from([0.0, 0.25, 0.6]),
    max_detections=st.sampled_from([0, 1, 7]),
    class_aware=st.booleans(),
    ties=st.booleans(),
)
def test_suppression_equals_the_definition(
    seed, n, classes, span, iou_threshold, score_threshold, max_detections, class_aware, ties
):
    rng = np.random.default_rng(seed)
    sizes = rng.lognormal(2, 1.2, (n, 2)) * rng.choice([1, 1, 1, 1, 0, -1], (n, 2))
    rows = np.hstack([rng.uniform(-span, span, (n, 2)), sizes, rng.uniform(0, 1, (n, 1 + classes))])
    rows = rows.astype(np.float32)
    if ties:
        rows[:, 4:] = rows[:, 4:].round(1)
        rows[:, :4] = rows[:, :4].round(0)
    if n > 4:
        rows[rng.integers(n), rng.integers(5)] = np.nan
        rows[rng.integers(n), rng.integers(5)] = np.inf
    arguments = (score_threshold, iou_threshold, max_detections)
    kept = ir.NMS(*arguments, class_aware=class_aware)(rows)
    aware = class_aware and classes > 1
    np.testing.assert_array_equal(kept, rows[plain_suppress(rows, *arguments, aware)])


def test_equal_scores_keep_their_order_and_the_threshold_itself_passes():
    rows = np.array([[0, 0, 2, 2, 0.5], [9, 9, 2, 2, 0.5], [0, 1, 2, 2, 0.5]], np.float32)
    assert ir.NMS(score_threshold=0.5)(rows)[:, 0].tolist() == [0, 9, 0]
    # The first and the last have an intersection over union of 1/3.
    assert ir.NMS(iou_threshold=1 / 3 - 1e-9)(rows)[:, 0].tolist() == [0, 9]
    assert ir.NMS(iou_threshold=1 / 3 + 1e-9)(rows)[:, 0].tolist() == [0, 9, 0]


def test_classes_may_leave_each_other_alone():
    rows = np.array([[0, 0, 2, 2, 1, 0.9, 0.1], [0, 0, 2, 2, 1, 0.1, 0.8]], np.float32)
    assert len(ir.NMS()(rows)) == 1
    assert len(ir.NMS(class_aware=True)(rows)) == 2


def test_maps_are_taken_as_rows_with_a_certain_object():
    rng = np.random.default_rng(5)
    maps = np.concatenate([rng.uniform(0, 90, (4, 3, 4)), rng.uniform(0, 1, (2, 3, 4))])
    node = ir.NMS()
    rows = node.rows_of(maps)
    assert rows.shape == (12, 7)
    assert rows[5].tolist() == [*maps[:4, 1, 1], 1, *maps[4:, 1, 1]]
    flat = ir.NMS(layout="channels").rows_of(maps.reshape(6, 12))
    np.testing.assert_array_equal(flat, rows)


@pytest.mark.slow
@pytest.mark.parametrize("span", [40, 640, 5000])
@pytest.mark.parametrize("largest", [60, 1e6])
def test_many_boxes_take_no_time(span, largest):
    rng = np.random.default_rng(0)
    n = 20_000
    rows = np.hstack(
        [rng.uniform(0, span, (n, 2)), rng.uniform(5, 60, (n, 2)), rng.uniform(0, 1, (n, 1))]
    )
    rows[:3, 2:4] = largest
    start = time.process_time()
    ir.NMS(score_threshold=0, max_detections=0)(rows)
    assert time.process_time() - start < 1.0
