"""Output sizes of convolutions, pools and Flatten, after PyTorch's rules."""

import math
from collections.abc import Sequence

from talon.ir.types import Dims


def conv_output_size(
    in_size: int,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
) -> int:
    """Return the number of windows along one dimension.

    With ``ceil_mode`` a last window may reach beyond the padding, but must start inside the input
    or the padding before it (PyTorch, ``pooling_output_shape``).

    Raises
    ------
    ValueError
        A size is not positive, the padding is negative, or no window fits.
    """
    if in_size < 1 or kernel < 1 or stride < 1 or padding < 0 or dilation < 1:
        for name, value, low in (
            ("in_size", in_size, 1),
            ("kernel", kernel, 1),
            ("stride", stride, 1),
            ("padding", padding, 0),
            ("dilation", dilation, 1),
        ):
            if value < low:
                raise ValueError(f"{name} must be at least {low}, got {value}")
    room = in_size + 2 * padding - dilation * (kernel - 1) - 1
    size = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (size - 1) * stride >= in_size + padding:
        size -= 1
    if size < 1:
        raise ValueError(
            f"Invalid output size {size} for in_size={in_size}, kernel={kernel}, stride={stride}, "
            f"padding={padding}, dilation={dilation}"
        )
    return size


def _sizes(shape: Sequence[int], n: int) -> Sequence[int]:
    if len(shape) != n + 1:
        axes = "(C, L)" if n == 1 else "(C, H, W)"
        raise ValueError(f"shape must be {axes} without batch, got {tuple(shape)}")
    return shape[1:]


def conv1d_output_shape(
    shape: Sequence[int],
    out_channels: int,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> Dims:
    """Return ``(out_channels, L')`` for an input ``(C, L)``."""
    (length,) = _sizes(shape, 1)
    return (out_channels, conv_output_size(length, kernel, stride, padding, dilation))


def conv2d_output_shape(
    shape: Sequence[int],
    out_channels: int,
    kernel: Sequence[int],
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
) -> Dims:
    """Return ``(out_channels, H', W')`` for an input ``(C, H, W)``."""
    sizes = _sizes(shape, 2)
    return (
        out_channels,
        *(
            conv_output_size(*args)
            for args in zip(sizes, kernel, stride, padding, dilation, strict=True)
        ),
    )


def pool2d_output_shape(
    shape: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int] | None = None,
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    ceil_mode: bool = False,
) -> Dims:
    """Return ``(C, H', W')`` for an input ``(C, H, W)``; the stride is the kernel if not given."""
    channels, sizes = shape[0], _sizes(shape, 2)
    steps = kernel if stride is None else stride
    return (
        channels,
        *(
            conv_output_size(*args, ceil_mode)
            for args in zip(sizes, kernel, steps, padding, dilation, strict=True)
        ),
    )


def flatten_output_size(shape: Sequence[int], start_dim: int = 0, end_dim: int = -1) -> Dims:
    """Return ``shape`` with the dimensions from ``start_dim`` to ``end_dim`` joined into one."""
    rank = len(shape)
    start, end = (dim + rank if dim < 0 else dim for dim in (start_dim, end_dim))
    if not 0 <= start <= end < rank:
        raise ValueError(
            f"start_dim={start_dim} and end_dim={end_dim} must name dimensions of {tuple(shape)}, "
            "the first not behind the last"
        )
    return (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])
