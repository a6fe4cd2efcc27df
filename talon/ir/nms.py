"""Non-maximum suppression of boxes."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from talon.ir.types import BoolArray, FloatArray


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

    A row goes if it has a value that is not finite, if its score is below the threshold, or if its
    box has an intersection over union above the threshold with a better row that is kept (of its
    class, if ``class_aware``). Rows of equal scores keep their order. A size below zero counts as
    zero, and a box without area overlaps none.

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
    finite = np.flatnonzero(np.isfinite(rows).all(axis=1))
    scores = scores_of(rows[finite])
    passing = np.flatnonzero(scores >= score_threshold)
    order = finite[passing[np.argsort(-scores[passing], kind="stable")]]
    boxes = rows[order, :4].astype(np.float64)
    n_most = max_detections or len(order)
    groups = [np.arange(len(order))]
    if class_aware and len(order) and rows.shape[1] > 6:
        classes = rows[order, 5:].argmax(axis=1)
        groups = [np.flatnonzero(classes == c) for c in np.unique(classes)]
    kept = [group[_greedy(boxes[group], iou_threshold, n_most)] for group in groups]
    return order[np.sort(np.concatenate(kept))[:n_most]]


def _greedy(boxes: FloatArray, threshold: float, n_most: int) -> NDArray[np.intp]:
    """Return which boxes ``(N, 4)``, best first, no better one that is kept suppresses."""
    field = _Field(boxes, threshold)
    kept: list[int] = []
    for rank, place in enumerate(field.places):
        if len(kept) == n_most:
            break
        if field.alive[place]:
            kept.append(rank)
            field.suppress_around(place)
    return np.array(kept, np.intp)


class _Field:
    """Boxes ordered by their centers along an axis, so that few must be compared with one.

    An intersection over union above ``t`` needs a common width above ``t`` times either width. So
    widths differ by a factor of at most ``1/t``, and centers by at most ``reach``.
    ``places`` has the place of each box along the axis, by rank.
    """

    def __init__(self, boxes: FloatArray, threshold: float) -> None:
        sizes = boxes[:, 2:].clip(0)
        factor = max(1 - threshold, (1 / max(threshold, 1e-9) - 1) / 2)
        reach = sizes * factor + np.abs(boxes[:, :2]) * 1e-12 + 1e-300
        axis = min(
            (0, 1), key=lambda k: int(np.subtract(*_windows(boxes[:, k], reach[:, k])).sum())
        )
        sort = np.argsort(boxes[:, axis], kind="stable")
        ends, starts = _windows(boxes[:, axis], reach[:, axis])
        self._windows = list(zip(starts[sort].tolist(), ends[sort].tolist(), strict=True))
        low, high = boxes[sort, :2] - sizes[sort] / 2, boxes[sort, :2] + sizes[sort] / 2
        self._low = [np.ascontiguousarray(low[:, k]) for k in (0, 1)]
        self._high = [np.ascontiguousarray(high[:, k]) for k in (0, 1)]
        self._area = sizes[sort].prod(axis=1)
        self._threshold = threshold
        self.alive: BoolArray = np.ones(len(boxes), bool)
        self.places: list[int] = np.argsort(sort).tolist()

    def suppress_around(self, place: int) -> None:
        """Take away what overlaps the box at ``place`` too much, itself as well."""
        start, end = self._windows[place]
        near = slice(start, end)
        width, height = self._common(near, place)
        common = np.multiply(width, height, out=width)
        union = self._area[near] + self._area[place]
        union -= common
        union *= self._threshold
        self.alive[near] &= common <= union

    def _common(self, near: slice, place: int) -> Iterator[FloatArray]:
        """Yield the common extents along both axes, at least 0."""
        for low, high in zip(self._low, self._high, strict=True):
            extent = np.minimum(high[near], high[place])
            extent -= np.maximum(low[near], low[place])
            yield np.maximum(extent, 0, out=extent)


def _windows(centers: FloatArray, reach: FloatArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return end and start of each box's neighbours in the order of centers."""
    along = np.sort(centers)
    ends = np.searchsorted(along, centers + reach, side="right")
    return ends, np.searchsorted(along, centers - reach, side="left")
