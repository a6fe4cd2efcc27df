"""Images of digits, changed a little at random, so that a network sees each of them only once."""

import math

import mnist_data
import torch
from torch.nn import functional


def augment(
    images: torch.Tensor, generator: torch.Generator, *, strength: float = 1.0
) -> torch.Tensor:
    """Return the images ``(batch, 784)`` turned, scaled, sheared, shifted and bent a little."""
    n = len(images)

    def uniform(limit: float) -> torch.Tensor:
        return (torch.rand(n, generator=generator) * 2 - 1) * (limit * strength)

    angle, shear = uniform(math.radians(12)), uniform(0.15)
    scale_x, scale_y = 1 + uniform(0.12), 1 + uniform(0.12)
    cos, sin = torch.cos(angle), torch.sin(angle)
    row_x = torch.stack([cos * scale_x, (-sin + shear) * scale_x, uniform(2 / 14)], dim=1)
    row_y = torch.stack([sin * scale_y, cos * scale_y, uniform(2 / 14)], dim=1)
    shape = [n, 1, mnist_data.SIDE, mnist_data.SIDE]
    grid = functional.affine_grid(torch.stack([row_x, row_y], dim=1), shape, align_corners=False)
    # Elastic: a coarse random field, interpolated smoothly, moves each pixel by about one.
    field = torch.randn(n, 2, 6, 6, generator=generator) * (0.9 / 14 * strength)
    bend = functional.interpolate(field, mnist_data.SIDE, mode="bicubic", align_corners=False)
    grid = grid + bend.permute(0, 2, 3, 1)
    return functional.grid_sample(images.reshape(shape), grid, align_corners=False).reshape(n, -1)
