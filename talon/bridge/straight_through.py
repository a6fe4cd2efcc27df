# pyright: reportMissingImports=false
"""Exact values forward, the gradient of a smooth stand-in backward (straight-through)."""

from __future__ import annotations

from typing import Any

import torch


class StraightThrough(torch.autograd.Function):
    """``apply(exact, smooth)`` is ``exact``; its gradient goes to ``smooth``, unchanged.

    So what is rounded, truncated or clamped is trained as if it were not (Bengio et al., 2013,
    arXiv:1308.3432).
    """

    @staticmethod
    def forward(exact: Any, smooth: Any) -> Any:
        """Return the exact values."""
        del smooth
        return exact.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep the type of the stand-in."""
        del output
        ctx.dtype = inputs[1].dtype

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Hand the gradient on."""
        return None, grads[0].to(ctx.dtype)
