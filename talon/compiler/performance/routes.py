"""Routes of a program with what crosses them in a run, and the links that they take."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from talon.arch.memories import Emit
from talon.compiler.cover import members
from talon.compiler.performance.activity import Activity
from talon.compiler.performance.mesh import Masks
from talon.compiler.performance.senders import HOST, ArrayTables, TokenWay, Way

Link = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class RouteLoad:
    """Packets of one kind from a core to a product of columns and rows.

    Attributes
    ----------
    source, targets
        Numbers of cores; :data:`HOST` is the host.
    links
        (from, to) of neighbours that each packet crosses; the host is beside core 0.
    packets
        Of all timesteps and samples; without a run, the number of entries in the tables.
    kind
        ``"events"``, ``"partial sums"``, ``"read-outs"`` or ``"tokens"``.
    """

    source: int
    targets: tuple[int, ...]
    links: tuple[Link, ...]
    packets: int
    kind: str

    @property
    def hops(self) -> int:
        """Links between routers, without the one to or from the host."""
        return sum(HOST not in link for link in self.links)


def route_loads(tables: ArrayTables, activity: Activity | None = None) -> tuple[RouteLoad, ...]:
    """Return every route, with its packets if the activity of a run is given.

    The packets times hops are the ``hops`` of :class:`talon.compiler.performance.traffic.Traffic`.
    """
    found: Counter[tuple[int, Masks, str]] = Counter()
    for source, masks, kind, packets in _sent(tables, activity):
        found[source, masks, kind] += packets
    columns = tables.params.columns
    return tuple(
        RouteLoad(
            source=source,
            targets=tuple(members(*masks, columns)) if any(masks) else (HOST,),
            links=links_of(source, masks, columns),
            packets=packets,
            kind=kind,
        )
        for (source, masks, kind), packets in sorted(found.items())
    )


def _sent(tables: ArrayTables, activity: Activity | None) -> Iterator[tuple[int, Masks, str, int]]:
    """Give source, masks, kind and packets of every entry."""
    steps = 1 if activity is None else activity.n_steps * activity.n_samples

    def count(way: Way, flags: np.ndarray | None) -> int:
        return 1 if flags is None else int(np.count_nonzero(flags[..., way.taken]))

    def tokens(source: int, ways: tuple[TokenWay, ...]) -> Iterator[tuple[int, Masks, str, int]]:
        for way in ways:
            masks = (0, 0) if way.host else (way.xmask, way.ymask)
            yield source, masks, "tokens", steps

    for port in tables.ports:
        flags = None if activity is None else activity.inputs[port.name]
        for way in port.ways:
            yield HOST, way.masks, "events", count(way, flags)
    yield from tokens(HOST, tables.host_tokens)
    for group in tables.groups:
        flags = None if activity is None else activity.groups[group.core, group.number]
        if group.emit is Emit.READOUT:
            packets = 1 if activity is None else steps * group.n_lanes
            yield group.core, (0, 0), "read-outs", packets
        else:
            kind = "partial sums" if group.emit is Emit.PSUM else "events"
            for way in group.ways:
                yield group.core, way.masks, kind, count(way, flags)
        yield from tokens(group.core, group.tokens)


def links_of(source: int, masks: Masks, columns: int) -> tuple[Link, ...]:
    """Return the links that a packet crosses: along the row, then along each column."""
    xmask, ymask = masks
    start = max(source, 0)
    x, y = start % columns, start // columns
    links: list[Link] = [(HOST, 0)] if source == HOST else []

    def along(cells: list[tuple[int, int]]) -> None:
        numbers = [row * columns + column for column, row in cells]
        links.extend(itertools.pairwise(numbers))

    if not any(masks):  # the host: along the row, then along the first column
        along([(i, y) for i in range(x, -1, -1)])
        along([(0, j) for j in range(y, -1, -1)])
        return (*links, (0, HOST))
    low, high = _ends(xmask)
    north, south = _ends(ymask)
    along([(i, y) for i in range(x, low - 1, -1)])
    along([(i, y) for i in range(x, high + 1)])
    for column in range(low, high + 1):
        if xmask >> column & 1:
            along([(column, j) for j in range(y, north - 1, -1)])
            along([(column, j) for j in range(y, south + 1)])
    return tuple(links)


def _ends(mask: int) -> tuple[int, int]:
    return (mask & -mask).bit_length() - 1, mask.bit_length() - 1
