"""Primitives of several convolutions, written as graphs of single ones.

A convolution inside a block has inputs of its own, and what it does in a run depends on them. So
operations are counted in the graph that :func:`expand` returns, which computes the same.
"""

from collections.abc import Sequence
from functools import singledispatch

import numpy as np

from talon.ir import (
    ChannelSplit,
    Conv2d,
    GhostBasicBlock1,
    GhostBasicBlock2,
    Graph,
    Input,
    Node,
    Output,
    SDDetect,
    SepConv2d,
    SGhostConv,
    SGhostEncoderLite,
    Skip,
)
from talon.ir.ghost import GhostParts, half_of
from talon.ir.types import Array, Dims

INPUT, OUTPUT = "input", "output"
"""Names of the ends of an expanded graph."""


class _Builder:
    """A graph that grows behind an input; every method returns the name of what it added."""

    def __init__(self, shape: Dims) -> None:
        self._nodes: dict[str, Node] = {INPUT: Input(np.array(shape))}
        self._edges: list[tuple[str, str]] = []

    def add(self, name: str, node: Node, *sources: str) -> str:
        self._nodes[name] = node
        self._edges += [(source, name) for source in sources]
        return name

    def connect(self, source: str, target: str) -> None:
        self._edges.append((source, target))

    def conv(
        self,
        source: str,
        name: str,
        weight: Array,
        bias: Array,
        *,
        stride: Sequence[int] = (1, 1),
        padding: Dims | None = None,
        dilation: Sequence[int] = (1, 1),
        groups: int = 1,
    ) -> str:
        node = Conv2d(
            weight=weight,
            bias=bias,
            stride=tuple(stride),
            padding=half_of(weight) if padding is None else padding,
            dilation=tuple(dilation),
            groups=groups,
        )
        return self.add(name, node, source)

    def ghost(
        self,
        source: str,
        node: GhostParts,
        prefix: str,
        *,
        stride: Sequence[int] = (1, 1),
        padding: Dims | None = None,
        cheap_padding: Dims | None = None,
    ) -> str:
        weight, bias, cheap, cheap_bias = node.arrays(prefix)
        primary = self.conv(
            source, f"{prefix}primary", weight, bias, stride=stride, padding=padding
        )
        second = self.conv(
            primary,
            f"{prefix}cheap",
            cheap,
            cheap_bias,
            padding=cheap_padding,
            groups=cheap.shape[0],
        )
        return self.add(f"{prefix}join", Skip("concatenate"), primary, second)

    def finish(self, last: str, shape: Dims) -> Graph:
        self.add(OUTPUT, Output(np.array(shape)), last)
        return Graph(self._nodes, self._edges)


@singledispatch
def expand(node: Node, shape: Dims) -> Graph | None:
    """Return a graph of single convolutions that computes what a node does.

    Parameters
    ----------
    node
        Any node.
    shape
        Its input, without batch.

    Returns
    -------
    Graph or None
        With one :data:`INPUT` and one :data:`OUTPUT`; nothing for a node of a single operation.
    """
    del node, shape
    return None


@expand.register
def _expand_separable(node: SepConv2d, shape: Dims) -> Graph:
    build = _Builder(shape)
    depthwise = build.conv(
        INPUT,
        "depthwise",
        node.depthwise_weight,
        node.depthwise_bias,
        stride=node.stride,
        padding=node.padding,
        dilation=node.dilation,
        groups=node.in_channels,
    )
    last = build.conv(depthwise, "pointwise", node.pointwise_weight, node.pointwise_bias)
    return build.finish(last, node.output_shape(shape))


@expand.register
def _expand_ghost(node: SGhostConv, shape: Dims) -> Graph:
    build = _Builder(shape)
    last = build.ghost(
        INPUT,
        node,
        "",
        stride=node.primary_stride,
        padding=node.primary_padding,
        cheap_padding=node.effective_cheap_padding,
    )
    return build.finish(last, node.output_shape(shape))


@expand.register
def _expand_encoder(node: SGhostEncoderLite, shape: Dims) -> Graph:
    build = _Builder(shape)
    first = build.conv(
        INPUT, "conv1", node.conv1_weight, node.conv1_bias, stride=(node.stride, node.stride)
    )
    last = build.ghost(first, node, "ghost_")
    return build.finish(last, node.output_shape(shape))


@expand.register(GhostBasicBlock1)
@expand.register(GhostBasicBlock2)
def _expand_block(node: GhostBasicBlock1 | GhostBasicBlock2, shape: Dims) -> Graph:
    build = _Builder(shape)
    stride = node.stride if isinstance(node, GhostBasicBlock1) else 1
    whole = build.ghost(INPUT, node, "cv0_", stride=(stride, stride))
    half = node.cv0_primary_weight.shape[0]
    split = build.add("split", ChannelSplit([half, half], dim=0), whole)
    # The first edge of the split is its first half, and the first input of the join.
    join = build.add("join", Skip("concatenate"), split)
    second = build.ghost(split, node, "cv2_")
    if isinstance(node, GhostBasicBlock1):
        residual = build.ghost(INPUT, node, "cvres_", stride=(stride, stride))
        second = build.add("sum", Skip("residual"), second, residual)
    build.connect(second, join)
    return build.finish(join, node.output_shape(shape))


@expand.register
def _expand_head(node: SDDetect, shape: Dims) -> Graph:
    build = _Builder(shape)
    ends: list[str] = []
    for branch in ("cv2", "cv3"):
        last = INPUT
        for k, (weight, bias) in enumerate(node.branch(branch)):
            last = build.conv(last, f"{branch}_{k}", weight, bias)
        ends.append(last)
    return build.finish(build.add("join", Skip("concatenate"), *ends), node.output_shape(shape))
