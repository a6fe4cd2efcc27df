# pyright: reportMissingImports=false
"""Modules of the primitives with several convolutions; what they compute is in the IR."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch.nn import functional

from talon import ir
from talon.bridge.node_module import NodeModule
from talon.ir.ghost import half_of


class SepConv2dModule(NodeModule):
    """A depthwise convolution, then one of 1x1, :class:`talon.ir.SepConv2d`."""

    kind: ClassVar[type[ir.Node]] = ir.SepConv2d

    def forward(self, x: Any) -> Any:
        """Return the maps."""
        node = self.node
        deep = functional.conv2d(
            x,
            self.depthwise_weight,
            self.depthwise_bias,
            node.stride,
            node.padding,
            node.dilation,
            node.in_channels,
        )
        return functional.conv2d(deep, self.pointwise_weight, self.pointwise_bias)


class GhostModule(NodeModule):
    """What modules with Ghost convolutions share."""

    def _ghost(
        self,
        x: Any,
        prefix: str,
        *,
        stride: Any = 1,
        padding: Any = None,
        cheap_stride: Any = 1,
        cheap_padding: Any = None,
    ) -> Any:
        """Return ``concat(p, cheap(p))`` with ``p = primary(x)``."""
        names = ("primary_weight", "primary_bias", "cheap_weight", "cheap_bias")
        weight, bias, cheap, cheap_bias = (getattr(self, f"{prefix}{name}") for name in names)
        pad = half_of(weight) if padding is None else padding
        p = functional.conv2d(x, weight, bias, stride, pad)
        pad = half_of(cheap) if cheap_padding is None else cheap_padding
        more = functional.conv2d(p, cheap, cheap_bias, cheap_stride, pad, groups=cheap.shape[0])
        return torch.cat([p, more], 1)


class SGhostConvModule(GhostModule):
    """A Ghost convolution, :class:`talon.ir.SGhostConv`."""

    kind: ClassVar[type[ir.Node]] = ir.SGhostConv

    def forward(self, x: Any) -> Any:
        """Return the maps."""
        node = self.node
        return self._ghost(
            x,
            "",
            stride=node.primary_stride,
            padding=node.primary_padding,
            cheap_stride=node.cheap_stride,
            cheap_padding=node.effective_cheap_padding,
        )


class SGhostEncoderLiteModule(GhostModule):
    """The first layer of the backbone, :class:`talon.ir.SGhostEncoderLite`."""

    kind: ClassVar[type[ir.Node]] = ir.SGhostEncoderLite

    def forward(self, x: Any) -> Any:
        """Return the maps."""
        pad = half_of(self.conv1_weight)
        first = functional.conv2d(x, self.conv1_weight, self.conv1_bias, self.node.stride, pad)
        return self._ghost(first, "ghost_")


class GhostBasicBlock1Module(GhostModule):
    """The block that halves the size, :class:`talon.ir.GhostBasicBlock1`."""

    kind: ClassVar[type[ir.Node]] = ir.GhostBasicBlock1

    def forward(self, x: Any) -> Any:
        """Return the maps."""
        first, second = self._ghost(x, "cv0_", stride=self.node.stride).chunk(2, 1)
        residual = self._ghost(x, "cvres_", stride=self.node.stride)
        return torch.cat([first, self._ghost(second, "cv2_") + residual], 1)


class GhostBasicBlock2Module(GhostModule):
    """The block that keeps the size, :class:`talon.ir.GhostBasicBlock2`."""

    kind: ClassVar[type[ir.Node]] = ir.GhostBasicBlock2

    def forward(self, x: Any) -> Any:
        """Return the maps."""
        first, second = self._ghost(x, "cv0_").chunk(2, 1)
        return torch.cat([first, self._ghost(second, "cv2_")], 1)
