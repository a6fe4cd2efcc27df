"""Projections made ready to run, and what they count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler.kernel import Kernel
from talon.compiler.network import InputPort, IntNetwork, Population, Projection
from talon.compiler.sparse import SparseMatrix
from talon_sim.golden.synapses import Synapses

if TYPE_CHECKING:
    from talon_sim.golden.maps import MapSynapses

_BYTE = 255

_MANY = 1 << 18
"""Payloads that are looked at at a time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Edge:
    """A projection made ready to run.

    Attributes
    ----------
    source, delay, hold
        As of the projection.
    once
        The source sends events in timestep 0 alone.
    fan_out
        What an event of each source (n_source,) counts as synaptic operations, whole numbers.
    common_fan_out
        That, where all sources have the same, else None.
    synapses
        What an engine has made of the weights.
    """

    source: str
    delay: int
    hold: bool
    once: bool
    fan_out: NDArray[np.float64]
    common_fan_out: int | None
    synapses: Any


def sends_ones_alone(source: InputPort | Population) -> bool:
    """Tell whether no payload of a source is larger than 1, or negative."""
    if isinstance(source, InputPort):
        return source.payload_max == 1 and not source.signed
    is_summed = source.pool is not None and source.pool.kind == "sum"
    return source.kind == "spike" and not is_summed


def synapses_of(
    projection: Projection, target: Population, source: InputPort | Population
) -> Synapses | MapSynapses:
    """Return the synapses of a projection from a source into a population."""
    weight, largest, signed = projection.weight, source.payload_max, source.signed
    if isinstance(weight, Kernel):
        from talon_sim.golden.maps import MapSynapses  # which networks without maps do not need

        return MapSynapses(weight, frac=target.frac, payload_max=largest, signed=signed)
    return Synapses(weight, frac=target.frac, payload_max=largest, signed=signed)


def edges_of(
    network: IntNetwork,
    make: Callable[[Projection, Population, InputPort | Population], Any] = synapses_of,
) -> dict[str, list[Edge]]:
    """Return the projections into each population.

    ``make`` makes synapses of one, of its target and of its source.
    """
    populations = {population.name: population for population in network.populations}
    sources: dict[str, InputPort | Population] = {port.name: port for port in network.inputs}
    sources |= populations
    edges: dict[str, list[Edge]] = {name: [] for name in populations}
    for projection in network.projections:
        source = sources[projection.source]
        fan_out = fan_out_of(projection)
        edges[projection.target].append(
            Edge(
                source=projection.source,
                delay=projection.delay,
                hold=projection.hold,
                once=isinstance(source, Population) and source.once,
                fan_out=fan_out.astype(np.float64),
                common_fan_out=int(fan_out[0]) if len(set(fan_out.tolist())) == 1 else None,
                synapses=make(projection, populations[projection.target], source),
            )
        )
    return edges


def fan_out_of(projection: Projection) -> NDArray[np.int64]:
    """Return what an event of each source counts as synaptic operations."""
    weight = projection.weight
    if isinstance(weight, Kernel):
        return np.rint(weight.summed_over_targets(weight.taps != 0)).astype(np.int64)
    n_target, n_source = weight.shape
    if projection.form == "dense":
        return np.full(n_source, n_target)
    if isinstance(weight, SparseMatrix):
        return np.bincount(weight.sources[weight.value != 0], minlength=n_source)
    return np.count_nonzero(weight, axis=0)


def is_held(frames: NDArray[Any]) -> bool:
    """Tell whether all timesteps are one frame, by a zero stride over time."""
    return len(frames) > 1 and frames.strides[0] == 0


def distinct(frames: NDArray[Any]) -> NDArray[Any]:
    """Return one frame of those that are held, else all."""
    return frames[:1] if is_held(frames) else frames


def count_events(
    edges: Sequence[Edge], events: Mapping[str, NDArray[Any]], n_sent: Mapping[str, int]
) -> dict[str, int]:
    """Return ``events`` and ``sops`` of all projections, given what their sources send (T, B, n).

    Of a projection that holds, the events of timestep 0 count: they are sent once. ``n_sent`` is
    the number of payloads that are not zero, in distinct frames, of sources of which it is known.
    """
    n_events, n_sops = 0, 0
    known: dict[tuple[str, bool], NDArray[np.float64]] = {}
    for edge in edges:
        first = edge.hold or edge.once
        sent = events[edge.source]
        frames = sent[:1] if first else distinct(sent)
        repeats = 1 if first else len(sent) // max(1, len(frames))
        count = None if first else n_sent.get(edge.source)
        if count is None:
            count = count_nonzero(frames)
        n_events += repeats * count
        if edge.common_fan_out is not None:
            n_sops += repeats * count * edge.common_fan_out
            continue
        key = (edge.source, first)
        if key not in known:
            known[key] = _count_by_source(frames.reshape(-1, frames.shape[2]))
        n_sops += repeats * int(known[key] @ edge.fan_out)
    return {"events": n_events, "sops": n_sops}


def count_nonzero(events: NDArray[Any]) -> int:
    """Return how many payloads (T, B, n) are not zero."""
    return sum(int(np.count_nonzero(part)) for part in in_parts(events))


def in_parts(events: NDArray[Any]) -> Iterable[NDArray[Any]]:
    """Return a few timesteps at a time, which stay in the second-level cache."""
    if events.size <= _MANY:
        return (events,)
    step = max(1, len(events) * _MANY // events.size)
    return (events[first : first + step] for first in range(0, len(events), step))


def _count_by_source(events: NDArray[Any]) -> NDArray[np.float64]:
    """Return how many payloads of shape (m, n) are not zero, of each source; bytes add fast."""
    total = np.zeros(events.shape[1])
    for start in range(0, len(events), _BYTE):
        part = events[start : start + _BYTE]
        flags = (part if part.dtype == np.bool_ else part != 0).view(np.uint8)
        np.add(total, np.add.reduce(flags, axis=0, dtype=np.uint8), out=total)
    return total
