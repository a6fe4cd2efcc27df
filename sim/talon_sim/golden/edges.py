"""Projections made ready to run, and what they count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler.kernel import Kernel
from talon.compiler.network import IntNetwork
from talon_sim.golden.maps import MapSynapses
from talon_sim.golden.synapses import Synapses

_BYTE = 255


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A projection; ``once`` tells that its source sends events in timestep 0 alone."""

    source: str
    delay: int
    hold: bool
    once: bool
    synapses: Synapses | MapSynapses


def edges_of(network: IntNetwork) -> dict[str, list[Edge]]:
    """Return the projections into each population."""
    populations = {population.name: population for population in network.populations}
    edges: dict[str, list[Edge]] = {name: [] for name in populations}
    for projection in network.projections:
        weight, frac = projection.weight, populations[projection.target].frac
        synapses = (
            MapSynapses(weight, frac=frac)
            if isinstance(weight, Kernel)
            else Synapses(weight, form=projection.form, frac=frac)
        )
        source = populations.get(projection.source)
        edges[projection.target].append(
            Edge(
                source=projection.source,
                delay=projection.delay,
                hold=projection.hold,
                once=source is not None and source.once,
                synapses=synapses,
            )
        )
    return edges


def is_held(frames: NDArray[Any]) -> bool:
    """Tell whether all timesteps are one frame, by a zero stride over time."""
    return len(frames) > 1 and frames.strides[0] == 0


def distinct(frames: NDArray[Any]) -> NDArray[Any]:
    """Return one frame of those that are held, else all."""
    return frames[:1] if is_held(frames) else frames


def count_events(edges: Sequence[Edge], events: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """Return ``events`` and ``sops`` of all projections, given what their sources send (T, B, n).

    Of a projection that holds, the events of timestep 0 count: they are sent once.
    """
    totals = {"events": 0, "sops": 0}
    known: dict[tuple[str, bool], NDArray[np.int64]] = {}
    for edge in edges:
        first = edge.hold or edge.once
        key = (edge.source, first)
        if key not in known:
            sent = events[edge.source]
            frames = sent[:1] if first else distinct(sent)
            repeats = 1 if first else len(sent) // max(1, len(frames))
            known[key] = repeats * _count_by_source(frames.reshape(-1, frames.shape[2]))
        totals["events"] += int(known[key].sum())
        totals["sops"] += int(known[key] @ edge.synapses.fan_out)
    return totals


def _count_by_source(events: NDArray[Any]) -> NDArray[np.int64]:
    """Return how many payloads of shape (m, n) are not zero, of each source; bytes add fast."""
    total = np.zeros(events.shape[1], np.int64)
    for start in range(0, len(events), _BYTE):
        is_sent = events[start : start + _BYTE] != 0
        total += is_sent.view(np.uint8).sum(axis=0, dtype=np.uint8)
    return total
