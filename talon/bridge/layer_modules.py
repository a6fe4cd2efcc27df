# pyright: reportMissingImports=false
"""Modules of primitives that PyTorch has no module for, but neurons."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch.nn import functional

from talon import ir
from talon.bridge.node_module import NodeModule, spread
from talon.bridge.surrogate import SpikeFunction, check_surrogate


class SkipModule(NodeModule):
    """Joins its inputs as :class:`talon.ir.Skip` does: ``forward(x, ...)``."""

    kind: ClassVar[type[ir.Node]] = ir.Skip
    takes_all: ClassVar[bool] = True

    def forward(self, *inputs: Any) -> Any:
        """Return the sum, the concatenation along the channels, or the one input."""
        if self.node.mode == "concatenate":
            return torch.cat(inputs, 1)
        if self.node.mode == "passthrough" and len(inputs) != 1:
            raise ValueError(f"Skip('passthrough') takes exactly one input, got {len(inputs)}")
        total = inputs[0]
        for x in inputs[1:]:
            total = total + x
        return total


class ConcatModule(NodeModule):
    """Concatenates its inputs, :class:`talon.ir.Concat`; ``dim`` counts without batch."""

    kind: ClassVar[type[ir.Node]] = ir.Concat
    takes_all: ClassVar[bool] = True

    def forward(self, *inputs: Any) -> Any:
        """Return the inputs, one after the other."""
        if len(inputs) != self.node.num_inputs:
            raise ValueError(f"Concat takes {self.node.num_inputs} inputs, got {len(inputs)}")
        return torch.cat(inputs, behind_batch(self.node.dim))


class ChannelSplitModule(NodeModule):
    """Takes its input apart, :class:`talon.ir.ChannelSplit`; ``dim`` counts without batch."""

    kind: ClassVar[type[ir.Node]] = ir.ChannelSplit
    _is_multi_output: ClassVar[bool] = True

    def forward(self, x: Any) -> tuple[Any, ...]:
        """Return the sections."""
        return torch.split(x, list(self.node.split_sections), behind_batch(self.node.dim))


def behind_batch(dim: int) -> int:
    """Return a dimension that counts without batch as one that counts with it."""
    return dim + 1 if dim >= 0 else dim


class ScaleModule(NodeModule):
    """A factor for each feature or channel, :class:`talon.ir.Scale`."""

    kind: ClassVar[type[ir.Node]] = ir.Scale

    def forward(self, x: Any) -> Any:
        """Return ``scale * x``."""
        return x * spread(self.scale.to(x.dtype), x.shape[1:])


class ThresholdModule(NodeModule):
    """Spikes without a potential, :class:`talon.ir.Threshold`, with a surrogate gradient."""

    kind: ClassVar[type[ir.Node]] = ir.Threshold
    trained: ClassVar[bool] = False

    def _take(self, node: Any) -> None:
        super()._take(node)
        self.set_surrogate("fast_sigmoid")

    def set_surrogate(self, name: str, slope: float | None = None) -> None:
        """Choose the gradient of a spike."""
        self.surrogate, self.surrogate_slope = check_surrogate(name, slope)

    def forward(self, x: Any) -> Any:
        """Return 1 where ``x > threshold``, else 0."""
        threshold = spread(self.threshold.to(x.dtype), x.shape[1:])
        fired = x > threshold
        return SpikeFunction.apply(x - threshold, fired, self.surrogate, self.surrogate_slope)


class DelayModule(NodeModule):
    """Features that are late, each by its own time, :class:`talon.ir.Delay`.

    ``forward(x, past=None)`` returns ``(y, past)``; ``past[:, k]`` is the input of ``k + 1``
    timesteps ago.
    """

    kind: ClassVar[type[ir.Node]] = ir.Delay

    def _take(self, node: Any) -> None:
        super()._take(node)
        self.longest = int(node.delay.max())

    def initial_state(self, x: Any) -> tuple[Any, ...]:
        """Return a past of zeros for an input of the shape of ``x``."""
        return (x.new_zeros((x.shape[0], self.longest, *x.shape[1:])),)

    def forward(self, x: Any, past: Any = None) -> tuple[Any, Any]:
        """Advance by one timestep."""
        past = self.initial_state(x)[0] if past is None else past
        known = torch.cat([x.unsqueeze(1), past], 1)
        late = spread(self.delay, x.shape[1:]).expand(x.shape).unsqueeze(1)
        return known.gather(1, late.long()).squeeze(1), known[:, : self.longest]


class SumPool2dModule(NodeModule):
    """The sum of each window, :class:`talon.ir.SumPool2d`."""

    kind: ClassVar[type[ir.Node]] = ir.SumPool2d

    def forward(self, x: Any) -> Any:
        """Return the sums."""
        node = self.node
        return functional.avg_pool2d(
            x, node.kernel_size, node.stride, node.padding, node.ceil_mode, divisor_override=1
        )
