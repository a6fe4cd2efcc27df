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
        distinct = set(lines)
        masks = {a & b for a in distinct for b in distinct} - {0}
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
    low, high = _ends(here, mask)
    return high - low


_EAST, _WEST, _NORTH, _SOUTH, _CORE, _SENDER, _PORTS = range(7)


def tree(origin: int, xmask: int, ymask: int, columns: int, n_cores: int) -> list[int]:
    """Return the directed links that a packet crosses, as numbers of no meaning but their own.

    Parameters
    ----------
    origin
        The sending core; negative for the host.
    xmask, ymask
        The product that it goes to; zero for the host.
    columns, n_cores
        The mesh.
    """
    start = max(origin, 0)
    x, y = start % columns, start // columns
    host = n_cores * _PORTS
    links = [host if origin < 0 else start * _PORTS + _SENDER]
    if not xmask:
        links += [(y * columns + i) * _PORTS + _WEST for i in range(1, x + 1)]
        links += [j * columns * _PORTS + _NORTH for j in range(1, y + 1)]
        return [*links, host + 1]
    west, east = _ends(x, xmask)
    north, south = _ends(y, ymask)
    links += [(y * columns + i) * _PORTS + _WEST for i in range(west + 1, x + 1)]
    links += [(y * columns + i) * _PORTS + _EAST for i in range(x, east)]
    for i in (i for i in range(columns) if xmask >> i & 1):
        links += [(j * columns + i) * _PORTS + _NORTH for j in range(north + 1, y + 1)]
        links += [(j * columns + i) * _PORTS + _SOUTH for j in range(y, south)]
    return links + [core * _PORTS + _CORE for core in members(xmask, ymask, columns)]


def _ends(here: int, mask: int) -> tuple[int, int]:
    lowest = (mask & -mask).bit_length() - 1
    return min(here, lowest), max(here, mask.bit_length() - 1)
