"""Non-maximum suppression of boxes."""

import numpy as np
from numpy.typing import NDArray

from talon.ir.types import FloatArray

_BLOCK = 256


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
    kept: list[int] = []
    alive = np.ones(len(order), bool)
    for start in range(0, len(order), _BLOCK):
        if max_detections and len(kept) >= max_detections:
            break
        chosen: list[int] = []
        stop = min(start + _BLOCK, len(order))
        overlaps = _overlap(boxes[start:stop], boxes[start:stop], iou_threshold)
        for k in range(stop - start):
            if alive[start + k]:
                chosen.append(start + k)
                alive[start:stop] &= ~overlaps[k]
        kept += chosen
        rest = stop + np.flatnonzero(alive[stop:])
        if rest.size and chosen:
            hit = _overlap(boxes[chosen], boxes[rest], iou_threshold).any(axis=0)
            alive[rest[hit]] = False
    if max_detections:
        kept = kept[:max_detections]
    return order[np.array(kept, np.intp)]


def _corners(rows: FloatArray) -> FloatArray:
    center, half = rows[:, :2].astype(np.float64), rows[:, 2:4].astype(np.float64) / 2
    return np.hstack([center - half, center + half])


def _overlap(a: FloatArray, b: FloatArray, threshold: float) -> NDArray[np.bool_]:
    """Return whether each pair of boxes has an intersection over union above ``threshold``."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=2)
    area_a, area_b = (np.prod(x[:, 2:] - x[:, :2], axis=1) for x in (a, b))
    union = area_a[:, None] + area_b[None, :] - common
    return common > threshold * union
