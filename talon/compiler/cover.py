"""Product multicast: sets of cores as few products of columns and rows."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=1 << 16)
def cover(cores: int, columns: int) -> tuple[tuple[int, int], ...]:
    """Return products ``(xmask, ymask)`` that hit each core of a set exactly once.

    Parameters
    ----------
    cores
        The set: bit *i* is core *i*, counted row by row.
    columns
        Columns of the mesh.

    Returns
    -------
    tuple
        Products, largest first: greedy, so few, not always fewest.
    """
    full = (1 << columns) - 1
    lines: list[int] = []
    while cores:
        lines.append(cores & full)
        cores >>= columns
    products: list[tuple[int, int]] = []
    while any(lines):
        masks = {a & b for a in lines for b in lines} - {0}
        best = max(
            ((xmask, _rows_with(lines, xmask)) for xmask in masks),
            key=lambda p: (p[0].bit_count() * p[1].bit_count(), -p[0], -p[1]),
        )
        products.append(best)
        xmask, ymask = best
        lines = [line & ~xmask if ymask >> y & 1 else line for y, line in enumerate(lines)]
    return tuple(products)


def _rows_with(lines: list[int], xmask: int) -> int:
    return sum(1 << y for y, line in enumerate(lines) if line & xmask == xmask)


def members(xmask: int, ymask: int, columns: int) -> list[int]:
    """Return the numbers of the cores that a product hits, ascending."""
    return [
        y * columns + x
        for y in range(ymask.bit_length())
        if ymask >> y & 1
        for x in range(columns)
        if xmask >> x & 1
    ]


def hops(core: int, xmask: int, ymask: int, columns: int) -> int:
    """Return the links that a multicast from ``core`` takes: along its row, then the columns."""
    x, y = core % columns, core // columns
    return _reach(x, xmask) + xmask.bit_count() * _reach(y, ymask)


def _reach(here: int, mask: int) -> int:
    lowest = (mask & -mask).bit_length() - 1
    return max(0, mask.bit_length() - 1 - here) + max(0, here - lowest)
