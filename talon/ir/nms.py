"""Non-maximum suppression of boxes."""

import numpy as np
from numpy.typing import NDArray

from talon.ir.types import FloatArray


def scores_of(rows: FloatArray) -> FloatArray:
    """Return the score of each row ``[cx, cy, w, h, objectness, classes...]``.

    It is the objectness, times that of the best class if there are classes.
    """
    if rows.shape[1] == 5:
        return rows[:, 4]
    return rows[:, 4] * rows[:, 5:].max(axis=1)


def suppress(
    rows: FloatArray,
    *,
    score_threshold: float,
    iou_threshold: float,
    max_detections: int,
    class_aware: bool = False,
) -> NDArray[np.intp]:
    """Return the indices of the rows that are kept, best score first.

    A row goes if its score is below the threshold or NaN, or if its box has an intersection over
    union above the threshold with a better row that is kept (of its class, if ``class_aware``).
    Rows of equal scores keep their order.

    Parameters
    ----------
    rows
        Array ``(N, 5 + n_classes)`` of ``[cx, cy, w, h, objectness, classes...]``.
    score_threshold, iou_threshold
        Thresholds.
    max_detections
        Largest number of rows kept; 0 for any.
    class_aware
        Whether boxes of different classes leave each other alone.
    """
    finite = np.flatnonzero(~np.isnan(rows).any(axis=1))
    scores = scores_of(rows[finite])
    passing = np.flatnonzero(scores >= score_threshold)
    order = finite[passing[np.argsort(-scores[passing], kind="stable")]]
    boxes = _corners(rows[order])
    if class_aware and rows.shape[1] > 6:
        # Boxes of different classes are moved far apart, so that they never meet.
        classes = rows[order, 5:].argmax(axis=1)
        span = np.abs(boxes).max(initial=0) * 2 + 1
        boxes += (classes * span)[:, None]
    kept = _sweep(boxes, iou_threshold, max_detections or len(order))
    return order[kept]


def _sweep(boxes: FloatArray, iou_threshold: float, most: int) -> NDArray[np.intp]:
    """Return which boxes ``(N, 4)``, best first, are kept, up to ``most`` of them.

    In the order of their left edges those that can meet a box are neighbours.
    """
    by_left = np.argsort(boxes[:, 0], kind="stable")
    place = np.empty(len(boxes), np.intp)
    place[by_left] = np.arange(len(boxes))
    left, top, right, bottom = np.ascontiguousarray(boxes[by_left].T)
    area = (right - left) * (bottom - top)
    widest = float((right - left).max(initial=0))
    first = np.searchsorted(left, boxes[:, 0] - widest, "left").tolist()
    last = np.searchsorted(left, boxes[:, 2], "right").tolist()
    alive = np.ones(len(boxes), bool)
    kept: list[int] = []
    for k, at in enumerate(place.tolist()):
        if not alive[at]:
            continue
        kept.append(k)
        if len(kept) == most:
            break
        near = slice(first[k], last[k])
        common = np.minimum(right[near], right[at])
        common -= np.maximum(left[near], left[at])
        height = np.minimum(bottom[near], bottom[at])
        height -= np.maximum(top[near], top[at])
        np.maximum(common, 0, out=common)
        common *= np.maximum(height, 0, out=height)
        alive[near] &= common <= iou_threshold * (area[near] + area[at] - common)
    return np.array(kept, np.intp)


def _corners(rows: FloatArray) -> FloatArray:
    center, half = rows[:, :2].astype(np.float64), rows[:, 2:4].astype(np.float64) / 2
    return np.hstack([center - half, center + half])
