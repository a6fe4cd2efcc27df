"""Traffic: what every core takes and sends in each timestep, counted and not timed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import Emit
from talon.compiler.performance.activity import Activity
from talon.compiler.performance.senders import ArrayTables, Way

Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Traffic:
    """Counts (T, B, cores), at the timestep of the sender; cores in the order of ``cores``.

    ``events``, ``rows``, ``sops``, ``spikes`` and ``updates`` are those of the counters of a core.
    ``stream`` counts the cycles of the row streamer, fetches of updates included; ``graded`` the
    ``sops`` that multiply a payload other than one spike's. ``packets`` counts what a core sends,
    tokens included, ``hops`` the links between routers that these cross.
    ``host_packets`` and ``host_hops`` (T, B) are those of the host.
    """

    cores: tuple[int, ...]
    events: Counts
    rows: Counts
    sops: Counts
    graded: Counts
    stream: Counts
    updates: Counts
    spikes: Counts
    packets: Counts
    hops: Counts
    host_packets: Counts
    host_hops: Counts


def traffic_of(tables: ArrayTables, activity: Activity) -> Traffic:
    """Return the traffic of a run."""
    cores = tuple(sorted(tables.cores))
    place = {core: i for i, core in enumerate(cores)}
    shape = (activity.n_steps, activity.n_samples, len(cores))
    names = ("events", "rows", "sops", "graded", "stream", "updates", "spikes", "packets", "hops")
    found = {name: np.zeros(shape, np.int64) for name in names}
    host = {name: np.zeros(shape[:2], np.int64) for name in ("packets", "hops")}

    def take(way: Way, active: NDArray[np.float64], *, graded: bool) -> None:
        for arrival in way.arrivals:
            at, costs = place[arrival.core], arrival.costs
            found["events"][..., at] += _times(active, way.taken)
            found["rows"][..., at] += _times(active, costs.rows)
            sops = _times(active, costs.sops)
            found["sops"][..., at] += sops
            found["graded"][..., at] += sops * graded
            found["stream"][..., at] += _times(active, costs.stream)

    for port in tables.ports:
        active = activity.inputs[port.name].astype(np.float64)
        for way in port.ways:
            take(way, active, graded=port.graded)
            n = _times(active, way.taken)
            host["packets"] += n
            host["hops"] += n * way.hops
    host["packets"] += len(tables.host_tokens)
    host["hops"] += sum(token.hops for token in tables.host_tokens)

    for group in tables.groups:
        at = place[group.core]
        flags = activity.groups[group.core, group.number]
        steps = slice(0, 1) if group.once else slice(None)
        found["updates"][steps, :, at] += group.n_neurons
        found["stream"][steps, :, at] += group.n_rows
        found["spikes"][..., at] += activity.fired.get((group.core, group.number), 0)
        active = flags.astype(np.float64)
        if group.emit is Emit.READOUT:
            found["packets"][..., at] += group.n_lanes
            found["hops"][..., at] += group.n_lanes * sum(tables.params.position(group.core))
        else:
            for way in group.ways:
                take(way, active, graded=group.emit in (Emit.GRADED, Emit.COUNT))
                n = _times(active, way.taken)
                found["packets"][..., at] += n
                found["hops"][..., at] += n * way.hops
        found["packets"][..., at] += len(group.tokens)
        found["hops"][..., at] += sum(token.hops for token in group.tokens)
    return Traffic(cores=cores, host_packets=host["packets"], host_hops=host["hops"], **found)


def _times(active: NDArray[np.float64], values: NDArray[np.generic]) -> Counts:
    """Return the sum of values over the active lanes, (T, B); float64 is exact here."""
    return np.rint(active @ values.astype(np.float64)).astype(np.int64)
