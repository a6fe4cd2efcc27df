# pyright: reportMissingImports=false
"""Modules of the head of a detector; what they compute is in the IR."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch.nn import functional

from talon import ir
from talon.bridge.node_module import NodeModule
from talon.ir.ghost import half_of
from talon.ir.nms import suppress


class SDDetectModule(NodeModule):
    """The head of one scale, :class:`talon.ir.SDDetect`."""

    kind: ClassVar[type[ir.Node]] = ir.SDDetect

    def forward(self, x: Any) -> Any:
        """Return distributions and class logits of each cell."""
        return torch.cat([self._branch(x, "cv2"), self._branch(x, "cv3")], 1)

    def _branch(self, x: Any, name: str) -> Any:
        for k in range(3):
            weight = getattr(self, f"{name}_w{k}")
            x = functional.conv2d(x, weight, getattr(self, f"{name}_b{k}"), padding=half_of(weight))
        return x


class DFLDecodeModule(NodeModule):
    """Distances from their distributions, :class:`talon.ir.DFLDecode`."""

    kind: ClassVar[type[ir.Node]] = ir.DFLDecode
    trained: ClassVar[bool] = False

    def forward(self, x: Any) -> Any:
        """Return distances, and probabilities of classes."""
        n = self.node.reg_max
        sides = x[:, : 4 * n].unflatten(1, (4, n))
        distances = torch.einsum("bsr...,r->bs...", sides.softmax(2), self.dfl_weights.to(x.dtype))
        return torch.cat([distances, x[:, 4 * n :].sigmoid()], 1)


class Dist2BBoxModule(NodeModule):
    """Boxes in pixels from distances in cells, :class:`talon.ir.Dist2BBox`."""

    kind: ClassVar[type[ir.Node]] = ir.Dist2BBox
    trained: ClassVar[bool] = False

    def forward(self, x: Any) -> Any:
        """Return boxes, and what else there is."""
        across, down = self._anchors(x)
        left, top, right, bottom = x[:, :4].unbind(1)
        stride = self.node.stride
        center_x = (across - left + across + right) / 2 * stride
        center_y = (down - top + down + bottom) / 2 * stride
        box = [center_x, center_y, (left + right) * stride, (top + bottom) * stride]
        return torch.cat([torch.stack(box, 1), x[:, 4:]], 1)

    def _anchors(self, x: Any) -> tuple[Any, Any]:
        if self.node.anchors is not None:
            return self.anchors[0].to(x.dtype), self.anchors[1].to(x.dtype)
        height, width = x.shape[2:]
        rows, columns = (
            torch.arange(n, dtype=x.dtype, device=x.device) + 0.5 for n in (height, width)
        )
        return columns.expand(height, width), rows[:, None].expand(height, width)


class NMSModule(NodeModule):
    """Non-maximum suppression, :class:`talon.ir.NMS`: rows that are kept, then zeros.

    What is kept is decided on the host; the rows themselves carry their gradients.
    """

    kind: ClassVar[type[ir.Node]] = ir.NMS

    def forward(self, x: Any) -> Any:
        """Return ``(batch, max_detections, 5 + classes)``."""
        n_rows, n_columns = self.node.output_shape(tuple(x.shape[1:]))
        found: list[Any] = []
        for sample in x:
            rows = self._rows(sample)
            kept = suppress(
                rows.detach().cpu().numpy(),
                score_threshold=self.node.score_threshold,
                iou_threshold=self.node.iou_threshold,
                max_detections=self.node.max_detections,
                class_aware=self.node.class_aware,
            )
            best = rows[torch.from_numpy(kept).to(rows.device)]
            found.append(torch.cat([best, x.new_zeros(n_rows - len(best), n_columns)]))
        return torch.stack(found)

    def _rows(self, sample: Any) -> Any:
        if sample.ndim == 2 and self.node.layout == "rows":
            return sample
        columns = sample.flatten(1)
        return torch.cat([columns[:4], torch.ones_like(columns[:1]), columns[4:]]).T
