# pyright: reportMissingImports=false
"""From a tensor to an array."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray


def array_of(tensor: Any) -> NDArray[Any]:
    """Return a copy of a tensor; half precision becomes float32, which holds it exactly."""
    import torch

    value = tensor.detach().cpu()
    if value.dtype in (torch.float16, torch.bfloat16):
        value = value.float()
    return value.numpy().copy()
